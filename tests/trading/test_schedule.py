"""Dated rules as arrays, and which board a symbol belongs to."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.trading.engine.rules import day_rules, schedule
from apps.trading.engine.rules.boards import board_of

BOARDS = ("main", "chinext", "star", "bse", "etf", "etf_t0")


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(BOARDS), st.integers(1, 300_000), st.booleans(), st.integers(0, 8),
    st.sampled_from(["2022-01-04", "2023-04-07", "2023-04-10", "2024-05-06", "2026-07-03", "2026-07-06"]),
)  # fmt: skip
def test_the_arrays_say_what_the_single_day_says(board, ticks, special, age, day):
    tick = 0.001 if board.startswith("etf") else 0.01
    previous = ticks / round(1 / tick)
    up, down = schedule.limits(
        ("CN", board), np.array([day], "datetime64[D]"), np.array([[previous]]), st=np.array([[special]]),
        age=np.array([[age]], np.int64),
    )  # fmt: skip
    rules = day_rules("CN", board, date.fromisoformat(day), st=special, listed_for=age or None)
    assert (rules.limits(previous) or (None, None)) == tuple(
        None if np.isnan(limit[0, 0]) else limit[0, 0] for limit in (up, down)
    )


@pytest.mark.parametrize(
    ("symbol", "calendar", "board"),
    [
        ("600519.SH", "XSHG", ("CN", "main")), ("SZ000001", "", ("CN", "main")), ("sz.300750", "", ("CN", "chinext")),
        ("688981", "", ("CN", "star")), ("BJ832000", "", ("CN", "bse")), ("510300.SH", "", ("CN", "etf")),
        ("518880.SH", "", ("CN", "etf_t0")), ("588000.SH", "", ("CN", "etf_20")), ("SH000300", "XSHG", None),
        ("SZ399001", "", None), ("900901.SH", "", None), ("AAPL", "XNYS", ("US", "stock")),
        ("BTC/USDT", "24/7", ("CRYPTO", "spot")), ("EURUSD", "", None),
    ],
)  # fmt: skip
def test_the_board_is_told_by_the_symbol_and_the_calendar(symbol, calendar, board):
    assert board_of(symbol, calendar) == board
