"""Where an import keeps what it has read: a folder that no other import uses at the same moment.

Each path with its options has a seat, and a further one for every import of it that is under way. The lock is the
operating system's, on the folder itself: it is gone with the process that held it, however that ended.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from apps.marketdata.engine.readers.options import ReadOptions

try:
    import fcntl
except ImportError:  # Windows: imports of one path have to be started one after the other
    fcntl = None  # type: ignore[assignment]


@contextmanager
def seat(path: Path, options: ReadOptions, root: Path) -> Iterator[Path]:
    """Hold the first free seat of ``path`` below ``root``, with what a stopped import left in it, and yield its folder.

    The folder is removed at the end; it stays where the end is an exception, for the import to go on from.
    """
    folder, lock = _taken(path, options, root)
    try:
        yield folder
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def forget(path: Path, options: ReadOptions, root: Path) -> None:
    """Remove what stopped imports of ``path`` have left; seats of those under way stay."""
    for number in count(1):
        folder = _folder(path, options, root, number)
        if not folder.is_dir():
            return
        lock = _locked(folder)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _taken(path: Path, options: ReadOptions, root: Path) -> tuple[Path, int]:
    number = 1
    while True:
        folder = _folder(path, options, root, number)
        folder.mkdir(parents=True, exist_ok=True)
        lock = _locked(folder)
        if lock is not None:
            return folder, lock
        number += 1


def _folder(path: Path, options: ReadOptions, root: Path, number: int) -> Path:
    name = hashlib.sha256(f"{path.resolve()} {options}".encode()).hexdigest()[:32]
    return root / (name if number == 1 else f"{name}-{number}")


def _locked(folder: Path) -> int | None:
    """Return the lock of a folder, to be closed; None where another import holds it or has just removed it."""
    if fcntl is None:
        return os.open(os.devnull, os.O_RDONLY)
    try:
        lock = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock), folder.stat()):
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(lock)
    return None
