"""Loaded by every process of a chaos installation: moves its clock and fills its disk on demand.

``FAULT_FOLDER/clock`` holds the seconds by which the wall clock is off; while ``FAULT_FOLDER/disk_full``
exists no file can be flushed to the disk.
"""

import errno
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.utils import timezone

FOLDER = Path(os.environ["FAULT_FOLDER"])
_now, _fsync = timezone.now, os.fsync


def now() -> datetime:
    try:
        return _now() + timedelta(seconds=float((FOLDER / "clock").read_text()))
    except (OSError, ValueError):
        return _now()


def fsync(descriptor: Any) -> None:
    if (FOLDER / "disk_full").exists():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    _fsync(descriptor)


timezone.now = now
setattr(os, "fsync", fsync)  # noqa: B010 - its type knows only what the system offers
