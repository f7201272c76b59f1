"""Deciding on comparable prices, trading on the prices of the day, under the rules of the market."""

from __future__ import annotations

import json

import numpy as np
import pytest

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.corporate import CorporateAction, adjusted, dividend, split
from apps.sessions.report_market import market_rows
from apps.strategies.engine.backtesting import backtest
from apps.strategies.engine.execution import Traded, funding_stamps, funding_told
from apps.strategies.engine.registry import parse_config
from apps.trading.engine.costs import Costs

DAYS = 120


def panel(symbols=("SH600000", "SZ300001"), first="2024-01-02", **fields) -> BarPanel:
    rng = np.random.default_rng(11)
    times = np.datetime64(first, "ns") + np.arange(DAYS) * np.timedelta64(1, "D")
    close = np.round(20 * np.exp(np.cumsum(rng.normal(0, 0.02, (len(symbols), DAYS)), axis=1)), 2)
    open_ = np.round(close * (1 + rng.normal(0, 0.004, close.shape)), 2)
    own = {"open": open_, "high": np.maximum(open_, close), "low": np.minimum(open_, close), "close": close}
    return BarPanel(symbols, times, {**own, "volume": np.full_like(close, 1e6), **fields}, currency="CNY", name="demo")


def changed(data: BarPanel, bar: int, values: dict[str, float], row: int = 0) -> BarPanel:
    fields = {name: array.copy() for name, array in data.fields.items()}
    for name, value in values.items():
        fields[name][row, bar] = value
    return BarPanel(data.symbols, data.times, fields, currency=data.currency, name=data.name)


def run(data, events=(), calendar="XSHG", config=None, capital=1_000_000.0, **more):
    traded = Traded(data, tuple(events), calendar, **more)
    seen = adjusted(data, events, "forward") if events else data
    config = config or parse_config("rule", {"symbol": data.symbols[0], "rule": "buy_and_hold", "commission_bp": 3})
    return backtest("rule", config, seen, capital=capital, traded=traded)


