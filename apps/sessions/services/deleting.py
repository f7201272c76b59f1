"""Deleting a session with everything that hangs on it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import F, Q, Sum

from apps.accounts.models import Share, User
from apps.accounts.permissions import require_permission
from apps.accounts.services import audit
from apps.sessions.engine.states import ACTIVE, State
from apps.sessions.models import Session, SessionEvent
from apps.sessions.selectors import session_folder
from apps.sessions.services.performance import summary_refresh
from apps.strategies.models import Trial
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

#: Sessions named one by one in what hangs on another; the count tells of the rest.
NAMED = 50


@dataclass(frozen=True)
class Attached:
    """What goes with a session, and what stays but loses its link to it.

    ``verifications`` go too. ``derived`` (clones and retries), ``backtests`` (decided by its checkpoint, so
    they cannot be repeated any more) and ``trials`` (configurations in the ledger of the idea) stay.
    """

    checkpoints: int
    checkpoint_bytes: int
    events: int
    attempts: int
    files: int
    file_bytes: int
    report: bool
    capsule: bool
    shares: int
    verifications: list[int]
    derived: list[int]
    derived_count: int
    backtests: list[int]
    backtest_count: int
    trials: int

    def document(self) -> dict[str, Any]:
        gone = {
            "checkpoints": self.checkpoints, "checkpoint_bytes": self.checkpoint_bytes, "events": self.events,
            "attempts": self.attempts, "files": self.files, "file_bytes": self.file_bytes, "report": self.report,
            "capsule": self.capsule, "shares": self.shares, "verifications": self.verifications,
        }  # fmt: skip
        stay = {
            "derived": self.derived, "derived_count": self.derived_count, "backtests": self.backtests,
            "backtest_count": self.backtest_count, "trials": self.trials,
        }  # fmt: skip
        return {"deleted": gone, "kept": stay}


def attached(session: Session) -> Attached:
    """Return what hangs on ``session``: a fixed number of queries and one look at its folders."""
    verifications = list(session.verifications.order_by("id").values_list("pk", flat=True))
    going = [session.pk, *verifications]
    checkpoints = session.checkpoints.model.objects.filter(session__in=going)
    files = [path for pk in going for path in _files(session_folder(pk))]
    derived = Session.objects.filter(parent__in=going).exclude(pk__in=going).order_by("id")
    backtests = Session.objects.filter(params__checkpoint_session=session.pk).exclude(pk__in=going).order_by("id")
    folder = session_folder(session.pk)
    return Attached(
        checkpoints=checkpoints.count(),
        checkpoint_bytes=checkpoints.aggregate(total=Sum("size_bytes"))["total"] or 0,
        events=_events(going),
        attempts=session.attempts.model.objects.filter(session__in=going).count(),
        files=len(files),
        file_bytes=sum(path.stat().st_size for path in files),
        report=(folder / "report.json").is_file(),
        capsule=(folder / "capsule.json").is_file(),
        shares=_shares(going).count(),
        verifications=verifications,
        derived=list(derived.values_list("pk", flat=True)[:NAMED]),
        derived_count=derived.count(),
        backtests=list(backtests.values_list("pk", flat=True)[:NAMED]),
        backtest_count=backtests.count(),
        trials=Trial.objects.filter(session=session.pk).aggregate(total=Sum("count"))["total"] or 0,
    )


def _events(sessions: list[int]) -> int:
    """Count what the logs hold: archived events, and rows that no archive has."""
    kept = Session.objects.filter(pk__in=sessions).aggregate(total=Sum("archived_seq"))["total"] or 0
    rows = SessionEvent.objects.filter(session__in=sessions, seq__gt=F("session__archived_seq")).count()
    return int(kept) + rows


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []


def _shares(sessions: list[int]) -> Any:
    return Share.objects.filter(object_type=Session._meta.label_lower, object_id__in=sessions)


def check_deletable(session: Session) -> None:
    """Refuse what waits or runs, itself or a verification of it: ``session_active`` (409)."""
    active = Session.objects.filter(Q(pk=session.pk) | Q(verifies=session), status__in=ACTIVE).order_by("id").first()
    if active is not None:
        raise Refusal(
            "session_active",
            N_("Session %(session)s waits or runs; cancel it before anything is deleted."),
            status=409,
            session=active.pk,
        )


def session_delete(*, session: Session, actor: User) -> Attached:
    """Delete ``session``, its verifications and their files; return what hung on it.

    The trials it counted stay in the ledger. Raises ``Refusal`` ``session_active`` (409).
    """
    require_permission(actor, "session.run")
    with transaction.atomic():
        # The lock keeps a resume from coming between the look and the end.
        list(Session.objects.select_for_update().filter(Q(pk=session.pk) | Q(verifies=session)).values_list("pk"))
        check_deletable(session)
        found = attached(session)
        going = [session.pk, *found.verifications]
        details = {"title": session.title, "kind": session.kind, "status": session.status, **found.document()}
        audit(actor, "session.delete", session, details)
        _shares(going).delete()
        Session.objects.filter(pk=session.pk).delete()
        if session.status == State.COMPLETED:
            summary_refresh(session.version.strategy_id)
        transaction.on_commit(lambda: _remove_folders(going))
    return found


def _remove_folders(sessions: list[int]) -> None:
    for pk in sessions:
        shutil.rmtree(session_folder(pk), ignore_errors=True)
