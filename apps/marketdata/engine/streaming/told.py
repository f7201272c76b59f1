"""What the blocks of one file tell of the whole: the first block decides, the last one says whether it was right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.assemble import RawBars
from apps.marketdata.engine.derive import unit_of
from apps.marketdata.engine.findings import Finding
from apps.marketdata.engine.readers.clock import which_order
from apps.marketdata.engine.readers.options import ReadOptions

DAY_NS = 86_400 * 10**9
NEVER = int(np.iinfo(np.int64).min)


@dataclass
class Told:
    """Sums over the blocks; each is a number, a mark or a short list, so that it goes into the state."""

    first: int | None = None
    one_clock: bool = True
    several: bool = False
    ordered: bool = False
    above: list[bool] = field(default_factory=lambda: [False, False])
    offsets: list[str] = field(default_factory=list)
    named: bool = False
    digits: bool = True
    six: bool = False
    money: int = 0
    lots: int = 0

    def add(self, seen: Mapping[str, Any]) -> None:
        """Take what a block has told (``RawBars.seen``)."""
        if "first" in seen:
            first = self.first if self.first is not None else seen["first"]
            self.several = self.several or seen["several"] or seen["first"] != first
            self.one_clock = self.one_clock and seen["one_clock"] and seen["first"] % DAY_NS == first % DAY_NS
            self.first = first
            self.offsets = sorted({*self.offsets, *seen["offsets"]})
        if seen.get("orders"):
            self.ordered = True
            self.above = [old or new for old, new in zip(self.above, seen["orders"], strict=True)]
        if "digits" in seen:
            self.named, self.digits, self.six = True, self.digits and seen["digits"], self.six or seen["six"]
        self.money, self.lots = self.money + seen.get("money", 0), self.lots + seen.get("lots", 0)

    def decided(self, options: ReadOptions) -> dict[str, Any]:
        """Return what the reader would decide of all that these blocks hold."""
        clock = (self.first or 0) % DAY_NS
        daily = self.one_clock and (clock == 0 or self.several)
        order = which_order(*self.above) if self.ordered else ""
        return {
            "daily": daily if options.daily is None else options.daily,
            "date_order": options.date_order or order,
            "zeros": self.named and self.digits and self.six,
        }

    @property
    def undecided_order(self) -> bool:
        """Nothing above 12 among dates like 3/4/2024."""
        return self.ordered and not any(self.above)

    @property
    def unit(self) -> int:
        """Shares in one unit of volume."""
        return unit_of(self.money, self.lots)

    def document(self) -> dict[str, Any]:
        return asdict(self)


class Order:
    """Hears the rows of a file block by block and tells whether they came oldest first within each symbol."""

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        kept = state or {}
        self.forward: bool = kept.get("forward", False)
        self.backward: list[Any] | None = kept.get("backward")
        self._last = np.array(kept.get("last", []), dtype=np.int64)

    def add(self, bars: RawBars, codes: NDArray[np.int32]) -> None:
        """Take the next rows; ``codes`` (N,) number their symbols."""
        if len(self._last) <= codes.max():
            more = np.full(int(codes.max()) + 1 - len(self._last), NEVER)
            self._last = np.concatenate([self._last, more])
        # Numbers of 16 bits are sorted by counting.
        small = codes.astype(np.uint16) if len(self._last) < 2**16 else codes
        order = np.argsort(small, kind="stable")
        code, time = codes[order], bars.time.astype("datetime64[ns]").astype(np.int64)[order]
        first = np.concatenate([[True], code[1:] != code[:-1]])
        before = np.concatenate([[NEVER], time[:-1]])
        before[first] = self._last[code[first]]
        known = before != NEVER
        self.forward = self.forward or bool((known & (time > before)).any())
        if self.backward is None and (wrong := order[known & (time < before)]).size:
            at = int(wrong.min())
            self.backward = [str(bars.symbol[at]), str(bars.time[at]), int(bars.line[at])]
        last = np.concatenate([first[1:], [True]])
        self._last[code[last]] = time[last]

    def findings(self) -> list[Finding]:
        """Return what ``assemble.order_findings`` says of the whole."""
        if self.backward is None:
            return []
        if not self.forward:
            return [Finding("newest_first", "note", params={})]
        symbol, time, line = self.backward
        return [Finding("unsorted_time", "warning", symbol, np.datetime64(time, "ns"), line)]

    def document(self) -> dict[str, Any]:
        return {"forward": self.forward, "backward": self.backward, "last": self._last.tolist()}
