"""New bars over those held."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.marketdata.engine.assemble import Imported
from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.corporate import CorporateAction
from apps.marketdata.engine.sources.merge import merged, restated
from apps.marketdata.engine.universe import Membership
from apps.ui.engine.refusal import Refusal
from tests.marketdata.conftest import bars

DAYS = np.busday_offset("2024-01-01", np.arange(8)).astype("datetime64[ns]")


def panel(cells: dict[tuple[str, int], float]) -> BarPanel:
    """A panel from (symbol, day) → close."""
    symbols = tuple(sorted({symbol for symbol, _ in cells})) or ("AAA",)
    columns = sorted({day for _, day in cells})
    close = np.full((len(symbols), len(columns)), np.nan)
    for (symbol, day), value in cells.items():
        close[symbols.index(symbol), columns.index(day)] = value
    fields = {name: close.copy() for name in ("open", "high", "low", "close")} | {
        "volume": np.full(close.shape, np.nan)
    }
    return BarPanel(symbols, DAYS[columns], fields)


def cells_of(found: BarPanel) -> dict[tuple[str, int], float]:
    close = found.fields["close"]
    return {
        (symbol, int(np.searchsorted(DAYS, found.times[column]))): float(close[row, column])
        for row, symbol in enumerate(found.symbols) for column in range(len(found.times)) if np.isfinite(close[row, column])
    }  # fmt: skip


CELLS = st.dictionaries(
    st.tuples(st.sampled_from(["AAA", "BBB", "CCC"]), st.integers(0, 7)), st.sampled_from([1.0, 2.0, 3.0]), min_size=1
)


@settings(max_examples=60)
@given(CELLS, CELLS)
def test_merging_is_what_joining_the_rows_is(old, new):
    result = merged(panel(old), (), (), Imported(panel(new)))
    assert cells_of(result.imported.panel) == {**old, **new}
    changed = sum(key in old and old[key] != value for key, value in new.items())
    assert (result.added, result.changed, result.same) == (
        len(new.keys() - old.keys()), changed, len(new.keys() & old.keys()) - changed,
    )  # fmt: skip
    again = merged(result.imported.panel, (), (), Imported(panel(new)))
    assert (again.added, again.changed) == (0, 0)
    assert list(result.imported.panel.times) == sorted(set(result.imported.panel.times))


def test_a_value_the_new_bars_do_not_know_stays():
    held = bars([1.0, 2.0], amount=[10.0, 20.0])
    new = replace(bars([1.0, 2.5]), fields={**bars([1.0, 2.5]).fields, "volume": np.array([[np.nan, 7.0]])})
    found = merged(held, (), (), Imported(new)).imported.panel
    assert found.fields["amount"][0].tolist() == [10.0, 20.0]
    assert found.fields["volume"][0].tolist() == [1000.0, 7.0]


def test_stated_events_and_spans_are_joined():
    day = DAYS[1].astype("datetime64[D]")
    old = CorporateAction("AAA", day, "dividend", cash=1.0, factor=0.9, source="columns")
    new = CorporateAction("AAA", day, "dividend", cash=2.0, factor=0.8, source="columns")
    split = CorporateAction("AAA", day, "split", ratio=2.0, factor=0.5, source="columns")
    span = Membership("u", "AAA", day, day)
    found = merged(
        bars([1.0, 2.0]), (old,), (span,), Imported(bars([1.0, 2.0]), events=(new, split), membership=(span,))
    )
    assert found.imported.events == (new, split)
    assert found.imported.membership == (span,)


def test_derived_events_are_found_again_in_the_whole():
    held, new = bars([10.0, 10.0], factor=[1.0, 1.0]), bars([5.0, 5.0], start="2024-01-03", factor=[2.0, 2.0])
    events = merged(held, (), (), Imported(new)).imported.events
    assert [(event.kind, event.ratio, event.source) for event in events] == [("split", 2.0, "factor")]


def test_bars_of_a_day_and_of_a_minute_are_not_mixed():
    minute = replace(bars([1.0]), frequency="1min", times=DAYS[:1] + np.timedelta64(571, "m"))
    with pytest.raises(Refusal) as caught:
        merged(bars([1.0]), (), (), Imported(minute))
    assert caught.value.code == "mixed_frequency"


@pytest.mark.parametrize(
    ("closes", "found"),
    [([5.0, 5.5, 6.0], ["AAA"]), ([10.0, 11.0, 12.0], []), ([10.0, 11.0, 12.5], []), ([5.0, 5.5, 12.0], []), ([9.99, 10.989, 11.988], ["AAA"]),
     ([10.0001, 11.0001, 12.0001], []), ([np.nan, np.nan, np.nan], [])],
)  # fmt: skip
def test_a_history_that_was_rewritten_stands_off_by_one_ratio(closes, found):
    assert restated(bars([10.0, 11.0, 12.0]), bars(closes)) == found
    assert restated(bars([10.0, 11.0, 12.0]), bars(closes, start="2025-01-01")) == []
    assert restated(bars([10.0, 11.0, 12.0]), bars(closes, symbol="BBB")) == []
