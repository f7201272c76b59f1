"""The curves of sessions, kept in this process and brought up to date from the log when asked."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from django.db.models import QuerySet

from apps.sessions import archive
from apps.sessions.engine.curves import Curves
from apps.sessions.models import SessionEvent
from apps.ui.prepared import prepared

#: Sessions whose curves stay in memory in any case; more do while all of them have no more than ``POINTS`` points
#: (about 32 bytes each), since a hundred people look at a hundred sessions.
KEPT, POINTS, MOST_KEPT = 16, 500_000, 2_000
#: Events read in one statement.
AT_ONCE = 2_000


@dataclass
class _Entry:
    curves: Curves = field(default_factory=Curves)
    lock: Lock = field(default_factory=Lock)
    points: int = 0


_entries: OrderedDict[int, _Entry] = OrderedDict()
_guard = Lock()


def _entry(session: int) -> _Entry:
    with _guard:
        entry = _entries.setdefault(session, _Entry())
        _entries.move_to_end(session)
        points = sum(one.points for one in _entries.values()) if len(_entries) > KEPT else 0
        while len(_entries) > MOST_KEPT or (len(_entries) > KEPT and points > POINTS):
            points -= _entries.popitem(last=False)[1].points
        return entry


@prepared
def _events(session: int, after: int) -> QuerySet[SessionEvent, tuple[int, Any, Any]]:
    rows = SessionEvent.objects.filter(session_id=session, seq__gt=after).order_by("seq")
    return rows.values_list("seq", "payload", "created")[:AT_ONCE]


def curves_of(session: int, last_seq: int) -> Curves:
    """Return the curves of a session up to ``last_seq`` or later, reading only what is new.

    A log that is shorter than what was read (a restored backup) is read from its beginning.
    """
    entry = _entry(session)
    with entry.lock:
        if entry.curves.seq > last_seq:
            entry.curves = Curves()
        if entry.curves.seq == last_seq:
            return entry.curves
        if not entry.curves.seq and last_seq:
            entry.curves = archived(session, last_seq)
        while rows := _events(session, entry.curves.seq):
            for seq, payload, created in rows:
                entry.curves.feed(seq, payload, created.timestamp())
            if len(rows) < AT_ONCE:
                break
        entry.points = sum(len(one) for one in entry.curves.series.values())
        return entry.curves


def archived(session: int, last_seq: int) -> Curves:
    """Return what the archive of a session tells, up to ``last_seq``: its curves, else its log; empty without one."""
    found = archive.read_curves(session)
    if found is not None and found.seq <= last_seq:
        return found
    curves = Curves()
    if archive.log_file(session).is_file() and not SessionEvent.objects.filter(session_id=session, seq=1).exists():
        for event in archive.read_log(session):
            curves.feed(event.seq, event.payload, event.created.timestamp())
    return curves


def forget_all() -> None:
    """Empty the cache; tests reuse session numbers."""
    with _guard:
        _entries.clear()
