"""Bars out of trades: by time, volume, money, number; in any chunks the same; out of a book's midpoint without trades."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.marketdata.engine.tape.derive import _Bars, _trades, bar_rule, derive_bars
from apps.marketdata.engine.tape.model import SNAPSHOT
from apps.ui.engine.refusal import Refusal
from tests.marketdata.tape.conftest import START, book_columns, trade_columns

TRADES = [(0, 10, 1, 1, 1), (30, 12, 2, -1, 2), (60, 11, 3, 1, 3), (200, 9, 4, 1, 4)]
NAN = float("nan")


@pytest.fixture
def trades(tape_of):
    return tape_of({"AA": trade_columns(TRADES)})


def minute(at):
    return np.datetime64(START, "ns") + np.timedelta64(at, "m")


def fields(imported, *names):
    return [imported.panel.fields[name][0].tolist() for name in names]


def test_time_bars_hold_what_lies_before_their_stamp(trades):
    made = derive_bars(trades, bar_rule("time", "1min"))
    assert made.panel.times.tolist() == [minute(1), minute(2), minute(4)] or list(made.panel.times) == [
        minute(1),
        minute(2),
        minute(4),
    ]
    assert fields(made, "open", "high", "low", "close") == [[10, 11, 9], [12, 11, 9], [10, 11, 9], [12, 11, 9]]
    assert fields(made, "volume", "amount", "trades", "buy_volume") == [[3, 3, 4], [34, 33, 36], [2, 1, 1], [1, 3, 4]]
    assert made.panel.frequency == "1min"
    assert made.panel.vwap[0, 0] == pytest.approx(34 / 3)


def test_a_volume_bar_ends_with_the_trade_that_fills_it(trades):
    made = derive_bars(trades, bar_rule("volume", "3"))
    assert fields(made, "volume", "close") == [[3, 3, 4], [12, 11, 9]]
    made = derive_bars(trades, bar_rule("volume", "4"))
    assert fields(made, "volume", "open", "close") == [[6, 4], [10, 9], [11, 9]]
    assert [f.check for f in made.findings] == []


def test_dollar_and_trade_bars_leave_the_unfinished_one_out(trades):
    made = derive_bars(trades, bar_rule("dollar", "60"))
    assert fields(made, "amount") == [[67]]
    assert [(f.check, f.params) for f in made.findings] == [("unfinished_bars", {"count": 1})]
    assert fields(derive_bars(trades, bar_rule("trades", "2")), "trades", "open") == [[2, 2], [10, 11]]


def test_bars_that_end_at_one_instant_are_set_apart(tape_of):
    tape = tape_of({"AA": trade_columns([(0, 10 + at, 1, 1, at) for at in range(4)])})
    made = derive_bars(tape, bar_rule("trades", "1"))
    assert (np.diff(made.panel.times).astype(np.int64) == 1).all()


def test_days_begin_where_the_exchange_is(tape_of):
    tape = tape_of({"AA": trade_columns([(0, 10, 1, 1, 1), (16 * 3600, 11, 1, 1, 2)])})
    # 2024-03-28 01:30 UTC is still the 27th in New York, 17:30 UTC the 28th; in Shanghai the 28th and the 29th.
    for zone, days in (
        ("America/New_York", ["2024-03-27", "2024-03-28"]),
        ("Asia/Shanghai", ["2024-03-28", "2024-03-29"]),
    ):
        made = derive_bars(tape, bar_rule("time", "1d"), time_zone=zone)
        assert made.panel.times.astype("datetime64[D]").astype(str).tolist() == days
        assert made.panel.frequency == "1d"


def test_symbols_share_one_axis(tape_of):
    tape = tape_of({"AA": trade_columns(TRADES), "BB": trade_columns([(60, 5, 1, 1, 1)])})
    made = derive_bars(tape, bar_rule("time", "1min"))
    assert made.panel.symbols == ("AA", "BB")
    assert np.isnan(made.panel.close[1]).tolist() == [True, False, True]


def test_a_book_without_trades_gives_bars_of_its_midpoint(tape_of):
    rows = [(at, SNAPSHOT, 0, NAN, NAN, [(10 + at, 1)], [(12 + at, 2)]) for at in range(3)]
    tape = tape_of({"AA": book_columns(rows)})
    made = derive_bars(tape, bar_rule("time", "1s"))
    assert fields(made, "open", "bid", "ask", "ask_size") == [[11, 12, 13], [10, 11, 12], [12, 13, 14], [2, 2, 2]]
    assert np.isnan(made.panel.volume).all()
    assert "amount" not in made.panel.fields
    with pytest.raises(Refusal) as no:
        derive_bars(tape, bar_rule("volume", "5"))
    assert no.value.code == "no_trades"


@pytest.mark.parametrize(
    ("rule", "size", "code"),
    [("moon", "1", "bad_rule"), ("time", "7min", "bad_size"), ("time", "", "bad_size"), ("volume", "x", "bad_size"),
     ("volume", "0", "bad_size"), ("dollar", "-1", "bad_size"), ("dollar", "nan", "bad_size"),
     ("trades", "1.5", "bad_size"), ("volume", "inf", "bad_size")],
)  # fmt: skip
def test_a_rule_that_makes_no_bars_is_refused(rule, size, code):
    with pytest.raises(Refusal) as no:
        bar_rule(rule, size)
    assert no.value.code == code
    assert str(no.value)


def test_too_few_trades_make_no_bar(trades):
    with pytest.raises(Refusal) as no:
        derive_bars(trades, bar_rule("volume", "1000"))
    assert no.value.code == "no_bars"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9), st.integers(1, 5)), min_size=1, max_size=40),
    st.sampled_from([("time", "10s"), ("volume", "6"), ("dollar", "30"), ("trades", "3")]),
    st.integers(1, 7),
)
def test_bars_do_not_depend_on_the_chunks_and_agree_with_a_plain_loop(rows, asked, width):
    times = np.cumsum([second for second, _, _ in rows])
    columns = trade_columns([(int(t), p, s, 1, 0) for t, (_, p, s) in zip(times, rows, strict=True)])
    rule = bar_rule(*asked)
    bars = _Bars(rule, "UTC")
    for start in range(0, len(rows), width):
        bars.take(_trades({name: values[start : start + width] for name, values in columns.items()}))
    found, _ = bars.finish()
    wanted = plain_bars(columns, rule)
    assert len(found["time"]) == len(wanted)
    for name in ("time", "open", "high", "low", "close", "volume"):
        assert found[name].tolist() == [bar[name] for bar in wanted] if wanted else True


def plain_bars(columns, rule):
    """One trade after the other, as anybody would write it."""
    bars, current, key = [], [], None
    for time, price, size in zip(columns["time"], columns["price"], columns["size"], strict=True):
        now = int(time) // (rule.step * 10**9) if rule.kind == "time" else None
        if rule.kind == "time" and current and now != key:
            bars.append((current, (key + 1) * rule.step * 10**9))
            current = []
        key = now
        current.append((int(time), price, size))
        amount = {"volume": sum(s for _, _, s in current), "dollar": sum(p * s for _, p, s in current),
                  "trades": len(current)}  # fmt: skip
        if rule.kind != "time" and amount[rule.kind] >= rule.size:
            bars.append((current, current[-1][0]))
            current = []
    if current and rule.kind == "time":
        bars.append((current, (key + 1) * rule.step * 10**9))
    frames = [(pd.DataFrame(rows, columns=["time", "price", "size"]), end) for rows, end in bars]
    return [
        {"time": end, "open": f.price.iloc[0], "high": f.price.max(), "low": f.price.min(), "close": f.price.iloc[-1],
         "volume": f["size"].sum()}
        for f, end in frames
    ]  # fmt: skip
