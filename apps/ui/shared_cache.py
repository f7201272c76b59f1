"""The cache of the web processes of one host: Django's files, with what must happen once happening once.

A second factor's code counts once and a request counts once whichever process answers; Django's own backend looks
and writes in two steps that two processes could take together.
"""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.filebased import FileBasedCache
from django.core.files import locks

#: Seconds between two looks for entries that ran out; Django lists the whole folder for every write.
TIDY_SECONDS = 60.0


class SharedCache(FileBasedCache):
    """``add`` and ``incr`` are one step for all threads and processes."""

    _dir: str

    def __init__(self, dir: str, params: dict[str, Any]) -> None:
        super().__init__(dir, params)
        self._tidy_at = 0.0

    def add(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        if self.has_key(key, version):  # the usual answer needs no lock
            return False
        with self._alone():
            added: bool = super().add(key, value, timeout, version)
            return added

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        with self._alone():
            return int(super().incr(key, delta, version))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        os.makedirs(self._dir, mode=0o700, exist_ok=True)
        with open(os.path.join(self._dir, "lock"), "ab") as file:
            locks.lock(file, locks.LOCK_EX)
            try:
                yield
            finally:
                locks.unlock(file)

    def _cull(self) -> None:
        """Now and then remove what ran out, then as many as Django would where too many are left."""
        now = time.monotonic()
        if now < self._tidy_at:
            return
        self._tidy_at = now + TIDY_SECONDS
        for name in glob.iglob(os.path.join(glob.escape(self._dir), f"*{self.cache_suffix}")):
            with suppress(OSError), open(name, "rb") as file:
                self._is_expired(file)  # type: ignore[attr-defined] # It removes such a one.
        super()._cull()  # type: ignore[misc] # Not told of by the stubs.
