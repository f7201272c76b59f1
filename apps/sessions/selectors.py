"""Reading sessions; who may see what is decided here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet
from django.http import Http404

from apps.accounts.models import User
from apps.accounts.shares import shared_ids, stand_in, who
from apps.sessions.engine.states import COUNTED, State
from apps.sessions.models import Checkpoint, Session, SessionTag
from apps.strategies.models import Strategy
from apps.ui.prepared import Listed, prepared

SORTS: Mapping[str, str] = {
    "id": "id", "title": "title", "kind": "kind", "status": "status", "progress": "progress",
    "created": "created", "finished": "finished_at", "return": "result_return", "sharpe": "result_sharpe",
}  # fmt: skip

#: What a list shows nothing of: most of a row's weight, and read from JSON for each.
UNLISTED = (
    "params", "usage", "summary", "environment", "verification", "notes", "version__config",
    "version__strategy__description", "dataset__columns", "dataset__universes", "dataset__lineage",
)  # fmt: skip


def session_visible(user: User | None, write: bool = False) -> QuerySet[Session]:
    """Sessions ``user`` may see: their own, those shared with them, and those of strategies shared with them.

    ``write`` leaves out what they may only read. An administrator, and the program itself (None), see all.
    """
    rows = Session.objects.select_related("owner", "version__strategy", "dataset")
    if user is None or user.is_administrator:
        return rows
    mine = Q(owner=user) | Q(pk__in=shared_ids(user, Session, write=write))
    if not write:  # Who may read a strategy may read its results; its runs stay their owners' to command.
        mine |= Q(version__strategy__in=shared_ids(user, Strategy))
    return rows.filter(mine)


def session_for_user(user: User | None, pk: int, write: bool = False) -> Session:
    """Return the session, or Http404 where it is not there or not this person's."""
    person, role = who(user)
    session = _session.first(person, pk, role=role, write=write)
    if session is None:
        raise Http404
    return session


@prepared
def _session(person: int, pk: int, *, role: str, write: bool) -> QuerySet[Session]:
    return session_visible(stand_in(person, role), write).filter(pk=pk)


def session_owned(user: User, pk: int) -> Session:
    """Return the session if it is ``user``'s own, or they administer; who may only edit it gets Http404 too."""
    session = session_for_user(user, pk if pk < 2**63 else 0, write=True)
    if session.owner_id != user.pk and not user.is_administrator:
        raise Http404
    return session


def session_list(
    user: User | None,
    *,
    status: str = "",
    kind: str = "",
    strategy: int | None = None,
    search: str = "",
    tag: str = "",
    sort: str = "-id",
) -> QuerySet[Session]:
    """Return the sessions ``user`` sees, filtered and sorted; unknown sort keys mean newest first."""
    rows = session_visible(user).prefetch_related("tags")
    if status:
        rows = rows.filter(status__in=status.split(","))
    if kind:
        rows = rows.filter(kind=kind)
    if tag:
        rows = rows.filter(tags__name=tag)
    if strategy is not None:
        rows = rows.filter(version__strategy_id=strategy)
    if search:
        words = Q(title__icontains=search)
        rows = rows.filter(words | Q(pk=int(search)) if search.isdecimal() and len(search) < 18 else words)
    field = SORTS.get(sort.lstrip("-"), "id")
    return rows.order_by(("-" if sort.startswith("-") else "") + field, "-id")


def sessions_listed(user: User | None, *, sort: str = "-id", **filters: Any) -> Listed[Session] | QuerySet[Session]:
    """``session_list`` for reading a page at a time, without what a list does not show."""
    if any(value not in ("", None) for value in filters.values()):
        return session_list(user, sort=sort, **filters).defer(*UNLISTED)
    person, role = who(user)
    return _sessions.listed(person, role=role, sort=sort if sort.lstrip("-") in SORTS else "-id")


@prepared
def _sessions(person: int, *, role: str, sort: str) -> QuerySet[Session]:
    return session_list(stand_in(person, role), sort=sort).defer(*UNLISTED)


def waiting_seen(user: User | None) -> int:
    """Return how many of the sessions ``user`` sees wait."""
    person, role = who(user)
    return _waiting.count(person, role=role)


@prepared
def _waiting(person: int, *, role: str) -> QuerySet[Session]:
    return session_visible(stand_in(person, role)).filter(status=State.QUEUED)


def strategies_seen(user: User | None, limit: int = 200) -> list[tuple[int, str]]:
    """Return number and name of the strategies of the sessions ``user`` sees."""
    person, role = who(user)
    return _strategies.most(limit)(person, role=role)


@prepared
def _strategies(person: int, *, role: str) -> QuerySet[Session, tuple[int, str]]:
    rows = session_list(stand_in(person, role)).order_by("title")
    return rows.values_list("version__strategy_id", "version__strategy__name").distinct()


def tags_seen(user: User | None, limit: int = 200) -> list[str]:
    """Return the tags of the sessions ``user`` sees, by name."""
    person, role = who(user)
    return _tags.most(limit)(person, role=role)


@prepared
def _tags(person: int, *, role: str) -> QuerySet[SessionTag, str]:
    rows = SessionTag.objects.filter(session__in=session_visible(stand_in(person, role)).values("pk"))
    return rows.order_by("name").values_list("name", flat=True).distinct()


def counted_sessions(user: User) -> list[Session]:
    """Return the sessions that count against ``user``'s limit, oldest first."""
    return list(Session.objects.filter(owner=user, status__in=COUNTED).order_by("id"))


def best_checkpoint(session: Session) -> Checkpoint | None:
    """Return the checkpoint validation chose, or the latest one."""
    return session.checkpoints.order_by("-is_best", "-is_latest", "-step", "-id").first()


def session_folder(session_id: int) -> Path:
    """Return the folder of a session's checkpoints, report and log; it may not exist yet."""
    return Path(settings.VAR_DIR) / "sessions" / str(session_id)


def symbols_of(session: Session) -> Sequence[str]:
    """Return the symbols a session works on, as its configuration names them."""
    config = session.config
    return [config["symbol"]] if "symbol" in config else list(config.get("symbols", ()))
