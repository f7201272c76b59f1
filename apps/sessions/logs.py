"""The log of a run: its last lines from the live log, all of it from its file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from apps.sessions.archive import read_log
from apps.sessions.engine.events import LogLine
from apps.sessions.models import Session, SessionEvent
from apps.sessions.selectors import session_folder
from apps.ui.prepared import prepared

#: Events looked through for the last lines; about four minutes of a busy run.
WINDOW = 5000
PAGE_LINES = 200


def log_path(session_id: int) -> Path:
    return session_folder(session_id) / "log.txt"


@prepared
def _logs(session: int, after: int) -> QuerySet[SessionEvent, list[LogLine]]:
    rows = SessionEvent.objects.filter(session_id=session, seq__gt=after, payload__has_key="logs")
    return rows.order_by("-seq").values_list("payload__logs", flat=True)


def log_tail(session: Session, count: int = 12) -> list[LogLine]:
    """Return the last ``count`` lines, oldest first, with clock times of the active time zone."""
    lines: list[LogLine] = []
    for logs in _logs.most(count)(session.pk, session.last_seq - WINDOW):
        lines = list(logs) + lines
        if len(lines) >= count:
            break
    if not lines and session.archived_seq:
        kept = read_log(session.pk, max(session.archived_seq - WINDOW, 0))
        lines = [line for event in kept for line in event.payload.get("logs", ())]
    return [_local(line) for line in lines[-count:]]


def _local(line: LogLine) -> LogLine:
    moment = parse_datetime(line.get("time", ""))
    clock = f"{timezone.localtime(moment):%H:%M:%S}" if moment and timezone.is_aware(moment) else line.get("time", "")
    return {"time": clock, "level": line.get("level", "info"), "text": line.get("text", "")}


class LogLines(Sequence[str]):
    """The lines of a log file as a sequence that a paginator can slice without reading it whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._length: int | None = None

    def __len__(self) -> int:
        if self._length is None:
            self._length = sum(1 for _ in self._lines())
        return self._length

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        if not isinstance(index, slice):
            return self[index : index + 1][0]
        start, stop, _ = index.indices(len(self))
        return [line for number, line in enumerate(self._lines()) if start <= number < stop]

    def _lines(self) -> Iterator[str]:
        if not self.path.is_file():
            return
        with self.path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                yield line.rstrip("\n")[:2000]
