"""A backtest of any strategy: what it refuses, what it never sees, and what it reports."""

from __future__ import annotations

import json
from datetime import date

import numpy as np
import pytest

from apps.marketdata.engine.bars import BarPanel
from apps.strategies.engine import backtesting
from apps.strategies.engine.backtesting import backtest
from apps.strategies.engine.ports import NamedRule, TargetPositions, TargetWeights
from apps.strategies.engine.registry import StrategyType, parse_config, strategy_type
from apps.strategies.engine.rules import decide
from apps.trading.engine.costs import Costs
from apps.ui.engine.refusal import Refusal

DAYS = 400


def panel(symbols=("AAA", "BBB", "CCC"), days=DAYS, **changes) -> BarPanel:
    rng = np.random.default_rng(4)
    times = np.datetime64("2010-01-04", "ns") + np.arange(days) * np.timedelta64(1, "D")
    close = np.round(100 * np.exp(np.cumsum(rng.normal(0.0005, 0.012, (len(symbols), days)), axis=1)), 2)
    open_ = np.round(np.concatenate([close[:, :1], close[:, :-1]], axis=1) * (1 + rng.normal(0, 0.003, close.shape)), 2)
    fields = {"open": open_, "high": np.maximum(open_, close), "low": np.minimum(open_, close), "close": close}
    return BarPanel(symbols, times, {**fields, "volume": np.ones_like(close), **changes}, currency="USD", name="demo")


def rule(**values):
    return parse_config("rule", {"symbol": "AAA", **values})


def run(config=None, data=None, key="rule", **more):
    return backtest(key, config or rule(), data or panel(), **{"capital": 100_000.0, **more})


@pytest.fixture
def decides(monkeypatch):
    """Let a type's decisions be given by the test, through the registry's dotted name."""

    def give(function):
        monkeypatch.setattr(StrategyType, "load", lambda self, entry: lambda *arguments: function(*arguments))

    return give


class TestRules:
    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            ({"rule": "sma_cross", "fast": 3, "slow": 9}, NamedRule("sma_cross", {"fast": 3, "slow": 9})),
            ({"rule": "rsi_reversal"}, NamedRule("rsi_reversal", {"window": 14, "low": 30, "high": 70})),
            ({"rule": "buy_and_hold"}, NamedRule("buy_and_hold", {})),
        ],
    )
    def test_a_configuration_becomes_a_named_rule(self, values, expected):
        assert decide(rule(**values), panel()) == expected
        assert strategy_type("rule").load("decide")(rule(**values), panel(), None) == expected

    def test_an_unknown_symbol_is_refused_with_those_there_are(self):
        with pytest.raises(Refusal) as refused:
            run(rule(symbol="ZZZ"))
        assert refused.value.code == "unknown_symbol"
        assert "AAA, BBB, CCC" in str(refused.value)


