"""Counters that the processes of a host share: a small file in memory, bounded whatever is counted.

A slot holds the digest of what is counted, its window and how often it was seen. A key looks in a few slots; where all
are taken in this window by others, it takes over the one that was seen least.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where one process serves
    fcntl = None  # type: ignore[assignment]

#: Digest, window, count.
SLOT = struct.Struct("<QIi")
SLOTS = 1 << 16
PROBES = 8


class SharedCounters:
    """Counts by key and window, for all threads and processes that open the same ``path``."""

    def __init__(self, path: Path, slots: int = SLOTS) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._slots, self._lock = slots, threading.Lock()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        if os.fstat(self._file).st_size != slots * SLOT.size:
            os.ftruncate(self._file, slots * SLOT.size)
        self._map = mmap.mmap(self._file, slots * SLOT.size)

    def count(self, key: str, window: int) -> int:
        """Count one of ``key`` in ``window`` and return how many that makes."""
        digest = int.from_bytes(hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=8).digest(), "little")
        with self._alone():
            at, seen = self._find(digest, window)
            SLOT.pack_into(self._map, at, digest, window, seen + 1)
        return seen + 1

    def _find(self, digest: int, window: int) -> tuple[int, int]:
        """Return the place of a key and what it has counted there."""
        free, least = -1, (1 << 31, 0)
        for probe in range(PROBES):
            at = (digest + probe) % self._slots * SLOT.size
            owner, when, seen = SLOT.unpack_from(self._map, at)
            if (owner, when) == (digest, window):
                return at, seen
            if when != window:
                free = at if free < 0 else free
            elif seen < least[0]:
                least = (seen, at)
        return (free, 0) if free >= 0 else (least[1], 0)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._lock:
            if fcntl is not None:
                fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                if fcntl is not None:
                    fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        self._map.close()
        os.close(self._file)
