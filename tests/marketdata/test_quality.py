"""Each check: the bar it must report, and the look-alike it must leave alone."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.corporate import split as stated_split
from apps.marketdata.engine.findings import MESSAGES, Finding
from apps.marketdata.engine.quality import CHECKS, check_panel, guess_calendar, series
from apps.ui.engine.refusal import Refusal
from tests.marketdata.conftest import bars

NAN = np.nan


def found(panel, check=None, **options) -> list[Finding]:
    return [f for f in check_panel(panel, **options).findings if check in (None, f.check)]


def only(panel, check, **options) -> Finding:
    (finding,) = found(panel, check, **options)
    return finding


def wavy(count, price=100.0):
    """Closes that move a little and are never equal in a row."""
    return price * (1 + 0.01 * np.sin(np.arange(count)))


def with_cell(field, at, value, count=30, **options):
    panel = bars(wavy(count), **options)
    panel.fields[field][0, at] = value
    return panel


def test_sound_bars_have_no_finding_and_pass_every_check():
    report = check_panel(bars(wavy(60)))
    assert (report.findings, report.verdict, report.checks_passed) == ((), "clean", len(CHECKS))


def test_every_finding_has_its_sentence_and_every_check_one():
    assert set(CHECKS) <= set(MESSAGES)


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("high", 50.0, "high < low"), ("low", 150.0, "high < low"), ("open", 102.0, "high < open"),
        ("open", 90.0, "low > open"),
        ("close", 102.0, "high < close"), ("close", 90.0, "low > close"),
    ],
)  # fmt: skip
def test_a_bar_that_contradicts_itself_blocks(field, value, what):
    panel = with_cell(field, 5, value)
    finding = only(panel, "ohlc_inconsistent")
    assert (finding.severity, finding.row, finding.params["what"]) == ("error", 6, what)
    assert finding.date == str(panel.times[5])[:10]
    assert check_panel(panel).verdict == "blocked"


def test_a_rounding_in_the_last_digit_is_no_contradiction():
    panel = bars(wavy(30))
    panel.fields["high"][0] = np.nextafter(np.fmax(panel.open[0], panel.close[0]), 0)
    assert not found(panel, "ohlc_inconsistent")


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_price_at_or_below_zero_blocks_and_is_reported_once(value):
    panel = with_cell("low", 5, value)
    assert only(panel, "non_positive_price").params == {"column": "low", "value": f"{value:g}"}
    assert not found(panel, "ohlc_inconsistent")


def test_a_negative_volume_blocks():
    assert only(with_cell("volume", 3, -5), "negative_volume").severity == "error"


def test_a_missing_price_blocks_and_a_missing_volume_is_to_look_at():
    assert only(with_cell("open", 3, NAN), "missing_value").severity == "error"
    finding = only(with_cell("volume", 3, NAN), "missing_value")
    assert (finding.severity, finding.params["columns"]) == ("warning", "volume")


def test_a_row_whose_cells_are_all_empty_is_known_by_its_line():
    panel = bars(wavy(30))
    for name in panel.fields:
        panel.fields[name][0, 4] = NAN
    lines = np.arange(30).reshape(1, 30) + 2
    finding = only(panel, "missing_value", lines=lines)
    assert (finding.line, finding.row) == (6, 5)
    assert not found(panel, "missing_value")


def test_absent_volume_is_a_note_and_not_a_missing_value_per_bar():
    panel = bars(wavy(30), volume=NAN)
    assert [finding.check for finding in found(panel)] == ["no_volume"]
    assert check_panel(panel).verdict == "clean"


def test_an_invented_constant_volume_is_seen():
    assert only(bars(wavy(30), volume=100_000), "constant_volume").params["value"] == "100000"
    varied = bars(wavy(30))
    varied.fields["volume"][0] += np.arange(30)
    assert not found(varied, "constant_volume")


def test_days_without_trade_are_counted_in_one_note():
    panel = bars(wavy(30))
    panel.fields["volume"][0, [3, 7]] = 0
    finding = only(panel, "zero_volume")
    assert (finding.severity, finding.params["count"], finding.params["first"]) == ("note", 2, str(panel.times[3])[:10])


def test_flat_bars_are_seen_but_not_those_of_a_suspension():
    close = wavy(40)
    flat = bars(close, open=close, high=close, low=close)
    assert only(flat, "flat_bars").params == {"count": 40, "bars": 40}
    flat.fields["volume"][0, 5:] = 0
    assert not found(flat, "flat_bars")


def test_a_close_that_stands_still_while_trading_is_stale():
    close = wavy(40)
    close[10:22] = 99.5
    panel = bars(close)
    finding = only(panel, "stale_price")
    assert (finding.row, finding.params["count"]) == (11, 12)
    panel.fields["volume"][0, 11:22] = 0
    assert not found(panel, "stale_price")


def split(ratio=2.0, *, at=30, count=60, surge=1.0, **fields):
    """Prices divided by ``ratio`` from bar ``at`` on; volume in shares times ratio, times ``surge`` on the day."""
    close = wavy(count)
    close[at:] /= ratio
    panel = bars(close, **fields)
    panel.fields["volume"][0, at:] *= ratio
    panel.fields["volume"][0, at] *= surge
    return panel


@pytest.mark.parametrize(
    ("ratio", "words"), [(2, "2:1"), (3, "3:1"), (1.5, "3:2"), (7, "7:1"), (0.2, "1:5"), (0.05, "1:20")]
)
def test_a_split_left_out_is_told_by_the_shape_of_the_day(ratio, words):
    finding = only(split(ratio), "split_like_jump")
    assert (finding.severity, finding.row, finding.params["ratio"]) == ("error", 31, words)


def test_a_crash_with_many_times_the_usual_money_is_true():
    panel = split(2, surge=8)
    assert not found(panel, "split_like_jump")
    assert only(panel, "large_move").severity == "warning"


def test_a_crash_that_opened_elsewhere_is_true():
    panel = split(2)
    panel.fields["open"][0, 30] *= 1.4
    panel.fields["high"][0, 30] *= 1.4
    assert [f.check for f in found(panel) if f.row == 31] == ["large_move"]


def test_a_split_that_the_stated_events_leave_out_is_found_beside_them():
    panel = split(2)
    other = stated_split("AAA", panel.times[50].astype("datetime64[D]"), 1.0027, "lean")
    assert [f.severity for f in found(panel, "split_like_jump", events=[other])] == ["error"]
    same = stated_split("AAA", panel.times[30].astype("datetime64[D]"), 2.0, "lean")
    assert [f.severity for f in found(panel, "split_like_jump", events=[same, other])] == ["note"]


def test_a_penny_stock_that_halves_did_not_split():
    close = wavy(60, price=3.0)
    close[30:] /= 2
    assert not found(bars(close), "split_like_jump")


def test_without_volume_only_an_exact_open_is_believed():
    exact = split(2, volume=NAN)
    exact.fields["open"][0, 30] = exact.close[0, 29] / 2
    assert only(exact, "split_like_jump").params["ratio"] == "2:1"
    exact.fields["open"][0, 30] *= 1.05
    assert only(exact, "large_move").params["times"] == "?"


def test_an_adjusted_close_beside_the_close_proves_a_split_and_clears_a_crash():
    proved = split(2, surge=9, adj_close=wavy(60))
    assert only(proved, "split_like_jump").params["ratio"] == "2:1"
    crashed = split(2)
    crashed.fields["adj_close"] = crashed.close.copy()
    assert not found(crashed, "split_like_jump")
    assert found(crashed, "large_move")


def test_a_factor_proves_a_split_too():
    factor = np.where(np.arange(60) < 30, 1.0, 2.0)
    assert only(split(2, factor=factor), "split_like_jump").params["true"].startswith("−")


def test_a_large_payout_that_prices_lack_blocks_and_an_ordinary_one_does_not():
    close = wavy(60)
    adjusted = close.copy()
    adjusted[:30] *= 0.9
    finding = only(bars(close, adj_close=adjusted), "dividend_not_applied")
    assert (finding.row, finding.params["share"]) == (31, "10.0%")
    adjusted = close.copy()
    adjusted[:30] *= 0.99
    assert not found(bars(close, adj_close=adjusted))


@pytest.mark.parametrize(
    ("symbol", "start", "move", "reported"),
    [
        ("SH600000", "2012-01-02", 0.8, "split_like_jump"), ("600000", "2012-01-02", 0.905, None),
        ("sz.300750", "2021-01-04", 0.85, None), ("300750.SZ", "2019-01-02", 0.85, "split_like_jump"),
        ("SH688256", "2023-01-03", 0.82, None), ("SH688256", "2023-01-03", 0.633, "split_like_jump"),
        ("BJ830799", "2023-01-03", 0.75, None), ("SH600000", "2012-01-02", 1.25, "impossible_move"),
        ("AAPL", "2012-01-03", 0.8, None),
    ],
)  # fmt: skip
def test_a_share_price_limits_tell_what_cannot_be(symbol, start, move, reported):
    close = wavy(40) * np.where(np.arange(40) < 20, 1, move)
    checks = [f.check for f in found(bars(close, symbol=symbol, start=start)) if f.row == 21]
    assert checks == ([reported] if reported else [])


def test_the_first_days_of_a_listing_know_no_limit():
    close = wavy(30)
    close[2:] *= 1.2
    assert not found(bars(close, symbol="SH600000"), "impossible_move")


def test_a_jump_after_a_long_suspension_is_a_relisting():
    close = wavy(80)
    close[40:] *= 6
    panel = bars(close, symbol="SZ000156")
    panel.fields["volume"][0, 10:40] = 0
    (finding,) = [f for f in found(panel) if f.row == 41]
    assert (finding.check, finding.severity, finding.params["days"]) == ("relisting", "note", 30)


def test_a_move_without_any_trade_is_seen():
    panel = bars(wavy(30) * np.where(np.arange(30) < 10, 1, 1.16))
    panel.fields["volume"][0, 10] = 0
    assert only(panel, "price_move_without_volume").row == 11
    assert not found(bars(wavy(30), volume=NAN), "price_move_without_volume")


def without(panel, row, at):
    for values in panel.fields.values():
        values[row, at] = NAN
    return panel


def many(symbols, count=80, **options):
    single = [bars(wavy(count, 50 + 10 * n), **options) for n in range(len(symbols))]
    fields = {name: np.concatenate([one.fields[name] for one in single]) for name in single[0].fields}
    return BarPanel(tuple(symbols), single[0].times, fields)


def test_a_session_that_peers_had_is_missing():
    panel = without(many("ABC"), 1, 20)
    finding = only(panel, "missing_session")
    assert (finding.symbol, finding.date, finding.params["calendar"]) == ("B", str(panel.times[20])[:10], "peers")
    assert check_panel(panel).gaps == {"A": 0, "B": 1, "C": 0}


def test_two_symbols_are_no_majority_and_a_late_start_is_no_gap():
    assert not found(without(many("AB"), 1, 20), "missing_session")
    assert not found(without(many("ABC"), 1, slice(0, 30)), "missing_session")


def xnys(count=80):
    """A panel on real New York sessions of 2010 (2010-04-02 was Good Friday)."""
    import exchange_calendars

    days = exchange_calendars.get_calendar("XNYS", start="2010-01-04").sessions[:count]
    panel = bars(wavy(count))
    return BarPanel(panel.symbols, days.to_numpy().astype("datetime64[ns]"), panel.fields)


def test_missing_and_extra_sessions_against_the_calendar():
    panel = xnys()
    keep = np.arange(80) != 30
    gone = panel.times[30]
    times = panel.times[keep]
    times[10] = np.datetime64("2010-01-18", "ns")  # Martin Luther King Day
    panel = BarPanel(panel.symbols, np.sort(times), {name: values[:, keep] for name, values in panel.fields.items()})
    assert str(gone)[:10] in {finding.date for finding in found(panel, "missing_session", calendar="XNYS")}
    assert only(panel, "extra_session", calendar="XNYS").date == "2010-01-18"


def test_a_session_that_nobody_has_is_said_once_for_all():
    single = xnys()
    keep = np.arange(80) != 30
    fields = {name: np.concatenate([values[:, keep]] * 3) for name, values in single.fields.items()}
    finding = only(BarPanel(("A", "B", "C"), single.times[keep], fields), "missing_session", calendar="XNYS")
    assert finding.symbol == ""


def test_days_beyond_the_calendar_are_said_not_guessed():
    panel = bars(wavy(450), start="2025-06-02")
    finding = only(panel, "calendar_end", calendar="XSHG")
    assert finding.params["last"] == "2026-12-31"
    assert not [f for f in found(panel, "missing_session", calendar="XSHG") if f.date > finding.params["last"]]


def test_data_wholly_outside_a_calendar_is_only_said_so():
    old = bars(wavy(80), start="1980-01-01")
    assert [finding.check for finding in found(old, calendar="XSHG") if "session" in finding.check] == []
    assert found(old, "calendar_end", calendar="XSHG")


@pytest.mark.django_db
def test_an_unknown_calendar_is_refused_with_examples():
    with pytest.raises(Refusal) as caught:
        check_panel(bars(wavy(30)), calendar="XXXX")
    assert (caught.value.code, caught.value.field) == ("unknown_calendar", "calendar")
    assert "XNYS" in str(caught.value)


def test_the_calendar_is_recognised_from_the_days():
    assert guess_calendar(xnys()) == "XNYS"
    daily = bars(wavy(80))
    times = np.arange("2024-01-01", "2024-03-21", dtype="datetime64[D]").astype("datetime64[ns]")
    assert guess_calendar(BarPanel(daily.symbols, times, daily.fields)) == "24/7"
    assert guess_calendar(bars(wavy(80))) == ""  # every working day: no exchange trades on 1 January
    assert guess_calendar(bars(wavy(20))) == ""


def minutes(count, step=5, hole=()):
    panel = bars(wavy(count))
    times = np.datetime64("2024-01-01T00:00", "ns") + np.arange(count) * np.timedelta64(step, "m")
    keep = ~np.isin(np.arange(count), hole)
    fields = {name: values[:, keep] for name, values in panel.fields.items()}
    return BarPanel(("BTC",), times[keep], fields, frequency="5min")


def test_holes_in_a_market_that_never_closes_are_counted():
    finding = only(minutes(9 * 288, hole=(500, 501, 502)), "missing_bars")
    assert (finding.params["count"], finding.params["before"]) == (3, "2024-01-02T17:35")
    assert check_panel(minutes(9 * 288, hole=(500,))).gaps == {"BTC": 1}


def test_a_market_with_pauses_is_not_held_to_every_step():
    day = [n for n in range(9 * 288) if n % 288 > 100]
    assert not found(minutes(9 * 288, hole=day), "missing_bars")


def test_weekly_bars_miss_no_sessions():
    panel = bars(wavy(30))
    weeks = np.datetime64("2024-01-05", "ns") + np.arange(30) * np.timedelta64(7, "D")
    assert not found(BarPanel(("A",), weeks, panel.fields, frequency="1w"), "missing_session")


def test_what_the_import_saw_in_the_file_is_part_of_the_report():
    seen = Finding("truncated_file", "error", line=9, params={"cells": 3, "expected": 7})
    report = check_panel(bars(wavy(30)), reader_findings=[seen])
    assert report.findings[0] is seen
    assert report.verdict == "blocked"
    assert report.checks_passed == len(CHECKS) - 1


def test_endless_lists_are_cut_and_counted(monkeypatch):
    monkeypatch.setattr(series, "PER_SYMBOL", 5)
    panel = bars(wavy(30))
    panel.fields["high"][0] = 1.0
    counts = Counter(finding.check for finding in found(panel))
    assert (counts["ohlc_inconsistent"], counts["more_like_this"]) == (5, 1)
    assert only(panel, "more_like_this").params == {"count": 25, "name": "ohlc_inconsistent"}


def test_errors_come_first_then_symbol_and_time():
    panel = with_cell("volume", 2, NAN)
    panel.fields["low"][0, 9] = 0
    assert [(f.severity, f.row) for f in found(panel)][:2] == [("error", 10), ("warning", 3)]


def test_a_symbol_without_bars_and_a_single_bar_are_no_crash():
    panel = without(many("AB", 30), 1, slice(None))
    assert not found(panel)
    assert not found(bars([100.0]))


def test_the_document_has_the_keys_that_programs_rely_on():
    finding = only(with_cell("low", 5, 0.0), "non_positive_price")
    assert set(finding.as_dict()) == {"symbol", "date", "line", "check", "severity", "message"}
    whole = Finding("no_volume", "note")
    assert (whole.as_dict()["symbol"], whole.as_dict()["date"]) == (None, None)
    intraday = Finding("missing_bars", "warning", time=np.datetime64("2024-01-02T09:30", "ns"))
    assert intraday.date == "2024-01-02T09:30:00"
