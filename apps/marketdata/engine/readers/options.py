"""What the person importing can say about a file; everything has a sensible guess."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

MEGABYTE = 1024 * 1024


class Progress(Protocol):
    """Hears the share done (0 to 1), what is being read and the rows read so far; raising stops the reading."""

    def __call__(self, share: float, what: str, rows: int = 0) -> None: ...


@dataclass(frozen=True)
class ReadOptions:
    """How to read a file or a folder.

    ``time_zone`` is the clock of intraday times that carry no offset. ``symbol`` names the
    one instrument of a file without a symbol column (else the file's name does).
    ``columns`` name the cells of a file without a header line. ``date_order`` decides
    3/4/2024. ``limit_bytes`` bounds one file after decompression. ``lenient`` is for
    checking, never for importing: a repeated bar and, in a folder, a file that is refused
    become findings. ``mapping`` gives a column its meaning (or none: an empty word) where its
    name does not. ``include`` is a file-name pattern for folders. ``stamp`` says whether an
    intraday bar carries its ``end`` (kept) or its ``start`` (moved by one bar).
    ``volume_unit`` is the shares in one unit of volume, 0: 1, or 100 where the money traded
    proves lots. ``first_day`` numbers the rows of a file without dates (ISO day).
    ``daily`` None: daily where every time shows the same clock. ``symbols`` ``as_is`` keeps names as they are written.
    ``levels`` is how many levels of an order book are kept on each side.

    ``part`` is of those who read a file block by block: the rows are a part of it, ``first_row`` rows of it came
    before, and what only the whole can tell (``daily``, ``date_order``, ``zeros``) is guessed and told in ``seen``.
    ``zeros`` says whether names of digits are filled up to six, None: where one of them has six.
    """

    format: str = "auto"
    currency: str = ""
    time_zone: str = "UTC"
    symbol: str = ""
    columns: tuple[str, ...] = ()
    date_order: Literal["", "mdy", "dmy"] = ""
    limit_bytes: int = 2048 * MEGABYTE
    lenient: bool = False
    mapping: Mapping[str, str] = field(default_factory=dict)
    include: str = ""
    stamp: Literal["end", "start"] = "end"
    volume_unit: int = 0
    first_day: str = ""
    symbols: Literal["normal", "as_is"] = "normal"
    daily: bool | None = None
    levels: int = 20
    part: bool = False
    first_row: int = 0
    zeros: bool | None = None


def no_progress(share: float, what: str, rows: int = 0) -> None:
    """Report to nobody."""