class TestRefusals:
    @pytest.mark.parametrize("capital", [0, -1, float("nan"), float("inf")])
    def test_capital_that_is_not_above_zero(self, capital):
        with pytest.raises(Refusal) as refused:
            run(capital=capital)
        assert (refused.value.code, refused.value.field) == ("bad_capital", "capital")

    @pytest.mark.parametrize(
        ("dates", "code", "field"),
        [
            ({"start": date(2009, 12, 31)}, "dates_outside_data", "start"),
            ({"start": date(2012, 1, 1)}, "dates_outside_data", "start"),
            ({"end": date(2012, 1, 1)}, "dates_outside_data", "end"),
            ({"end": date(2009, 1, 1)}, "dates_outside_data", "end"),
            ({"start": date(2010, 6, 1), "end": date(2010, 6, 1)}, "dates_out_of_order", "end"),
            ({"start": date(2010, 6, 2), "end": date(2010, 6, 1)}, "dates_out_of_order", "end"),
        ],
    )
    def test_dates_the_data_does_not_cover(self, dates, code, field):
        with pytest.raises(Refusal) as refused:
            run(**dates)
        assert (refused.value.code, refused.value.field) == (code, field)
        assert str(refused.value)

    def test_a_period_between_two_bars(self):
        data = panel()
        sparse = BarPanel(data.symbols, data.times[::30], {k: v[:, ::30] for k, v in data.fields.items()}, name="demo")
        with pytest.raises(Refusal) as refused:
            run(data=sparse, start=date(2010, 1, 5), end=date(2010, 2, 4))
        assert refused.value.code == "too_few_bars"

    def test_no_bars_at_all(self):
        data = panel(days=1)
        empty = BarPanel(data.symbols, data.times[:0], {k: v[:, :0] for k, v in data.fields.items()}, name="demo")
        with pytest.raises(Refusal) as refused:
            run(data=empty)
        assert refused.value.code == "no_bars"

    @pytest.mark.parametrize(("missing", "field"), [("AAA", "symbol"), ("BBB", "benchmark")])
    def test_an_instrument_without_prices_in_the_period(self, missing, field):
        data = panel()
        for name in ("open", "close"):
            data.fields[name][data.index_of(missing), 200:] = np.nan
        with pytest.raises(Refusal) as refused:
            run(data=data, start=date(2010, 10, 1), benchmark="BBB")
        assert (refused.value.code, refused.value.field) == ("no_prices", field)

    def test_an_unknown_benchmark(self):
        with pytest.raises(Refusal) as refused:
            run(benchmark="ZZZ")
        assert refused.value.code == "unknown_symbol"

    def test_decisions_for_another_number_of_bars(self, decides):
        decides(lambda config, data, policy: TargetPositions(np.ones((1, 3), np.int8)))
        with pytest.raises(Refusal) as refused:
            run()
        assert refused.value.code == "bad_targets"

    def test_weights_that_are_all_zero(self, decides):
        decides(lambda config, data, policy: TargetWeights(np.zeros((3, DAYS))))
        with pytest.raises(Refusal) as refused:
            run(parse_config("portfolio", {"test_start": "2011-06-01", "valid_start": "2011-05-01"}), key="portfolio")
        assert refused.value.code == "no_weights"

    def test_positions_of_a_type_without_a_symbol_are_a_mistake_of_ours(self, decides):
        decides(lambda config, data, policy: TargetPositions(np.ones((1, DAYS), np.int8)))
        with pytest.raises(TypeError):
            run(parse_config("portfolio", {}), key="portfolio")


class TestPeriod:
    def test_bars_before_the_start_warm_up_and_are_not_traded(self):
        found = run(start=date(2010, 6, 1), end=date(2010, 12, 31))
        assert found["period"]["start"] == "2010-06-01"
        assert found["period"]["end"] == "2010-12-31"
        assert found["period"]["warm_up"] == 148
        assert found["series"]["equity"][0] == 100_000
        assert all(t["entry_time"] > "2010-06-01" for t in found["trades"])

    def test_without_dates_a_tested_strategy_starts_where_its_unseen_part_does(self):
        found = run(rule(test_start="2010-09-01"))
        assert found["period"]["start"] == "2010-09-01"
        assert found["out_of_sample"] is True
        assert found["unseen_share"] == 1.0

    def test_a_period_that_was_partly_seen_is_not_out_of_sample(self):
        found = run(rule(test_start="2010-09-01"), start=date(2010, 6, 1))
        assert found["out_of_sample"] is False
        assert 0 < found["unseen_share"] < 1
        assert run()["unseen_share"] == 0.0

    def test_a_test_start_outside_the_data_does_not_shorten_it(self):
        assert run(rule(test_start="1999-01-01"))["period"]["bars"] == DAYS

    def test_the_decisions_see_nothing_after_the_end(self, decides):
        seen = []
        decides(lambda config, data, policy: seen.append(data.times[-1]) or NamedRule("buy_and_hold", {}))
        run(end=date(2010, 8, 1))
        assert str(seen[0])[:10] == "2010-08-01"

    def test_changing_the_future_changes_nothing(self):
        data = panel()
        before = run(data=data, end=date(2010, 12, 31))
        for values in data.fields.values():
            values[:, 362:] *= 3
        assert run(data=data, end=date(2010, 12, 31)) == before


