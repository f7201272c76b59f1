"""What happens to the log of a finished run: it goes into files, and later its rows go."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from apps.sessions import archive
from apps.sessions.archive import Event
from apps.sessions.engine.curves import Curves
from apps.sessions.engine.states import FINAL
from apps.sessions.models import Session, SessionEvent
from apps.sessions.services.measuring import figures_store

#: Rows deleted in one statement: a writer of another session waits no longer than that.
BATCH = 2000
#: A run that ended within this time may still be looked at live.
REST = timedelta(minutes=10)
Told = Callable[[str, Session, int], None]


@dataclass
class Kept:
    """What one pass did, or would do: sessions archived, and rows dropped of how many."""

    archived: int = 0
    archived_events: int = 0
    emptied: int = 0
    dropped_rows: int = 0
    damaged: int = 0


def to_archive(now: datetime) -> QuerySet[Session]:
    """Return the finished sessions whose log is not whole in its archive, oldest first."""
    done = Session.objects.filter(status__in=FINAL, last_seq__gt=F("archived_seq"))
    return done.filter(Q(finished_at=None) | Q(finished_at__lt=now - REST)).order_by("id")


def to_empty(now: datetime, days: int) -> QuerySet[Session]:
    """Return the archived sessions that ended more than ``days`` ago and still have rows, oldest first."""
    old = Session.objects.filter(status__in=FINAL, last_seq__gt=0, archived_seq=F("last_seq"))
    return old.filter(finished_at__lt=now - timedelta(days=days), events__isnull=False).distinct().order_by("id")


def session_archive(session: Session) -> int:
    """Write the whole log of a finished session into its files; return how many events they hold.

    An earlier archive whose rows are gone is continued. Nothing is noted unless every event is there.
    """
    last, curves = session.last_seq, Curves()

    def events() -> Iterator[Event]:
        expected = 1
        for event in _whole(session):
            if event.seq != expected:
                raise ValueError(f"event {expected} of session {session.pk} is in no row and no archive")
            curves.feed(event.seq, event.payload, event.created.timestamp())
            expected += 1
            yield event
        if expected != last + 1:
            raise ValueError(f"the log of session {session.pk} ends at {expected - 1}, not at {last}")

    found = archive.write_log(session.pk, events())
    archive.write_curves(session.pk, curves)
    figures_store(session.pk, curves)
    done = Session.objects.filter(pk=session.pk, last_seq=last, status__in=FINAL)
    return last if done.update(archived_seq=last, archive_hash=found) else 0


def _whole(session: Session) -> Iterator[Event]:
    rows = SessionEvent.objects.filter(session=session, seq__lte=session.last_seq).order_by("seq")
    first = rows.values_list("seq", flat=True).first() or session.last_seq + 1
    for event in archive.read_log(session.pk) if first > 1 else ():
        if event.seq >= first:
            break
        yield event
    for seq, attempt, created, payload in rows.values_list("seq", "attempt", "created", "payload").iterator(BATCH):
        yield Event(seq, attempt, created, payload)


def rows_drop(session: Session) -> int | None:
    """Delete the rows of an archived session; None, and nothing is deleted, where its archive is damaged."""
    path = archive.log_file(session.pk)
    if not path.is_file() or archive.digest(path) != session.archive_hash:
        return None
    dropped = 0
    while True:
        with transaction.atomic():
            # A resumed run writes on: only what the archive holds may go.
            rows = SessionEvent.objects.filter(session=session, seq__lte=session.archived_seq)
            batch = list(rows.order_by("seq").values_list("pk", flat=True)[:BATCH])
            if not batch:
                return dropped
            SessionEvent.objects.filter(pk__in=batch).delete()
            dropped += len(batch)


def retain(
    *, days: int | None = None, dry_run: bool = False, seconds: float | None = None,
    told: Told = lambda what, session, count: None,
) -> Kept:  # fmt: skip
    """Archive what has finished and drop the rows of what ended more than ``days`` ago; 0 days keeps rows for ever.

    ``seconds`` ends the pass early; the next one goes on. ``told(what, session, count)`` hears of each session.
    """
    kept, now, began = Kept(), timezone.now(), time.monotonic()
    days = settings.QP_RETENTION_EVENTS_DAYS if days is None else days

    def late() -> bool:
        return seconds is not None and time.monotonic() - began > seconds

    for session in to_archive(now):
        if late():
            return kept
        try:
            count = session.last_seq if dry_run else session_archive(session)
        except (ValueError, OSError) as error:
            kept.damaged += 1
            told(f"not archived: {error}", session, 0)
            continue
        kept.archived, kept.archived_events = kept.archived + 1, kept.archived_events + count
        told("archived", session, count)
    for session in to_empty(now, days) if days else ():
        if late():
            return kept
        rows = SessionEvent.objects.filter(session=session).count() if dry_run else rows_drop(session)
        if rows is None:
            kept.damaged += 1
            Session.objects.filter(pk=session.pk).update(archived_seq=0, archive_hash="")
            told("kept: its archive is damaged and will be written again", session, 0)
            continue
        kept.emptied, kept.dropped_rows = kept.emptied + 1, kept.dropped_rows + rows
        told("rows dropped", session, rows)
    return kept
