"""How far an import is, written into its row; and the place where it hears that it should stop."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

from django.utils import timezone

from apps.marketdata.engine.import_states import ImportState
from apps.marketdata.engine.readers.options import Progress
from apps.marketdata.models import ImportJob, ImportStage

WRITE_SECONDS = 0.5
#: Shares of the whole: reading, then the checks, then storing.
READING, CHECKING = 0.7, 0.85


class Stopped(BaseException):
    """It stops at a file or block; ``leaving``: because its worker goes, so that it should run again."""

    def __init__(self, *, leaving: bool) -> None:
        super().__init__("the import was stopped")
        self.leaving = leaving


class JobProgress:
    """The ``on_progress`` and ``on_stage`` of a job; raises ``Stopped`` when it should not go on."""

    def __init__(self, job: ImportJob, lease: timedelta, show: Progress | None = None) -> None:
        self.job, self.lease, self.show = job, lease, show
        self.leaving, self._next_write, self._files = False, 0.0, 0
        self._parent = int(os.environ.get("QP_PARENT_PID", "0"))
        self._last, self._begun = "", False
        sizes = sizes_of(Path(job.path), job.options.get("include", ""))
        job.files_total, job.bytes_total = len(sizes), sum(sizes)

    def leave(self) -> None:
        """Stop at the next file or block, and run again later."""
        self.leaving = True

    def __call__(self, share: float, what: str, rows: int = 0) -> None:
        if what != self._last:
            self._files, self._last = self._files + bool(self._last), what
        if self.show:
            self.show(share, what, rows)
        if not self._begun:
            self._begun, self.job.progress_before = True, READING * share
        self._write(
            READING * share, stage=ImportStage.READING, current=what[:200], rows_read=rows,
            bytes_read=int(share * self.job.bytes_total), files_read=min(self._files, self.job.files_total),
        )  # fmt: skip

    def stage(self, name: str) -> None:
        """Note that reading is done and what comes now."""
        share = READING if name == ImportStage.CHECKING else CHECKING
        self._next_write = 0.0
        self._write(
            share, stage=name, current="", bytes_read=self.job.bytes_total, files_read=self.job.files_total,
        )  # fmt: skip

    def _write(self, progress: float, **values: object) -> None:
        now = time.monotonic()
        if now >= self._next_write:
            self._next_write = now + WRITE_SECONDS
            job = self.job
            job.progress = progress
            for name, value in values.items():
                setattr(job, name, value)
            rows = ImportJob.objects.filter(pk=job.pk, attempt=job.attempt)
            wanted = rows.values_list("state", flat=True).first()
            rows.update(
                progress=progress, leased_until=timezone.now() + self.lease, files_total=job.files_total,
                bytes_total=job.bytes_total, progress_before=job.progress_before, **values,
            )  # fmt: skip
            if wanted != ImportState.RUNNING:
                raise Stopped(leaving=False)
        if self.leaving or (self._parent and os.name == "posix" and os.getppid() != self._parent):
            raise Stopped(leaving=True)


def sizes_of(path: Path, include: str = "") -> list[int]:
    """Return the sizes of what will be read: the file's, or those of the files directly in a folder."""
    if path.is_dir():
        return [file.stat().st_size for file in path.glob(include or "*") if file.is_file()]
    return [path.stat().st_size] if path.is_file() else []
