"""Weights by named methods: what they hold, what they never know, and whom they refuse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.universe import Membership
from apps.strategies.engine.allocation import MOST_SOLVED, decide, exchange
from apps.strategies.engine.backtesting import backtest
from apps.strategies.engine.config_allocation import ONLINE, OPTIMISERS, RANKED, AllocationConfig
from apps.strategies.engine.execution import Traded
from apps.strategies.engine.honesty import examine
from apps.strategies.engine.registry import InvalidConfig, parse_config
from apps.trading.engine.portfolio import TopkOptions, topk
from apps.ui.engine.refusal import Refusal

METHODS = ("equal_weight", *OPTIMISERS, *RANKED, *ONLINE)
DAYS = 160


def panel(count=6, days=DAYS, seed=3) -> BarPanel:
    rng = np.random.default_rng(seed)
    times = np.datetime64("2012-01-02", "ns") + np.arange(days) * np.timedelta64(1, "D")
    vol = np.linspace(0.005, 0.03, count)[:, None]
    close = np.round(50 * np.exp(np.cumsum(rng.normal(0.0003, 1, (count, days)) * vol, axis=1)), 2)
    open_ = np.round(close * (1 + rng.normal(0, 0.002, close.shape)), 2)
    fields = {"open": open_, "high": np.maximum(open_, close), "low": np.minimum(open_, close), "close": close}
    symbols = tuple(f"S{i:03}" for i in range(count))
    return BarPanel(symbols, times, {**fields, "volume": np.full_like(close, 1e6)}, currency="USD", name="demo")


def config(method, **values) -> AllocationConfig:
    given = {"top": 3, "drop": 1, "window": 30, "rebalance": 10, "invest": 100.0, **values}
    return parse_config("allocation", {"method": method, **given})


def weights(method, data=None, **values):
    return decide(config(method, **values), data if data is not None else panel()).weights


@pytest.mark.parametrize("method", METHODS)
class TestEveryMethod:
    def test_weights_are_shares_of_the_whole(self, method):
        found = weights(method)
        assert found.shape == (6, DAYS)
        assert np.nanmin(found) >= -1e-12
        columns = ~np.isnan(found).all(axis=0)
        assert columns.any()
        assert (np.nansum(found[:, columns], axis=0) <= 1 + 1e-9).all()

    def test_nothing_later_changes_what_was_decided(self, method):
        whole, data = weights(method), panel()
        for cut in (45, 77, 120):
            early = weights(method, data.select(end=data.times[cut - 1].astype("datetime64[D]")))
            assert np.allclose(early, whole[:, :cut], rtol=1e-9, atol=0, equal_nan=True)

    def test_the_invested_part_scales_all(self, method):
        assert weights(method, invest=50.0) == pytest.approx(weights(method) * 0.5, nan_ok=True)

    def test_it_runs_as_a_backtest_and_passes_the_leak_check(self, method):
        data = panel(4, 100)
        report = backtest("allocation", config(method), data, capital=1e6, traded=Traded(data, calendar="XNYS"))
        assert report["fills"] > 0
        assert examine("allocation", config(method), data, None)["clean"]

    def test_bars_without_anybody_are_no_error(self, method):
        data = panel()
        empty = replace(data, fields={name: np.full_like(v, np.nan) for name, v in data.fields.items()})
        assert not np.nan_to_num(weights(method, empty)).any()


class TestRanking:
    def test_the_best_are_held_and_the_others_are_not(self):
        data = panel()
        found = weights("top_k", data, signal="$close/Ref($close, 5) - 1", rebalance=1)
        for t in (20, 90):
            best = np.argsort(-(data.close[:, t] / data.close[:, t - 5]))[:3]
            assert set(np.flatnonzero(found[:, t])) == set(best.tolist())
            assert found[best, t] == pytest.approx(1 / 3)

    def test_at_most_so_many_are_exchanged_and_the_rest_keep_their_shares(self):
        found = weights("top_k_dropout", rebalance=5, drop=1)
        held: set[int] = set()
        for t in np.flatnonzero(~np.isnan(found).all(axis=0)):
            sold = set(np.flatnonzero(found[:, t] == 0.0).tolist())
            bought = set(np.flatnonzero(found[:, t] > 0.0).tolist())
            assert sold <= held
            assert len(sold) <= 1
            held = (held - sold) | bought
            assert len(held) <= 3

    @pytest.mark.parametrize("seed", range(5))
    def test_it_holds_what_pyqlibs_own_rule_holds(self, seed):
        """The engine's top-k dropout is proved equal to pyqlib; both choose by the same scores."""
        rng = np.random.default_rng(seed)
        options = TopkOptions(topk=3, n_drop=1, hold_thresh=0, account=1e9, trade_unit=None)
        account = topk._Account(options, rounding=False)
        everybody, price = [True] * 8, [10.0] * 8
        held: list[int] = []
        for _ in range(40):
            score = rng.random(8)
            order = np.argsort(-score, kind="stable").tolist()
            topk._trade(account, order, everybody, price, [1.0] * 8, everybody, everybody)
            sold, bought = exchange(held, order, score, 3, 1)
            held = [one for one in held if one not in sold] + bought
            assert set(held) == set(account.amount)

    def test_who_lost_the_score_goes_first(self):
        score = np.array([0.9, np.nan, 0.5, 0.7])
        assert exchange([0, 1], [0, 3, 2], score, 2, 1) == ([1], [3])


