"""The curves of sessions, kept in this process and brought up to date from the log when asked."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock

from apps.sessions import archive
from apps.sessions.engine.curves import Curves
from apps.sessions.models import SessionEvent

#: Sessions whose curves stay in memory (about 32 bytes a point).
KEPT = 16


@dataclass
class _Entry:
    curves: Curves = field(default_factory=Curves)
    lock: Lock = field(default_factory=Lock)


_entries: OrderedDict[int, _Entry] = OrderedDict()
_guard = Lock()


def _entry(session: int) -> _Entry:
    with _guard:
        entry = _entries.setdefault(session, _Entry())
        _entries.move_to_end(session)
        while len(_entries) > KEPT:
            _entries.popitem(last=False)
        return entry


def curves_of(session: int, last_seq: int) -> Curves:
    """Return the curves of a session up to ``last_seq`` or later, reading only what is new.

    A log that is shorter than what was read (a restored backup) is read from its beginning.
    """
    entry = _entry(session)
    with entry.lock:
        if entry.curves.seq > last_seq:
            entry.curves = Curves()
        if not entry.curves.seq and last_seq:
            entry.curves = archived(session, last_seq)
        rows = SessionEvent.objects.filter(session_id=session, seq__gt=entry.curves.seq).order_by("seq")
        for seq, payload, created in rows.values_list("seq", "payload", "created").iterator(chunk_size=2000):
            entry.curves.feed(seq, payload, created.timestamp())
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
