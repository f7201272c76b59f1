"""Bars in memory: dense (symbol x time) arrays over one time axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.instants import instant
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

PRICE_FIELDS = ("open", "high", "low", "close")
FIELDS = (*PRICE_FIELDS, "volume")
# What a dataset may hold beside the five; every field is (S, T) float64, NaN where unknown.
# amount: money traded, in the prices' currency; vwap: amount / volume in shares, where it lies in the bar;
# prev_close: what today's limits refer to; suspended, st: 1 or 0; adj_close, factor: the vendor's own figures;
# funding: rate of a perpetual at its funding time, on the bar that begins then (of a daily bar: the sum of its day);
# limit_up, limit_down, open_interest, bid, ask, bid_size, ask_size: as the source has them.


@dataclass(frozen=True)
class BarPanel:
    """Bars of S symbols over T times.

    ``fields`` maps a field name to an (S, T) float64 array, NaN where the symbol has no bar;
    ``times`` is (T,) datetime64[ns], strictly increasing: the session's date at midnight for
    daily bars, the bar's end in UTC otherwise. Arrays may be memory-mapped and read-only.
    """

    symbols: tuple[str, ...]
    times: NDArray[np.datetime64]
    fields: Mapping[str, NDArray[np.float64]]
    frequency: str = "1d"
    currency: str = ""
    name: str = ""
    content_hash: str = ""
    meta: Mapping[str, object] = field(default_factory=dict)

    def __getattr__(self, name: str) -> NDArray[np.float64]:
        try:
            return self.__dict__["fields"][name]  # type: ignore[no-any-return]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def bars_per_year(self) -> float:
        """Bars of one year: 252 for daily bars, else counted from the span."""
        if self.frequency == "1d":
            return 252.0
        days = (self.times[-1] - self.times[0]) / np.timedelta64(1, "D")
        return float(len(self.times) / max(days, 1.0) * 365.25)

    def index_of(self, symbol: str) -> int:
        """Return the row of ``symbol``; refuse one the panel lacks, naming those it has."""
        try:
            return self.symbols.index(symbol)
        except ValueError:
            known = ", ".join(self.symbols[:12]) + ("…" if len(self.symbols) > 12 else "")
            raise Refusal(
                "unknown_symbol",
                N_("%(symbol)s is not in %(dataset)s. It has %(known)s."),
                field="symbol", symbol=symbol, dataset=self.name or "-", known=known,
            ) from None  # fmt: skip

    def bars(self, part: slice) -> BarPanel:
        """Return the bars of a slice of the time axis."""
        return replace(self, times=self.times[part], fields={name: a[:, part] for name, a in self.fields.items()})

    def select(
        self,
        symbols: Sequence[str] | None = None,
        start: date | np.datetime64 | None = None,
        end: date | np.datetime64 | None = None,
    ) -> BarPanel:
        """Return the part with ``symbols`` from ``start`` to ``end`` inclusive (views where possible)."""
        low = 0 if start is None else int(np.searchsorted(self.times, instant(start)))
        high = (
            len(self.times) if end is None else int(np.searchsorted(self.times, instant(end) + np.timedelta64(1, "D")))
        )
        rows: slice | list[int] = slice(None) if symbols is None else [self.index_of(s) for s in symbols]
        return BarPanel(
            symbols=self.symbols if symbols is None else tuple(symbols),
            times=self.times[low:high],
            fields={name: array[rows, low:high] for name, array in self.fields.items()},
            frequency=self.frequency, currency=self.currency, name=self.name,
            content_hash=self.content_hash, meta=self.meta,
        )  # fmt: skip
