"""Answers on the disk: found by their question, kept under the hash of their content.

``index/<hash of the question>.json`` says which content answers it, ``objects/<sha-256>`` is that
content. Both appear whole or not at all; a content that is not what its name says is thrown away
and asked for again. A folder belongs to one person: it is readable by its owner alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .calls import Answer

GIGABYTE = 2**30
#: Headers that are worth keeping: what the content is, and of which data.
HEADERS = frozenset({"content-type", "etag", "x-content-hash", "x-dataset"})


@dataclass(frozen=True)
class Entry:
    """A line of the index; ``fresh_until`` in seconds since 1970, 0 where the server is to be asked."""

    question: str
    sha256: str
    headers: Mapping[str, str]
    kept_at: str
    fresh_until: float = 0.0


@dataclass(frozen=True)
class Kept:
    """An entry with its content."""

    entry: Entry
    content: bytes

    @property
    def etag(self) -> str:
        return self.entry.headers.get("etag", "")

    @property
    def is_fresh(self) -> bool:
        return time.time() < self.entry.fresh_until

    @property
    def answer(self) -> Answer:
        return Answer(200, self.entry.headers, self.content, kept_at=self.entry.kept_at)


class DiskCache:
    """A folder of answers, at most ``most_bytes`` of content; what was not read for longest goes first."""

    def __init__(self, folder: str | os.PathLike[str], most_bytes: int = GIGABYTE) -> None:
        if most_bytes <= 0:
            raise ValueError("most_bytes is a positive number of bytes")
        self.folder, self.most_bytes = Path(folder).expanduser(), most_bytes
        for name in ("index", "objects"):
            (self.folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)

    def get(self, question: str) -> Kept | None:
        """Return the whole content kept for a question; what is damaged is removed and not there."""
        path = self._index(question)
        try:
            entry = Entry(**json.loads(path.read_text(encoding="utf-8")))
            content = self._object(entry.sha256).read_bytes()
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError):
            path.unlink(missing_ok=True)
            return None
        if entry.question != question or hashlib.sha256(content).hexdigest() != entry.sha256:
            path.unlink(missing_ok=True)
            self._object(entry.sha256).unlink(missing_ok=True)
            return None
        with contextlib.suppress(OSError):
            os.utime(self._object(entry.sha256))
        return Kept(entry, content)

    def put(self, question: str, answer: Answer) -> None:
        """Keep an answer; one larger than the whole cache is not kept, a full disk is no error."""
        if len(answer.content) > self.most_bytes or "no-store" in answer.headers.get("cache-control", ""):
            return
        digest = hashlib.sha256(answer.content).hexdigest()
        headers = {name: value for name, value in answer.headers.items() if name in HEADERS}
        entry = Entry(question, digest, headers, datetime.now(UTC).isoformat(), _fresh_until(answer.headers))
        with contextlib.suppress(OSError):
            if not self._object(digest).is_file():
                self._make_room(len(answer.content))
                self._write(self._object(digest), answer.content)
            self._write_entry(question, entry)

    def renew(self, question: str, kept: Kept, headers: Mapping[str, str]) -> None:
        """Note that the server stands by what is kept."""
        with contextlib.suppress(OSError):
            self._write_entry(question, replace(kept.entry, fresh_until=_fresh_until(headers)))

    def clear(self) -> None:
        """Throw everything away."""
        for path in (*self.folder.glob("index/*"), *self.folder.glob("objects/*")):
            path.unlink(missing_ok=True)

    def size(self) -> int:
        """Return the bytes of content on the disk."""
        return sum(size for _, size, _ in self._objects())

    def _index(self, question: str) -> Path:
        return self.folder / "index" / f"{hashlib.sha256(question.encode()).hexdigest()}.json"

    def _object(self, digest: str) -> Path:
        if len(digest) != 64 or not digest.isalnum():
            raise ValueError("this is no hash")
        return self.folder / "objects" / digest

    def _write_entry(self, question: str, entry: Entry) -> None:
        self._write(self._index(question), json.dumps(asdict(entry)).encode())

    def _write(self, path: Path, content: bytes) -> None:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)
        finally:
            Path(name).unlink(missing_ok=True)

    def _objects(self) -> list[tuple[float, int, Path]]:
        found: list[tuple[float, int, Path]] = []
        for path in self.folder.glob("objects/*"):
            with contextlib.suppress(OSError):
                state = path.stat()
                found.append((state.st_mtime, state.st_size, path))
        return sorted(found, key=lambda item: item[0])

    def _make_room(self, wanted: int) -> None:
        objects = self._objects()
        used = sum(size for _, size, _ in objects)
        for _, size, path in objects:
            if used + wanted <= self.most_bytes:
                return
            path.unlink(missing_ok=True)
            used -= size


def _fresh_until(headers: Mapping[str, Any]) -> float:
    """Return until when the server need not be asked, by ``Cache-Control: max-age``."""
    for item in str(headers.get("cache-control", "")).split(","):
        name, _, value = item.strip().partition("=")
        if name == "max-age" and value.isdecimal():
            return time.time() + min(int(value[:9]), 31 * 86_400)
    return 0.0
