"""One symbol's bars with their places, and the list that findings are collected in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.findings import Finding, Severity
from apps.marketdata.engine.store import row_mask, walk

# A list longer than this helps nobody; the rest is counted.
PER_SYMBOL, PER_CHECK = 100, 10_000


@dataclass(frozen=True)
class Series:
    """Bars of one symbol: ``at`` are their columns in the panel, every field is (N,) like ``at``."""

    symbol: str
    at: NDArray[np.int64]
    time: NDArray[np.datetime64]
    lines: NDArray[np.int64] | None
    fields: Mapping[str, NDArray[np.float64]]

    def __getattr__(self, name: str) -> NDArray[np.float64]:
        try:
            return self.__dict__["fields"][name]  # type: ignore[no-any-return]
        except KeyError:
            raise AttributeError(name) from None

    def __len__(self) -> int:
        return len(self.at)

    @property
    def traded(self) -> NDArray[np.bool_]:
        """Where something was traded, as far as the volume tells (unknown counts as traded)."""
        volume = self.fields["volume"]
        halted = self.fields["suspended"] == 1 if "suspended" in self.fields else np.zeros(len(volume), dtype=bool)
        if not (volume > 0).any():
            return ~halted
        return np.asarray((np.isnan(volume) | (volume != 0)) & ~halted)


@dataclass(frozen=True)
class Presence:
    """Where a symbol has bars, kept when its fields are let go of: columns ``at``, and where to look up the rest."""

    symbol: str
    at: NDArray[np.int32]
    axis: NDArray[np.datetime64]
    line_row: NDArray[np.int64] | None

    @property
    def time(self) -> NDArray[np.datetime64]:
        """The times of the bars, (N,)."""
        return self.axis[self.at]

    @property
    def lines(self) -> NDArray[np.int64] | None:
        """The source's lines of the bars, (N,)."""
        return None if self.line_row is None else np.asarray(self.line_row)[self.at]


def series_of(panel: BarPanel, lines: NDArray[np.int64] | None) -> Iterator[Series]:
    """Walk over the symbols that have bars; a row of the source whose cells are all empty is a bar too."""
    for row in walk([*panel.fields.values(), *([lines] if lines is not None else [])]):
        symbol, mask = panel.symbols[row], row_mask(panel, row)
        if lines is not None:
            mask |= np.asarray(lines[row]) > 0
        at = np.flatnonzero(mask)
        if not len(at):
            continue
        fields = {name: np.asarray(values[row])[at] for name, values in panel.fields.items()}
        yield Series(symbol, at, panel.times[at], None if lines is None else np.asarray(lines[row])[at], fields)


@dataclass
class Collector:
    """Collects findings and cuts endless lists of one kind, saying how many were left out."""

    kept: list[Finding] = field(default_factory=list)
    seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    cut: dict[str, tuple[int, Severity]] = field(default_factory=dict)
    everything: bool = False

    def add(
        self,
        check: str,
        severity: Severity,
        series: Series | Presence | None = None,
        at: int | np.integer[Any] | None = None,
        **params: Any,
    ) -> None:
        """Add a finding about bar ``at`` of ``series``, about the whole symbol, or about the whole set."""
        place: dict[str, Any] = {}
        if series is not None and at is not None:
            place = {"time": series.time[at], "row": int(at) + 1}
            if series.lines is not None and series.lines[at] > 0:
                place["line"] = int(series.lines[at])
        self.put(Finding(check, severity, series.symbol if series else "", params=params, **place))

    def put(self, finding: Finding) -> None:
        check, symbol = finding.check, finding.symbol
        self.seen[check, symbol] += 1
        self.seen[check, "*"] += 1
        if self.everything or (self.seen[check, symbol] <= PER_SYMBOL and self.seen[check, "*"] <= PER_CHECK):
            self.kept.append(finding)
        else:
            count = self.cut.get(check, (0, finding.severity))[0]
            self.cut[check] = (count + 1, finding.severity)

    def findings(self) -> list[Finding]:
        """Return errors first, then by symbol and time."""
        rank = {"error": 0, "warning": 1, "note": 2}
        rest = [
            Finding("more_like_this", severity, params={"count": count, "name": check})
            for check, (count, severity) in self.cut.items()
        ]
        never = np.datetime64("1970-01-01", "ns")

        def order(finding: Finding) -> tuple[Any, ...]:
            return rank[finding.severity], finding.check == "more_like_this", finding.symbol, finding.time or never

        return sorted([*self.kept, *rest], key=order)


def number(value: float) -> str:
    """Write a price as its source did: no digits that mean nothing."""
    return f"{value:.10g}"


def percent(value: float) -> str:
    """Write a return with its sign: +9.9 %, −49.6 %."""
    return f"{value:+.1%}".replace("-", "\u2212")
