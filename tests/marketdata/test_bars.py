"""The panel: chosen parts, names that are missing, bars of a year."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from apps.marketdata.engine.bars import BarPanel
from apps.ui.engine.refusal import Refusal
from tests.marketdata.conftest import bars


def test_fields_are_attributes_and_others_are_not():
    panel = bars([1.0, 2.0])
    assert panel.close is panel.fields["close"]
    with pytest.raises(AttributeError, match="mood"):
        _ = panel.mood


def test_a_year_has_252_daily_bars_and_as_many_others_as_the_span_shows():
    assert bars([1.0, 2.0]).bars_per_year == 252
    hours = np.datetime64("2024-01-01", "ns") + np.arange(241) * np.timedelta64(1, "h")
    panel = BarPanel(("A",), hours, {"close": np.ones((1, 241))}, frequency="1h")
    assert panel.bars_per_year == pytest.approx(24 * 365.25, rel=0.01)


def test_an_unknown_symbol_is_refused_with_those_there_are():
    panel = bars([1.0], name="set@1")
    with pytest.raises(Refusal) as caught:
        panel.index_of("ZZZ")
    assert str(caught.value) == "ZZZ is not in set@1. It has AAA."


def test_a_part_keeps_both_ends_and_the_order_asked_for():
    one = bars([1.0, 2.0, 3.0, 4.0])
    two = BarPanel(("A", "B"), one.times, {"close": np.array([[1.0, 2, 3, 4], [5, 6, 7, 8]])}, currency="USD")
    part = two.select(["B", "A"], date(2024, 1, 2), date(2024, 1, 3))
    assert (part.symbols, part.close.tolist(), part.currency) == (("B", "A"), [[6, 7], [2, 3]], "USD")
    assert two.select().close.tolist() == two.close.tolist()