class TestMarket:
    def test_lots_are_the_boards_and_the_least_commission_is_the_markets(self):
        report = run(panel(), capital=20_000.0)
        (held,) = report["open_positions"]
        assert held["quantity"] % 100 == 0
        assert report["costs"]["minimum"] == 5.0
        assert (report["market"]["markets"], report["market"]["counts"]) == (["CN"], {"main": 1})

    def test_a_bar_at_limit_up_is_not_bought(self):
        data = panel()
        up = np.floor(data.close[0, 0] * 110 + 0.5) / 100
        locked = changed(data, 1, dict.fromkeys(("open", "high", "low", "close"), up))
        second = np.floor(up * 110 + 0.5) / 100
        locked = changed(
            locked, 2, {"open": second - 0.05, "high": second, "low": second - 0.05, "close": second - 0.05}
        )
        report = run(locked)
        assert report["open_positions"][0]["entry_time"] == "2024-01-04"
        assert report["refused"]["limit_up"] == 1
        assert run(locked, obey=False)["open_positions"][0]["entry_time"] == "2024-01-03"

    def test_a_suspended_bar_is_not_traded_even_where_the_source_repeats_its_price(self):
        data = panel()
        for bar in (1, 2):
            data = changed(
                data, bar, {**dict.fromkeys(("open", "high", "low", "close"), data.close[0, 0]), "volume": 0}
            )
        report = run(data)
        assert report["open_positions"][0]["entry_time"] == "2024-01-05"
        assert {name: count for name, count in report["refused"].items() if count} == {"suspended": 2}

    def test_limits_that_the_data_tells_rule_over_the_table(self):
        told = np.full((2, DAYS), np.nan)
        told[0, 1] = panel().open[0, 1]
        report = run(panel(limit_up=told))
        assert report["open_positions"][0]["entry_time"] == "2024-01-04"

    def test_special_treatment_has_its_own_band(self):
        data = panel()
        up = np.floor(data.close[0, 0] * 105 + 0.5) / 100
        locked = changed(data, 1, dict.fromkeys(("open", "high", "low", "close"), up))
        assert run(locked)["open_positions"][0]["entry_time"] == "2024-01-03"
        special = BarPanel(locked.symbols, locked.times, {**locked.fields, "st": np.ones((2, DAYS))}, name="demo")
        assert run(special)["open_positions"][0]["entry_time"] == "2024-01-04"

    def test_minute_bars_refer_to_the_close_of_the_session_before(self):
        data = panel()
        minutes = np.concatenate([
            np.datetime64(day, "ns") + np.array([2, 3, 6, 7]) * np.timedelta64(1, "h")
            for day in np.datetime64("2024-01-02") + np.arange(DAYS // 4)
        ])  # fmt: skip
        rules = Traded(BarPanel(data.symbols, minutes, data.fields, "1h"), calendar="XSHG").market([0])
        for start in range(4, DAYS, 4):
            assert len(set(rules.up[0, start : start + 4].tolist())) == 1
            assert rules.up[0, start] == pytest.approx(data.close[0, start - 1] * 1.1, abs=0.0051)

    def test_unknown_boards_have_no_rules(self):
        assert Traded(panel(("EURUSD", "SH000300")), calendar="").market([0, 1]) is None

    def test_adjusted_prices_have_neither_limits_nor_lots_but_charges(self):
        report = run(panel(), as_traded=False, capital=20_050.0)
        market = report["market"]
        assert (market["limits"], market["lots"]) == (False, False)
        assert report["open_positions"][0]["quantity"] % 100
        assert report["metrics"]["fees"] > 0

    def test_the_fees_are_told_apart(self):
        config = parse_config(
            "rule", {"symbol": "SH600000", "rule": "sma_cross", "fast": 3, "slow": 10, "commission_bp": 3}
        )
        report = run(panel(), config=config)
        paid = report["market"]["charges"]
        assert sum(paid.values()) == pytest.approx(report["metrics"]["fees"])
        sold = sum(t["quantity"] * t["exit_price"] for t in report["trades"])
        bought = sum(t["quantity"] * t["entry_price"] for t in [*report["trades"], *report["open_positions"]])
        assert paid["stamp_duty"] == pytest.approx(sold * 0.0005)
        assert paid["transfer_fee"] == pytest.approx((sold + bought) * 0.00001)
        assert paid["commission"] == pytest.approx((sold + bought) * 0.0003)
        assert dict(market_rows(report))["Paid: stamp duty"].startswith("CNY")

    def test_american_fees_are_told_apart_as_well(self):
        config = parse_config("rule", {"symbol": "AAPL", "rule": "sma_cross", "fast": 3, "slow": 10})
        paid = run(panel(("AAPL", "IBM")), calendar="XNYS", config=config)["market"]["charges"]
        assert set(paid) == {"commission", "sec_fee", "taf"}
        assert min(paid.values()) > 0


class TestCorporateActions:
    def events(self, data) -> list[CorporateAction]:
        return [
            split("SH600000", data.times[40].astype("datetime64[D]"), 2.0),
            dividend("SH600000", data.times[80].astype("datetime64[D]"), 0.3, float(data.close[0, 79])),
        ]

    def raw(self):
        data = panel()
        fields = {name: values.copy() for name, values in data.fields.items()}
        for name in ("open", "high", "low", "close"):
            fields[name][0, :40] *= 2
        return BarPanel(data.symbols, data.times, fields, currency="CNY", name="demo")

    def test_holding_earns_the_dividend_and_survives_the_split(self):
        data = self.raw()
        report = run(data, self.events(data))
        entry = float(data.open[0, 1])
        quantity = report["open_positions"][0]["quantity"] / 2
        paid = quantity * entry * (1 + 3e-4 + 1e-5)
        value = 1_000_000 - paid + 2 * quantity * (float(data.close[0, -1]) + 0.3)
        assert report["headline"]["final_equity"] == pytest.approx(value)
        assert report["market"]["payouts"] == pytest.approx(2 * quantity * 0.3)
        assert report["market"]["events"] == 2

    def test_the_rule_decides_on_comparable_prices(self):
        data = self.raw()
        config = parse_config("rule", {"symbol": "SH600000", "rule": "sma_cross", "fast": 3, "slow": 10})
        report = run(data, self.events(data), config=config)
        plain = run(adjusted(data, self.events(data), "forward"), config=config, obey=False)
        assert [t["entry_time"] for t in report["trades"]] == [t["entry_time"] for t in plain["trades"]]

    def test_a_vendors_factor_loses_nothing(self):
        data = self.raw()
        step = CorporateAction("SH600000", data.times[40].astype("datetime64[D]"), "adjustment", factor=0.5)
        report = run(data, [step])
        plain = run(adjusted(data, [step], "forward"), as_traded=False)
        assert report["metrics"]["total_return"] == pytest.approx(plain["metrics"]["total_return"], abs=0.002)

    def test_without_costs_the_markets_charges_are_gone_too(self):
        report = run(panel())
        free, paid, double, _ = report["stress"]
        assert free["fees"] == 0.0
        assert double["fees"] == pytest.approx(2 * paid["fees"], rel=0.01)


def test_a_study_trades_under_the_same_rules():
    data = panel()
    config = parse_config("rule", {"symbol": "SH600000", "rule": "sma_cross", "fast": 3, "slow": 10})
    reports = {
        obey: backtest(
            "rule", config, data, capital=3_000.0, traded=Traded(data, calendar="XSHG", obey=obey), study="sweep"
        )
        for obey in (True, False)
    }
    own = {obey: r["sweep"]["total_return"][r["sweep"]["own"][1]][r["sweep"]["own"][0]] for obey, r in reports.items()}
    assert own[True] == pytest.approx(reports[True]["metrics"]["total_return"])
    assert own[True] != own[False]


def test_given_costs_keep_their_minimum():
    traded = Traded(panel(), calendar="XSHG")
    assert traded.costs(Costs(rate=0.001, minimum=1.0), [0]).minimum == 1.0
    assert traded.costs(Costs(), [0]).minimum == 0.0


class TestWords:
    def test_a_report_says_what_was_obeyed_and_what_nobody_knows(self):
        report = json.loads(json.dumps(run(panel(first="2012-01-04"))))
        rows = dict(market_rows(report))
        assert rows["Price limits"] == "obeyed"
        assert rows["Not charged: transfer fee"].startswith("no rule known from 2012-01-04")
        assert rows["Special treatment (ST)"].startswith("not told")

    def test_or_that_it_was_told_to_ignore_them(self):
        assert market_rows(run(panel(), obey=False)) == [("Rules", "ignored on request")]

    def test_a_report_from_before_says_nothing(self):
        assert market_rows({"currency": "USD"}) == []


@pytest.mark.parametrize(
    ("frequency", "times", "counted"),
    [
        ("1d", ["2024-01-01", "2024-01-02", "2024-01-04"], [0, 3, 9]),
        ("1h", ["2024-01-01T07:00", "2024-01-01T08:00", "2024-01-01T09:00", "2024-01-01T17:00"], [0, 0, 1, 2]),
    ],
)
def test_funding_falls_at_0_8_and_16_hours_before_the_bar_that_begins_then(frequency, times, counted):
    found = funding_stamps(np.array(times, "datetime64[ns]"), frequency)
    assert (found - found[0]).tolist() == counted


class TestFundingOfTheData:
    RATES = np.array([[0.001, np.nan, -0.002, 0.0]])

    @pytest.mark.parametrize(
        ("frequency", "step", "added"),
        [
            ("1h", np.timedelta64(1, "h"), [0.001, 0.001, -0.001, -0.001]),
            ("8h", np.timedelta64(8, "h"), [0.001, 0.001, -0.001, -0.001]),
            ("1d", np.timedelta64(1, "D"), [0.0, 0.001, 0.001, -0.001]),
        ],
    )
    def test_a_short_bar_owes_as_it_begins_and_a_day_once_it_is_over(self, frequency, step, added):
        times = np.datetime64("2024-01-01", "ns") + np.arange(4) * step
        found = funding_told(BarPanel(("P",), times, {"funding": self.RATES}, frequency))
        assert found[0] == pytest.approx(added)

    def test_data_without_a_rate_tells_none(self):
        times = np.datetime64("2024-01-01", "ns") + np.arange(4) * np.timedelta64(1, "D")
        assert funding_told(BarPanel(("P",), times, {})) is None
        assert funding_told(BarPanel(("P",), times, {"funding": np.full((1, 4), np.nan)})) is None
        one = funding_told(BarPanel(("P", "Q"), times, {"funding": np.vstack([self.RATES, [[np.nan] * 4]])}))
        assert np.isnan(one[1]).all()
        assert not np.isnan(one[0]).any()

    def test_what_is_held_over_a_day_pays_its_rate_and_the_report_says_whose_it_was(self):
        rates = np.full((1, DAYS), 0.0003)
        data = panel(("BTCUSDT",), funding=rates)
        config = parse_config("rule", {"symbol": "BTCUSDT", "rule": "buy_and_hold", "commission_bp": 0})
        free, paying = (run(data, calendar="24/7", config=config, obey=obey) for obey in (False, True))
        held = np.array(paying["series"]["equity"]) - np.array(paying["series"]["cash"])
        assert paying["metrics"]["funding"] == pytest.approx(float(held[:-1].sum()) * 0.0003)
        assert "funding" not in free["metrics"]
        assert dict(market_rows(paying))["Funding"] == "rates of the data, at their times"
        assert "Funding" not in dict(market_rows(free))
