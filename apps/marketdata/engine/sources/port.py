"""The port of a source: four things it can do, what it is given and what it gives back.

A source is a class without arguments. It is told everything by its ``Job`` and keeps nothing.
It writes files of bars, in any format the importer reads, into ``job.folder``; reading, checking,
merging and storing them is the platform's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import numpy as np

from apps.marketdata.engine.readers.options import Progress
from apps.marketdata.engine.sources.config import SourceConfig
from apps.marketdata.engine.sources.network import Network, TryAgain
from apps.marketdata.engine.symbols import canonical

__all__ = ["MOST_SYMBOLS", "Fetched", "Job", "Piece", "Said", "Source", "Stopped", "TryAgain", "sha256_of"]

#: Symbols a page or an answer lists at most.
MOST_SYMBOLS = 10_000
CHUNK = 1 << 20


class Said(NamedTuple):
    """A sentence for people: an English text (a msgid where it is ours), and what fills its ``%(name)s`` places."""

    message: str
    params: Mapping[str, Any] = {}

    def __str__(self) -> str:
        return self.message % self.params if self.params else self.message


class Stopped(Exception):
    """Somebody asked for the end; raised by ``job.progress`` and let through."""


@dataclass(frozen=True)
class Piece:
    """Where a part of the data came from: an address, path, table or symbol, never with a secret in it.

    ``sha256`` and ``size`` (bytes) are those of what was received; ``rows`` -1: not counted.
    """

    what: str
    sha256: str = ""
    size: int = 0
    rows: int = -1

    def as_dict(self) -> dict[str, Any]:
        return {"what": self.what[:400], "sha256": self.sha256, "size": self.size, "rows": self.rows}


@dataclass(frozen=True)
class Fetched:
    """What a source brought. No file means: nothing new.

    ``marks`` (JSON, small) are handed to the next job once this one is stored. ``whole``: the bars
    replace those held; otherwise they are merged, and a bar that is held already is revised.
    ``restates``: the vendor rewrites its history (splits); where the overlap shows it, everything is
    fetched again. ``reading`` overrides ``ReadOptions`` by name.
    """

    files: tuple[Path, ...] = ()
    pieces: tuple[Piece, ...] = ()
    marks: Mapping[str, Any] = field(default_factory=dict)
    whole: bool = False
    restates: bool = False
    reading: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """One request to a source.

    ``folder`` is empty and the job's own; ``root`` the server folder whose files people may import.
    ``secret`` are the fields of the chosen secret (a plain text is ``token``). ``held`` maps the
    symbols of the newest version to their last bar (UTC), empty on the first sync and when
    everything is wanted again. ``marks`` are those of the last stored sync. ``now`` is aware.
    ``progress(share, what)`` shows how far it is and raises ``Stopped``: call it often.
    """

    config: Any
    folder: Path
    root: Path
    network: Network
    now: datetime
    progress: Progress
    secret: Mapping[str, str] = field(default_factory=dict)
    held: Mapping[str, np.datetime64] = field(default_factory=dict)
    marks: Mapping[str, Any] = field(default_factory=dict)

    def since(self, symbol: str, overlap_days: int = 0) -> date | None:
        """Return the day of the last bar held of ``symbol``, less the overlap; None: from the beginning."""
        last = self.held.get(canonical(symbol))
        if last is None:
            return None
        day: date = last.astype("datetime64[D]").astype(date)
        return day - timedelta(days=overlap_days)

    def watermark(self, overlap_days: int = 0) -> date | None:
        """Return the day of the newest bar held of any symbol, less the overlap; None: from the beginning."""
        if not self.held:
            return None
        day: date = max(self.held.values()).astype("datetime64[D]").astype(date)
        return day - timedelta(days=overlap_days)


@runtime_checkable
class Source(Protocol):
    """What a source declares and does. Raises ``TryAgain`` for what may pass, ``Refusal`` for what will not.

    ``label`` and ``summary`` are English texts (msgids where they are ours); ``config`` declares the
    fields of the form, API and command; ``secret`` says in a sentence what the secret holds, empty
    where none is used; ``requires`` is the module a person has to install, empty for none.
    """

    label: ClassVar[str]
    summary: ClassVar[str]
    config: ClassVar[type[SourceConfig]]
    secret: ClassVar[str]
    requires: ClassVar[str]

    def test(self, job: Job) -> Said:
        """Reach the other side, read nothing large, and say in a sentence what is there."""
        ...

    def symbols(self, job: Job) -> Sequence[str]:
        """Return the names that can be asked for, at most ``MOST_SYMBOLS``."""
        ...

    def fetch(self, job: Job) -> Fetched:
        """Write what came since ``job.held`` into ``job.folder``."""
        ...


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()
