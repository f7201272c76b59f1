"""The analysis of a feature: a planted signal is found, noise is not, and figures are plain."""

from __future__ import annotations

import json
from datetime import date

import numpy as np
import pytest

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.features.answers import answer, feature_table, key, make_room
from apps.marketdata.engine.features.explore import analyse
from apps.marketdata.engine.features.worker import reply
from apps.marketdata.engine.store import write_panel
from apps.ui.engine.refusal import Refusal


@pytest.fixture(scope="module")
def planted() -> BarPanel:
    """Twelve symbols whose return two closes on follows today's volume."""
    rng = np.random.default_rng(7)
    volume = np.exp(rng.normal(10, 1, (12, 400)))
    returns = rng.normal(0, 0.01, volume.shape)
    score = (np.log(volume) - 10.0) * 0.01
    returns[:, 2:] += score[:, :-2]
    close = 50 * np.exp(np.cumsum(returns, axis=1))
    days = np.busday_offset("2020-01-01", np.arange(400), roll="forward").astype("datetime64[ns]")
    return BarPanel(tuple(f"S{i}" for i in range(12)), days, {"close": close, "volume": volume})


def test_a_planted_signal_is_found_at_its_horizon(planted):
    found = analyse(planted, "$volume", horizons=(1, 5))
    first, fifth = found["horizons"]
    assert first["rank_ic"] > 0.4
    assert first["rank_ic"] > fifth["rank_ic"]
    assert first["t"] > 10
    means = found["groups"]["mean_return"]
    assert means == sorted(means)
    assert abs(found["autocorrelation"][0]["value"]) < 0.1
    assert found["coverage"] == 1.0


def test_noise_is_not_taken_for_a_signal(planted):
    assert abs(analyse(planted, "Ref($volume, 9)", horizons=(1,))["horizons"][0]["t"]) < 3


def test_the_span_cuts_what_is_judged_and_not_what_windows_see(planted):
    found = analyse(planted, "Mean($volume, 60)-SMA($volume, 60)", start=date(2020, 8, 3), end=date(2020, 12, 31))
    assert (found["start"], found["end"]) == ("2020-08-03", "2020-12-31")
    assert found["coverage"] == 1.0
    assert found["coverage_by_period"][0]["period"] == "2020-08"


def test_one_symbol_has_values_but_no_cross_section(planted):
    found = analyse(planted.select(["S1"]), "$close")
    assert found["horizons"] == []
    assert found["distribution"]["count"] == 400
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    ("text", "options", "code"),
    [("$vwap", {}, "nothing_known"), ("$close", {"start": date(2030, 1, 1)}, "no_bars_in_span"), ("$x", {}, "unknown_field")],
)  # fmt: skip
def test_what_cannot_be_analysed_is_refused(planted, text, options, code):
    with pytest.raises(Refusal) as refused:
        analyse(planted, text, **options)
    assert refused.value.code == code


def test_a_table_has_a_row_where_a_bar_is(planted):
    close = planted.close.copy()
    close[0, 5:] = np.nan
    panel = BarPanel(planted.symbols, planted.times, {"close": close})
    table = feature_table(panel, {"up": "$close/Ref($close, 1)-1"}, symbols=["S0", "S1"], end=date(2020, 1, 10))
    assert table.column_names == ["symbol", "time", "up"]
    assert table.column("symbol").to_pylist().count("S0") == 5
    assert table.column("up").null_count == 2


def question(folder, **rest):
    return {"kind": "analysis", "folder": str(folder), "data": folder.name, "expression": "$volume",
            "horizons": [1], "groups": 5, "start": "", "end": "", **rest}  # fmt: skip


def test_the_name_of_an_answer_is_that_of_question_and_content(planted, tmp_path):
    folder = write_panel(planted, tmp_path)
    asked = question(folder)
    assert key(asked) == key(asked | {"folder": "/elsewhere"})
    assert key(asked) != key(asked | {"data": "other"})
    assert key(asked) != key(asked | {"expression": "$close"})


def test_the_process_answers_refuses_and_survives(planted, tmp_path):
    folder, target = write_panel(planted, tmp_path / "data"), tmp_path / "out" / "a.json"
    assert reply(json.dumps({"question": question(folder), "target": str(target)})) == {"ok": True}
    assert json.loads(target.read_text())["horizons"][0]["horizon"] == 1
    refused = reply(json.dumps({"question": question(folder, expression="$x"), "target": str(tmp_path / "b.json")}))
    assert refused["code"] == "unknown_field"
    assert reply("rubbish")["code"] == "broken"
    assert [path.name for path in target.parent.iterdir()] == ["a.json"]


def test_an_answer_is_there_whole_or_not_at_all(planted, tmp_path):
    folder = write_panel(planted, tmp_path / "data")
    with pytest.raises(Refusal):
        answer(question(folder, expression="$x"), tmp_path / "c" / "a.json")
    assert list((tmp_path / "c").iterdir()) == []


def test_the_oldest_answers_make_room(tmp_path):
    for age, name in enumerate(["new.json", "old.json"]):
        path = tmp_path / name
        path.write_bytes(b"x" * 100)
        import os

        os.utime(path, (1e9 - age, 1e9 - age))
    make_room(tmp_path, 150)
    assert [path.name for path in tmp_path.iterdir()] == ["new.json"]
