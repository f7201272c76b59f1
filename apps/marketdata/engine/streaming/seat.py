"""Where an import keeps what it has read: a folder that no other import uses at the same moment.

Each path with its options has a seat, and a further one for every import of it that is under way. The lock is the
operating system's (``locks``): it is gone with the process that held it, however that ended.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from apps.marketdata.engine.readers.options import ReadOptions
from apps.marketdata.engine.streaming.locks import Lock, locked


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
        lock.release()


def forget(path: Path, options: ReadOptions, root: Path) -> None:
    """Remove what stopped imports of ``path`` have left; seats of those under way stay."""
    for number in count(1):
        folder = _folder(path, options, root, number)
        if not folder.is_dir():
            return
        lock = locked(folder)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            lock.release()


def _taken(path: Path, options: ReadOptions, root: Path) -> tuple[Path, Lock]:
    number = 1
    while True:
        folder = _folder(path, options, root, number)
        folder.mkdir(parents=True, exist_ok=True)
        lock = locked(folder)
        if lock is not None:
            return folder, lock
        number += 1


def _folder(path: Path, options: ReadOptions, root: Path, number: int) -> Path:
    name = hashlib.sha256(f"{path.resolve()} {options}".encode()).hexdigest()[:32]
    return root / (name if number == 1 else f"{name}-{number}")
