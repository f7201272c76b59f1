"""The contexts of the session pages: what a page, a fragment and a push all draw from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet, prefetch_related_objects

from apps.accounts.models import User
from apps.sessions import presenters, usage
from apps.sessions.capsule_pages import capsule_context
from apps.sessions.engine.states import ACTIVE, FINAL, State
from apps.sessions.figures import figures_of
from apps.sessions.logs import log_tail
from apps.sessions.models import Attempt, Checkpoint, Kind, Session, SessionTag
from apps.sessions.selectors import session_visible
from apps.sessions.verdicts import verification_context
from apps.sessions.waiting import Queue, queue_of
from apps.strategies.models import StrategyVersion
from apps.ui.prepared import prepared

CHECKPOINTS_SHOWN, DESCENDANTS_SHOWN = 8, 10


def session_of(session_id: int) -> Session | None:
    """Return the session with all its page needs, for the program itself."""
    rows = Session.objects.select_related("owner", "version__strategy", "dataset")
    return rows.filter(pk=session_id).first()


def is_live(session: Session) -> bool:
    """Tell whether anything of the page can still change by itself."""
    return session.status not in FINAL


def report_ready(session: Session) -> bool:
    return session.kind == Kind.BACKTEST and session.status == State.COMPLETED


def detail_context(session: Session, names: frozenset[str] | None = None, *, watching: bool = False) -> dict[str, Any]:
    """Return the context of the session page, or of the fragments in ``names`` alone.

    Who is only ``watching`` is offered no command.
    """
    context: dict[str, Any] = {"session": session, "live": is_live(session)}
    wanted = PARTS if names is None else {name: (PARTS | EXTRA)[name] for name in names}
    for make in dict.fromkeys(make for makes in wanted.values() for make in makes):
        context |= make(session)
    if names is None or names & {"progress"}:
        context["progress"] = presenters.progress_of(session, context["attempt_list"], _latest(context["checkpoints"]))
    if names is None or names & {"notice"}:
        context["notice"] = presenters.notice_of(session, _latest(context["checkpoints"]), queue_of([session]))
    if watching:
        context |= {"buttons": [], "primary": False}
    return context


def may_command(session: Session, user: User) -> bool:
    """Tell whether ``user`` may give commands to the session and label it."""
    own = session.owner_id == user.pk or user.is_administrator
    return own or session_visible(user, write=True).filter(pk=session.pk).exists()


def _latest(checkpoints: list[Checkpoint]) -> Checkpoint | None:
    return next((one for one in checkpoints if one.is_latest), checkpoints[0] if checkpoints else None)


def _of_session(rows: list[Any], session: Session) -> list[Any]:
    for row in rows:
        row.session = session
    return rows


@prepared
def _kept_checkpoints(session: int) -> QuerySet[Checkpoint]:
    return Checkpoint.objects.filter(session_id=session).order_by("-step", "-id")[:200]


@prepared
def _numbered_attempts(session: int) -> QuerySet[Attempt]:
    return Attempt.objects.filter(session_id=session).order_by("number")


@prepared
def _version_before(strategy: int, number: int) -> QuerySet[StrategyVersion]:
    return StrategyVersion.objects.filter(strategy_id=strategy, number__lt=number).order_by("-number")[:1]


@prepared
def _tags(session: int) -> QuerySet[SessionTag]:
    return SessionTag.objects.filter(session_id=session)


@prepared
def _descendants(session: int) -> QuerySet[Session, int]:
    return Session.objects.filter(parent_id=session).order_by("-id").values_list("pk", flat=True)[:DESCENDANTS_SHOWN]


def _actions(session: Session) -> dict[str, Any]:
    buttons = presenters.buttons_of(session)
    return {
        "buttons": buttons,
        "primary": any(button.css == "p" for button in buttons),
        "report_ready": report_ready(session),
    }


def _checkpoints(session: Session) -> dict[str, Any]:
    kept = _of_session(_kept_checkpoints(session.pk), session)
    shown = sorted(kept, key=lambda one: (not one.is_latest, not one.is_best))[:CHECKPOINTS_SHOWN]
    usable = session.kind == Kind.TRAINING and session.status == State.COMPLETED and "policy" in session.summary
    total = sum(one.size_bytes for one in kept)
    return {"checkpoints": shown, "checkpoint_count": len(kept), "checkpoint_bytes": total, "can_backtest": usable}


def _attempts(session: Session) -> dict[str, Any]:
    attempts = _of_session(_numbered_attempts(session.pk), session)
    return {"attempt_list": attempts, "attempts": presenters.attempt_rows(attempts)}


def _figures(session: Session) -> dict[str, Any]:
    return {"figures": figures_of(session)}


def _captions(session: Session) -> dict[str, Any]:
    return {"figures": figures_of(session, drawn=False)}


def _log(session: Session) -> dict[str, Any]:
    return {"log_lines": log_tail(session)}


def _result(session: Session) -> dict[str, Any]:
    return {"result": presenters.result_of(session)}


def _resources(session: Session) -> dict[str, Any]:
    return {"resources": usage.resource_rows(session)}


def _flags(session: Session) -> dict[str, Any]:
    return {"flags": usage.flag_rows(session)}


def _configuration(session: Session) -> dict[str, Any]:
    previous = _version_before.first(session.version.strategy_id, session.version.number)
    diff = presenters.config_diff(session, previous.config if previous else None)
    number = previous.number if previous else None
    return {"config_rows": presenters.config_rows(session), "diff": diff, "previous_number": number}


def _meta(session: Session) -> dict[str, Any]:
    return {"meta": presenters.meta_of(session)}


def label_context(session: Session, user: User) -> dict[str, Any]:
    """Return tags, lineage and what ``user`` may do with the session."""
    own = session.owner_id == user.pk or user.is_administrator
    return {
        "tags": _tags(session.pk),
        "descendants": _descendants(session.pk),
        "editable": may_command(session, user),
        "deletable": own and session.status not in ACTIVE,
        "idle": session.status not in ACTIVE,
    }


Maker = Callable[[Session], dict[str, Any]]
#: What each fragment needs; several fragments share a maker, which runs once.
PARTS: dict[str, tuple[Maker, ...]] = {
    "status": (),
    "meta": (_meta,),
    "actions": (_actions,),
    "notice": (_checkpoints,),
    "progress": (_attempts, _checkpoints),
    "result": (_result,),
    "curves": (_figures,),
    "log": (_log,),
    "resources": (_resources,),
    "flags": (_flags,),
    "checkpoints": (_checkpoints,),
    "attempts": (_attempts,),
    "environment": (capsule_context,),
    "configuration": (_configuration,),
    "verification": (verification_context,),
}
#: Fragments that are only ever asked for by name.
EXTRA: dict[str, tuple[Maker, ...]] = {"captions": (_captions,)}


@dataclass(frozen=True)
class Row:
    """A session in a list: why it waits or failed, and how far it is."""

    session: Session
    sentence: str
    percent: int
    show_progress: bool
    elapsed: float | None
    live: bool


def rows_of(sessions: Sequence[Session]) -> list[Row]:
    queue = queue_of(sessions)
    prefetch_related_objects(list(sessions), "tags")
    return [row_of(session, queue) for session in sessions]


def row_of(session: Session, queue: Queue | None = None) -> Row:
    notice = presenters.notice_of(session, None, queue)
    share = 1.0 if session.status == State.COMPLETED else session.progress
    sentence = (notice.text or notice.title) if notice else ""
    shown = session.status != State.COMPLETED and share > 0
    return Row(session, sentence, int(share * 100), shown, presenters.elapsed_of(session), is_live(session))


def row_context(session: Session, *, show_owner: bool = False) -> dict[str, Any]:
    return {"session": session, "row": rows_of([session])[0], "show_owner": show_owner}
