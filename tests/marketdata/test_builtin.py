"""The built-in catalogue is the package's file, raw and adjusted, without importing the package."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from apps.marketdata.engine import builtin
from apps.marketdata.engine.bars import PRICE_FIELDS
from apps.ui.engine.refusal import Refusal


@pytest.fixture(scope="module")
def catalogue():
    return builtin.builtin_catalogue()


def test_the_five_stocks_are_there_from_their_first_day(catalogue):
    for item in catalogue:
        panel = item.imported.panel
        assert panel.symbols == ("AAPL", "FB", "GOOG", "IBM", "MSFT")
        assert item.imported.rows == 12_154
        assert [str(time)[:10] for time in panel.times[[0, -1]]] == ["2000-03-01", "2013-03-01"]
        first = panel.times[np.argmax(~np.isnan(panel.close[panel.index_of("GOOG")]))]
        assert str(first)[:10] == "2004-08-19"
        assert (panel.frequency, panel.currency) == ("1d", "USD")


def test_adjusted_prices_keep_the_shape_of_the_day_and_the_money_traded(catalogue):
    raw, adjusted = (item.imported.panel for item in catalogue)
    np.testing.assert_array_equal(adjusted.close, raw.adj_close)
    for name in PRICE_FIELDS:
        np.testing.assert_allclose(adjusted.fields[name] / adjusted.close, raw.fields[name] / raw.close, rtol=1e-12)
    np.testing.assert_allclose(adjusted.close * adjusted.volume, raw.close * raw.volume, rtol=1e-12)
    assert not (adjusted.high < np.fmax(adjusted.open, adjusted.close)).any()
    assert not (adjusted.low > np.fmin(adjusted.open, adjusted.close)).any()


def test_the_package_is_read_by_path_and_not_imported(catalogue):
    assert "bokeh_sampledata" not in sys.modules


def test_without_the_package_the_reason_is_said(monkeypatch):
    monkeypatch.setattr(builtin, "PACKAGE", "no_such_package_here")
    with pytest.raises(Refusal) as caught:
        builtin.builtin_catalogue()
    assert caught.value.code == "no_builtin_data"