class TestReport:
    def test_it_is_complete_and_json(self):
        found = run()
        assert json.loads(json.dumps(found, allow_nan=False)) == found
        assert list(found["baselines"]) == ["buy_and_hold", "do_nothing"]
        assert found["baselines"]["do_nothing"]["final_equity"] == 100_000
        assert found["currency"] == "USD"
        assert found["fill_rule"]["fill"] == "next_open"
        assert found["strategy"]["config"]["symbol"] == "AAA"

    def test_the_benchmark_is_holding_the_instrument_or_a_named_symbol(self):
        own, other = run(), run(benchmark="BBB")
        assert own["benchmark"] == {"symbol": "", "name": "buy_and_hold"}
        assert own["headline"]["benchmark_return"] == own["baselines"]["buy_and_hold"]["metrics"]["total_return"]
        assert other["benchmark"]["name"] == "BBB"
        close = panel().close[1]
        assert other["headline"]["benchmark_return"] == pytest.approx(close[-1] / panel().open[1, 1] - 1, abs=0.01)

    def test_a_buy_and_hold_strategy_of_all_money_equals_its_benchmark(self):
        found = run(rule(rule="buy_and_hold", fraction=100))
        assert found["series"]["equity"] == found["series"]["benchmark"]

    def test_given_costs_replace_those_of_the_configuration(self):
        assert run()["costs"]["rate"] == pytest.approx(0.001)
        dear = run(costs=Costs(rate=0.01, minimum=5.0))
        assert dear["costs"]["minimum"] == 5.0
        assert dear["headline"]["total_return"] < run()["headline"]["total_return"]

    def test_protection_of_the_configuration_reaches_the_kernel(self):
        found = run(rule(rule="buy_and_hold", stop_loss=1, take_profit=1, armed="next_bar"))
        assert {t["reason"] for t in found["trades"]} == {"stop_loss", "take_profit"}

    def test_fixed_shares_are_bought(self):
        assert {t["quantity"] for t in run(rule(sizing="fixed_shares", shares=7))["trades"]} == {7.0}

    def test_progress_reaches_its_end_and_may_stop_the_run(self):
        steps = []
        run(on_progress=lambda done, total, unit: steps.append((done, total, unit)))
        assert steps == sorted(steps)
        assert steps[-1][0] <= steps[-1][1] == backtesting.STEPS

        class Enough(Exception):
            pass

        def stop(done, total, unit):
            raise Enough

        with pytest.raises(Enough):
            run(on_progress=stop)

    def test_a_gap_in_the_data_is_no_trade_and_no_error(self):
        data = panel()
        for values in data.fields.values():
            values[0, 100:120] = np.nan
        found = run(data=data)
        assert not [t for t in found["trades"] if "2010-04-14" <= t["entry_time"] <= "2010-05-03"]
        json.dumps(found, allow_nan=False)