class TestUniverse:
    def spans(self, data):
        day = data.times.astype("datetime64[D]")
        return (
            Membership("idx", "S000", day[0], day[79]), Membership("idx", "S001", day[0], day[-1]),
            Membership("idx", "S002", day[80], day[-1]),
        )  # fmt: skip

    @pytest.mark.parametrize("method", ["equal_weight", "top_k", "risk_parity"])
    def test_only_the_members_of_the_day_are_held(self, method):
        data = panel()
        data = replace(data, meta={"membership": self.spans(data)})
        found = np.nan_to_num(weights(method, data, universe="idx", rebalance=1))
        assert set(np.flatnonzero(found[:, 60])) == {0, 1}
        assert set(np.flatnonzero(found[:, 100])) == {1, 2}

    def test_the_benchmark_holds_members_only_as_well(self):
        data = panel()
        data = replace(data, meta={"membership": self.spans(data)})
        report = backtest("allocation", config("equal_weight", universe="idx"), data, capital=1e6)
        assert report["benchmark"]["name"] == "equal_members"
        assert "buy_and_hold" not in report["baselines"]
        assert report["headline"]["excess_return"] == pytest.approx(0.0, abs=0.002)


class TestRefusals:
    def test_a_signal_that_cannot_be_read_is_refused_at_its_field(self):
        with pytest.raises(InvalidConfig) as wrong:
            config("top_k", signal="$close/(")
        assert wrong.value.errors[0].field == "signal"

    def test_a_signal_that_looks_ahead_is_refused(self):
        with pytest.raises(InvalidConfig):
            config("top_k", signal="Ref($close, -1)/$close")

    def test_the_signal_of_another_method_is_not_read(self):
        assert config("risk_parity", signal="nonsense(").method == "risk_parity"

    def test_more_cannot_be_exchanged_than_are_held(self):
        with pytest.raises(InvalidConfig):
            config("top_k_dropout", top=2, drop=3)

    @pytest.mark.parametrize("method", ["min_variance", "olmar"])
    def test_too_many_instruments_are_refused(self, method):
        with pytest.raises(Refusal, match="sense"):
            weights(method, panel(MOST_SOLVED + 1))

    def test_an_unknown_symbol_is_refused(self):
        with pytest.raises(Refusal, match="NOPE"):
            weights("equal_weight", symbols=["NOPE"])
