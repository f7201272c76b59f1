"""What changed between two datasets: symbols, days, single values, events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.corporate import CorporateAction
from apps.marketdata.engine.store import row_mask

MOST = 500


@dataclass(frozen=True)
class Change:
    """One value that differs; None where there is no bar."""

    symbol: str
    time: np.datetime64
    field: str
    before: float | None
    after: float | None


@dataclass(frozen=True)
class Difference:
    """Counts and the first changes; ``fields`` maps a field to how many of its values differ."""

    symbols_added: tuple[str, ...]
    symbols_removed: tuple[str, ...]
    bars_added: int
    bars_removed: int
    fields: dict[str, int]
    columns_added: tuple[str, ...]
    columns_removed: tuple[str, ...]
    changes: tuple[Change, ...]
    events_added: tuple[CorporateAction, ...] = ()
    events_removed: tuple[CorporateAction, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether nothing differs at all."""
        counts = (self.bars_added, self.bars_removed, *self.fields.values())
        parts = (self.symbols_added, self.symbols_removed, self.columns_added, self.columns_removed,
                 self.events_added, self.events_removed)  # fmt: skip
        return not any(counts) and not any(parts)


def diff(
    before: BarPanel,
    after: BarPanel,
    events_before: Sequence[CorporateAction] = (),
    events_after: Sequence[CorporateAction] = (),
) -> Difference:
    """Compare symbol by symbol; equal means the same double, or unknown in both."""
    names = [name for name in before.fields if name in after.fields]
    counts = dict.fromkeys(names, 0)
    changes: list[Change] = []
    added = removed = 0
    rows_after = {symbol: row for row, symbol in enumerate(after.symbols)}
    times = np.union1d(before.times, after.times)
    at = np.searchsorted(times, before.times), np.searchsorted(times, after.times)
    for row, symbol in enumerate(before.symbols):
        other = rows_after.get(symbol)
        if other is None:
            removed += int(row_mask(before, row).sum())
            continue
        here, there = np.zeros((2, len(times)), dtype=bool)
        here[at[0]], there[at[1]] = row_mask(before, row), row_mask(after, other)
        added, removed = added + int((there & ~here).sum()), removed + int((here & ~there).sum())
        for name in names:
            left, right = np.full((2, len(times)), np.nan)
            left[at[0]], right[at[1]] = before.fields[name][row], after.fields[name][other]
            differs = ~((left == right) | (np.isnan(left) & np.isnan(right)))
            counts[name] += int((differs & here & there).sum())
            if len(changes) < MOST:
                changes += [
                    Change(symbol, times[i], name, _value(left[i]), _value(right[i]))
                    for i in np.flatnonzero(differs)[: MOST - len(changes)]
                ]
    new = [symbol for symbol in after.symbols if symbol not in before.symbols]
    added += sum(int(row_mask(after, rows_after[symbol]).sum()) for symbol in new)
    return Difference(
        symbols_added=tuple(new), symbols_removed=tuple(s for s in before.symbols if s not in rows_after),
        bars_added=added, bars_removed=removed, fields={name: count for name, count in counts.items() if count},
        columns_added=tuple(_known(after, set(before.fields))),
        columns_removed=tuple(_known(before, set(after.fields))),
        changes=tuple(sorted(changes, key=lambda change: (change.symbol, change.time))),
        events_added=tuple(e for e in events_after if e not in set(events_before)),
        events_removed=tuple(e for e in events_before if e not in set(events_after)),
    )  # fmt: skip


def _known(panel: BarPanel, others: set[str]) -> Iterator[str]:
    """Yield the fields that only this panel has any value of."""
    return (name for name, values in panel.fields.items() if name not in others and not np.isnan(values).all())


def _value(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
