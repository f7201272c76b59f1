"""Locks of folders that the operating system gives, and takes back when their process ends.

POSIX locks the folder itself; Windows, where a folder cannot be locked, a file beside it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def _module(name: str) -> Any:
    """Return a module that only some systems have, or None."""
    return import_module(name) if find_spec(name) is not None else None


fcntl, msvcrt = _module("fcntl"), _module("msvcrt")


@dataclass(frozen=True)
class Lock:
    """A lock that is held until ``release`` or the end of the process."""

    descriptor: int
    on_release: Callable[[], None] = lambda: None

    def release(self) -> None:
        os.close(self.descriptor)
        self.on_release()


def locked(folder: Path) -> Lock | None:
    """Return the lock of a folder; None where another process or import holds it or has just removed the folder."""
    return _by_file(folder) if fcntl is None else _by_folder(folder)


def _by_folder(folder: Path) -> Lock | None:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), folder.stat()):
            return Lock(descriptor)
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def _by_file(folder: Path) -> Lock | None:
    """Lock the first byte of ``FOLDER.lock``.

    Windows removes no file that is open: one that can be opened and locked is the one that counts, and whoever lets go
    of it removes it unless somebody has opened it in the meantime.
    """
    file = folder.with_name(f"{folder.name}.lock")
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT)
    except PermissionError:  # being removed at this moment
        return None
    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except OSError:
        os.close(descriptor)
        return None
    if not folder.is_dir():
        os.close(descriptor)
        _removed(file)
        return None
    return Lock(descriptor, lambda: _removed(file))


def _removed(file: Path) -> None:
    try:
        file.unlink()
    except OSError:  # open elsewhere: whoever locked it removes it
        return