class TestLearned:
    def config(self, **values):
        return parse_config(
            "algorithmic_trading", {"symbol": "BBB", "valid_start": "2010-06-01", "test_start": "2010-09-01", **values}
        )

    def test_targets_of_all_symbols_are_read_at_the_row_of_its_own(self, decides):
        def decided(config, data, policy):
            targets = np.zeros((3, len(data.times)), np.int8)
            targets[1] = 1
            return TargetPositions(targets)

        decides(decided)
        found = run(self.config(), key="algorithmic_trading")
        assert found["symbols"] == ["BBB"]
        assert found["fills"] == 1
        assert found["out_of_sample"] is True

    def test_one_row_of_targets_is_taken_as_it_is_and_one_bar_late_means_one_bar(self, decides):
        decides(lambda config, data, policy: TargetPositions((np.arange(len(data.times)) // 3 % 2).astype(np.int8)))
        found = run(self.config(), key="algorithmic_trading")
        assert found["stress"][3]["total_return"] != found["stress"][1]["total_return"]

    def test_shorts_only_where_the_configuration_allows_them(self, decides):
        decides(lambda config, data, policy: TargetPositions(np.full((1, len(data.times)), -1, np.int8)))
        assert run(self.config(), key="algorithmic_trading")["fills"] == 0
        assert run(self.config(allow_short=True), key="algorithmic_trading")["fills"] >= 1


class TestPortfolio:
    def config(self, **values):
        return parse_config(
            "portfolio", {"method": "equal_weight", "valid_start": "2010-06-01", "test_start": "2010-09-01", **values}
        )

    def test_equal_weights_through_their_own_decisions(self):
        found = run(self.config(rebalance=20), key="portfolio")
        assert found["symbols"] == ["AAA", "BBB", "CCC"]
        assert list(found["baselines"]) == ["buy_and_hold", "equal_weight", "do_nothing"]
        assert found["benchmark"]["name"] == "equal_parts_held"
        json.dumps(found, allow_nan=False)

    def test_named_symbols_are_the_universe(self, decides):
        decides(lambda config, data, policy: TargetWeights(np.full((3, len(data.times)), 0.3)))
        found = run(self.config(symbols=["CCC", "AAA"]), key="portfolio")
        assert found["symbols"] == ["CCC", "AAA"]

    def test_a_symbol_listed_later_is_bought_when_it_lists(self, decides):
        data = panel()
        for values in data.fields.values():
            values[2, :300] = np.nan
        decides(lambda config, d, policy: TargetWeights(np.full((3, len(d.times)), 0.3)))
        found = run(self.config(), data, key="portfolio")
        json.dumps(found, allow_nan=False)
        assert found["baselines"]["buy_and_hold"]["final_equity"] > 0


class TestDepth:
    """What orders lose by their size, and how much of a bar they may take: fields of every strategy."""

    VOLUME = 2_000.0

    def data(self):
        found = panel()
        return BarPanel(found.symbols, found.times,
                        {**found.fields, "volume": np.full_like(found.close, self.VOLUME)},
                        currency="USD", name="demo")  # fmt: skip

    def cross(self, **values):
        return rule(rule="sma_cross", fast=3, slow=9, **values)

    @pytest.mark.parametrize("model", ["fixed", "spread", "volume_share", "square_root"])
    def test_every_model_costs_something_and_the_report_says_what_was_left_without_it(self, model):
        options = {"spread": 0.5} if model == "spread" else {}
        free, paid = (run(self.cross(slippage=name, **options), self.data()) for name in ("none", model))
        assert paid["headline"]["total_return"] < free["headline"]["total_return"]
        without = next(row for row in paid["stress"] if row["name"] == "no_slippage")
        assert without["total_return"] == pytest.approx(free["headline"]["total_return"])
        assert "no_slippage" not in [row["name"] for row in free["stress"]]
        names = {"fixed": "slippage", "volume_share": "volume_impact", "square_root": "root_impact"}
        assert paid["costs"][names.get(model, model)] > 0

    def test_no_fill_takes_more_than_its_part_and_what_waited_is_told(self):
        report = run(self.cross(participation_pct=10), self.data())
        assert report["fill_rule"]["participation"] == 0.1
        assert report["metrics"]["largest_fill_share"] <= 0.1
        assert report["refused"]["volume"] > 0
        assert run(self.cross(), self.data())["metrics"]["largest_fill_share"] > 0.1

    def test_the_returns_under_limits_are_those_of_such_runs(self):
        report = run(self.cross(), self.data())
        rows = {row["share"]: row["total_return"] for row in report["robustness"]["participation"]}
        for share in (0.05, 0.5):
            again = run(self.cross(participation_pct=share * 100), self.data())
            assert rows[share] == pytest.approx(again["headline"]["total_return"])

    def test_weights_and_the_studies_trade_in_the_same_depth(self):
        config = parse_config("allocation", {
            "symbols": ["AAA", "BBB", "CCC"], "method": "equal_weight", "rebalance": 5,
            "slippage": "square_root", "participation_pct": 10,
        })  # fmt: skip
        report = run(config, self.data(), key="allocation", study="sweep")
        assert report["metrics"]["largest_fill_share"] <= 0.1
        sweep = report["sweep"]
        own = sweep["total_return"][sweep["own"][1]][sweep["own"][0]]
        assert own == pytest.approx(report["headline"]["total_return"])
        found = run(self.cross(slippage="volume_share", participation_pct=10), self.data(), study="sweep")
        sweep = found["sweep"]
        own = sweep["total_return"][sweep["own"][1]][sweep["own"][0]]
        assert own == pytest.approx(found["headline"]["total_return"])

    @pytest.mark.parametrize("values", [{"slippage": "volume_share"}, {"slippage": "square_root"},
                                        {"participation_pct": 5}])  # fmt: skip
    def test_data_without_volumes_is_refused_by_the_field_that_asks_for_them(self, values):
        data = panel(volume=np.full((3, DAYS), np.nan))
        with pytest.raises(Refusal) as refused:
            run(self.cross(**values), data)
        assert (refused.value.code, refused.value.field) == ("no_volume", "participation_pct")

    def test_an_agent_without_a_market_pays_the_fixed_slippage_as_part_of_a_side(self):
        config = parse_config("algorithmic_trading", {"symbol": "AAA", "commission_bp": 3, "slippage": "fixed",
                                                      "slippage_bp": 4})  # fmt: skip
        assert config.side_bp == 7
        assert rule(commission_bp=3, slippage="spread").side_bp == 3


class TestHolding:
    """What holding costs: borrow fees of shorts, funding of perpetual positions."""

    def test_a_short_pays_its_borrow_fee_and_the_report_says_how_much(self, decides):
        decides(lambda config, data, policy: TargetPositions(np.full(DAYS, -1, np.int8)))
        plain, dear = (
            run(parse_config("algorithmic_trading", {"symbol": "AAA", "allow_short": True, "borrow_pct": pct}),
                key="algorithmic_trading", start=date(2010, 1, 4))
            for pct in (0.0, 3.6)
        )  # fmt: skip
        assert "borrow" not in plain["metrics"]
        assert dear["costs"]["borrow"] == pytest.approx(0.036)
        paid = dear["metrics"]["borrow"]
        assert plain["headline"]["final_equity"] - dear["headline"]["final_equity"] == pytest.approx(paid)
        assert 0.0001 * 398 * 50_000 < paid < 0.0001 * 398 * 500_000
        assert dear["metrics"]["cost_drag"] > plain["metrics"]["cost_drag"]
        assert dear["stress"][0]["total_return"] == pytest.approx(plain["stress"][0]["total_return"])

    def test_a_perpetual_pays_funding_three_times_a_day(self):
        free, paying = (run(rule(rule="buy_and_hold", commission_bp=0, funding_bp=bp)) for bp in (0.0, 1.0))
        assert "funding" not in free["metrics"]
        paid = paying["metrics"]["funding"]
        assert free["headline"]["final_equity"] - paying["headline"]["final_equity"] == pytest.approx(paid)
        held = np.array(free["series"]["equity"]) - np.array(free["series"]["cash"])
        assert paid == pytest.approx(float(held[:-1].sum()) * 3e-4)

    def test_who_receives_funding_paid_less_than_nothing(self):
        assert run(rule(rule="buy_and_hold", funding_bp=-1.0))["metrics"]["funding"] < 0
