"""Qlib's layout byte by byte, and the comparison with what Qlib reads (Qlib itself in test_commands)."""

from __future__ import annotations

import json
import sys

import numpy as np
import pandas as pd
import pytest

from apps.marketdata.engine import qlib_check, store
from apps.marketdata.engine.qlib_export import export_qlib, time_text
from apps.ui.engine.refusal import Refusal
from tests.marketdata.conftest import bars


@pytest.fixture
def panel():
    made = bars([10.0, 11.0, 12.0, 13.0])
    for values in made.fields.values():
        values[0, 0] = np.nan
    made.fields["close"][0, 2] = np.nan
    return made


def frame(panel, **changes):
    """What Qlib would return for the panel as raw prices."""
    from apps.marketdata.engine.qlib_export import symbol_fields

    values = symbol_fields(panel, 0, raw_prices=True)
    index = pd.MultiIndex.from_product([["AAA"], pd.DatetimeIndex(panel.times[1:])])
    table = pd.DataFrame({f"${name}": column[1:].astype("f4") for name, column in values.items()}, index=index)
    for name, value in changes.items():
        table.iloc[1, table.columns.get_loc(f"${name}")] = value
    return table


def test_a_bin_begins_with_its_place_in_the_calendar(panel, tmp_path):
    counts = export_qlib(panel, tmp_path / "q", raw_prices=True)
    close = np.fromfile(tmp_path / "q" / "features" / "aaa" / "close.day.bin", "<f4")
    np.testing.assert_array_equal(close, np.array([1, 11, np.nan, 13], "<f4"))
    change = np.fromfile(tmp_path / "q" / "features" / "aaa" / "change.day.bin", "<f4")
    np.testing.assert_allclose(change, np.array([1, np.nan, np.nan, 13 / 11 - 1], "<f4"))
    assert counts == {"symbols": 1, "times": 4, "files": 7}
    assert time_text(np.datetime64("2024-01-02T09:30"), "1min") == "2024-01-02 09:30:00"


def test_names_that_differ_in_case_only_would_overwrite_each_other(panel, tmp_path):
    from apps.marketdata.engine.bars import BarPanel

    twice = {name: np.concatenate([values, values]) for name, values in panel.fields.items()}
    with pytest.raises(Refusal) as caught:
        export_qlib(BarPanel(("spy", "SPY"), panel.times, twice), tmp_path / "q", raw_prices=True)
    assert caught.value.code == "bad_symbol"


def test_equal_values_are_equal(panel, monkeypatch, tmp_path):
    monkeypatch.setattr(qlib_check, "_load", lambda *args: (frame(panel), "day"))
    result = qlib_check.compare(tmp_path, panel, raw_prices=True)
    assert (result["verdict"], result["compared"], result["different"]) == ("equal", 21, 0)


@pytest.mark.parametrize(
    ("table", "first"),
    [(lambda panel: frame(panel, high=1.0), "high"), (lambda panel: frame(panel).iloc[:-1], None)],
)
def test_another_value_and_a_missing_row_are_different(panel, monkeypatch, tmp_path, table, first):
    monkeypatch.setattr(qlib_check, "_load", lambda *args: (table(panel), "day"))
    result = qlib_check.compare(tmp_path, panel, raw_prices=True)
    assert (result["verdict"], result["different"]) == ("different", 1)
    assert (result["first_difference"] or {}).get("field") == first


def test_a_symbol_qlib_does_not_know_is_named(panel, monkeypatch, tmp_path):
    monkeypatch.setattr(qlib_check, "_load", lambda *args: (pd.DataFrame(), "day"))
    result = qlib_check.compare(tmp_path, panel, raw_prices=True)
    assert (result["verdict"], result["missing_symbols"]) == ("different", ["AAA"])


@pytest.mark.parametrize(("changes", "status"), [({}, 0), ({"low": 3.0}, 1)])
def test_the_child_process_prints_json_and_tells_by_its_status(panel, monkeypatch, tmp_path, capsys, changes, status):
    folder = store.write_panel(panel, tmp_path)
    monkeypatch.setattr(qlib_check, "_load", lambda *args: (frame(panel, **changes), "day"))
    assert qlib_check.main([str(tmp_path), str(folder), "raw"]) == status
    assert json.loads(capsys.readouterr().out)["compared"] == 21


def test_a_symbol_without_bars_is_left_out(panel, tmp_path):
    from apps.marketdata.engine.bars import BarPanel

    fields = {name: np.concatenate([values, np.full_like(values, np.nan)]) for name, values in panel.fields.items()}
    export_qlib(BarPanel(("AAA", "BBB"), panel.times, fields), tmp_path / "q", raw_prices=False)
    assert (tmp_path / "q" / "instruments" / "all.txt").read_text() == "AAA\t2024-01-02\t2024-01-04\n"


def test_qlib_is_asked_for_the_fields_that_were_written(panel, monkeypatch, tmp_path):
    import types

    asked = {}
    data = types.SimpleNamespace(
        instruments=lambda market: market,
        features=lambda instruments, names, **options: asked.update(names=names, **options) or "frame",
    )
    fake = types.ModuleType("qlib")
    fake.init = lambda **options: asked.update(options)
    monkeypatch.setitem(sys.modules, "qlib", fake)
    monkeypatch.setitem(sys.modules, "qlib.data", types.SimpleNamespace(D=data))
    export_qlib(panel, tmp_path / "q", raw_prices=True)
    assert qlib_check._load(tmp_path / "q", panel) == ("frame", "day")
    assert "$factor" in asked["names"]
    assert asked["provider_uri"] == {"day": str(tmp_path / "q")}
