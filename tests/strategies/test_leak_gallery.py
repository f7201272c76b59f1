"""Whole strategies under the leak check: every kind of planted leak is caught, no clean strategy raises an alarm."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from safetensors.torch import save_file

from apps.marketdata.engine.features import compute as signals
from apps.strategies.engine import backtesting, features, honesty, leaks
from apps.strategies.engine.backtesting import backtest
from apps.strategies.engine.execution import Traded
from apps.strategies.engine.ports import ListSink, Policy, TargetPositions
from apps.strategies.engine.registry import TYPES, InvalidConfig, parse_config
from apps.strategies.engine.training import algorithmic, portfolio
from apps.strategies.engine.words import MEND, TESTS
from tests.strategies.leak_gallery import CLEAN, PLANTED, SYMBOLS, back, market, sides

pytestmark = pytest.mark.usefixtures("one_thread")
RULE = {"symbol": "S0", "fast": 3, "slow": 9}
DATES = {"valid_start": "2020-05-01", "test_start": "2020-06-20", "window": 3, "hidden": 8}
NAMED = [f"S{i}" for i in range(SYMBOLS - 1)]
LEARNED: dict[str, tuple[str, dict[str, Any]]] = {
    "dqn": ("algorithmic_trading", {"symbol": "S1", "episodes": 1, "batch": 8, "buffer": 64, **DATES}),
    "dqn, short": ("algorithmic_trading", {"symbol": "S0", "episodes": 1, "allow_short": True, **DATES}),
    "ppo": ("portfolio", {"symbols": NAMED, "epochs": 2, "copies": 4, "horizon": 16, **DATES}),
    "ppo, weekly": ("portfolio", {"symbols": NAMED, "epochs": 2, "copies": 4, "horizon": 8, "rebalance": 5, **DATES}),
}
ALLOCATED = {"symbols": NAMED, "top": 2, "drop": 1, "window": 20, "rebalance": 5}
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    **{f"sma {a}/{b}": ("rule", {"symbol": "S0", "fast": a, "slow": b}) for a, b in ((2, 5), (3, 9), (10, 30), (20, 60))},
    **{
        f"rsi {n}": ("rule", {"symbol": "S1", "rule": "rsi_reversal", "rsi_window": n, "rsi_low": 40, "rsi_high": 60})
        for n in (5, 14, 30)
    },
    "stop and target": ("rule", {**RULE, "stop_loss": 3, "take_profit": 4}),
    "volume limit": ("rule", {**RULE, "participation_pct": 5, "slippage": "volume_share"}),
    "buy and hold": ("rule", {"symbol": "S2", "rule": "buy_and_hold"}),
    **{
        f"allocation {method}": ("allocation", {**ALLOCATED, "method": method})
        for method in (
            "equal_weight", "inverse_volatility", "min_variance", "risk_parity", "max_sharpe", "top_k",
            "top_k_dropout", "ucrp", "eg", "pamr", "olmar", "universal",
        )
    },
    "ranked members": ("allocation", {**ALLOCATED, "symbols": [], "universe": "U", "method": "top_k"}),
    "ranked by range": ("allocation", {**ALLOCATED, "method": "top_k", "signal": "Mean($high/$low, 10)"}),
    "equal portfolio": ("portfolio", {"symbols": NAMED, "method": "equal_weight", **DATES}),
    **LEARNED,
}  # fmt: skip


@pytest.fixture(scope="module")
def bars():
    return market()


@pytest.fixture
def decides(monkeypatch):
    """Let a rule decide as told."""
    return lambda decide: monkeypatch.setattr(TYPES["rule"].__class__, "load", lambda self, entry: decide)


def policy_of(kind, config, bars, folder):
    if kind not in LEARNED:
        return None
    sink = ListSink(save_every=10**9)
    result = TYPES[LEARNED[kind][0]].load("train")(config, bars, sink)
    assert sink.best is not None
    path = folder / "best.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in sink.best.tensors.items()}, path)
    return Policy(path, result.policy)


def test_twelve_kinds_of_leaks_and_thirty_clean_strategies_are_tried():
    assert len(PLANTED) + len(OTHER) >= 12
    assert len(CONFIGS) + len(CLEAN) >= 30


@pytest.mark.parametrize("kind", PLANTED)
def test_a_strategy_that_knows_the_future_is_blocked_and_told_where(kind, bars, decides):
    decides(PLANTED[kind])
    found = honesty.examine("rule", parse_config("rule", RULE), bars, None)
    assert not found["clean"]
    first = found["leaks"][0]
    assert first["column"] == "decisions"
    assert first["row"] in bars.symbols
    assert first["time"] <= first["cut"]
    assert first["before"] != first["after"]
    assert MEND[first["code"]]


@pytest.mark.parametrize("kind", CLEAN)
def test_a_clean_function_raises_no_alarm(kind, bars, decides):
    decides(CLEAN[kind])
    assert honesty.examine("rule", parse_config("rule", RULE), bars, None)["leaks"] == []


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_clean_strategy_of_the_product_raises_no_alarm(kind, bars, tmp_path):
    type_key, values = CONFIGS[kind]
    config = parse_config(type_key, values)
    policy = policy_of(kind, config, bars, tmp_path)
    report = backtest(
        type_key, config, bars, capital=1e5, policy=policy, check_leaks=True, traded=Traded(bars, calendar="XSHG")
    )
    found = report["leaks"]
    assert found["leaks"] == []
    assert {test["name"] for test in found["tests"]} <= set(TESTS)
    assert all(
        test["checked"] >= leaks.DATES for test in found["tests"] if test["name"] in ("decisions", "tradability")
    )
    if kind in LEARNED:
        names = {test["name"] for test in found["tests"]}
        assert names >= {"features", "scaler", "labels", "split", "inputs_shuffle", "inputs_noise", "time_shuffle"}


# Leaks beside decisions: what they are made from, what is learned from, how orders are filled.


def learned(bars, tmp_path, kind="dqn"):
    type_key, values = LEARNED[kind]
    config = parse_config(type_key, values)
    return honesty.examine(type_key, config, bars, policy_of(kind, config, bars, tmp_path))


def answer_in_features(bars, patch, tmp_path):
    honest = features.compute

    def leaking(p):
        found = honest(p).copy()
        found[:-1, :, 2] = np.log(p.close[:, 1:] / p.close[:, :-1]).T
        return found

    for module in (features, algorithmic, portfolio):
        patch.setattr(module, "compute", leaking)
    return learned(bars, tmp_path)


def scaler_on_all_bars(bars, patch, tmp_path):
    honest = algorithmic.Market.__init__

    def fitted(self, config, p, venue=None):
        honest(self, config, p, venue)
        self.scaler = features.Scaler.fit(features.compute(p.select([config.symbol]))[:, 0])

    patch.setattr(algorithmic.Market, "__init__", fitted)
    return learned(bars, tmp_path)


def rewards_of_the_next_part(bars, patch, tmp_path):
    """The training goes on into the bars that validate."""
    honest = algorithmic.Market.__init__

    def longer(self, config, p, venue=None):
        honest(self, config, p, venue)
        self.split = replace(self.split, valid=self.split.valid + 4)

    patch.setattr(algorithmic.Market, "__init__", longer)
    return learned(bars, tmp_path)


def survivors_learn(bars, patch, tmp_path):
    """Without named symbols a portfolio learns on those with bars to the very end."""
    type_key, values = LEARNED["ppo"]
    config = parse_config(type_key, {**values, "symbols": []})
    return honesty.examine(type_key, config, bars, policy_of("ppo", config, bars, tmp_path))


def signal_of_tomorrow(bars, patch, tmp_path):
    """Expressions that look ahead are refused before anything runs; here the engine itself slips by a bar."""
    ahead = {**ALLOCATED, "method": "top_k", "signal": "Ref($close, -1)/$close - 1"}
    with pytest.raises(InvalidConfig, match="future"):
        parse_config("allocation", ahead)
    honest = signals.compute
    patch.setattr(signals, "compute", lambda p, names, **more: back(honest(p, names, **more), -1))
    config = parse_config("allocation", {**ALLOCATED, "method": "top_k", "signal": "$close/Ref($close, 5)"})
    return honesty.examine("allocation", config, bars, None)


def tradable_by_the_days_change(bars, patch, tmp_path):
    """What Qlib allows: deals at the open, forbidden by the change of the day to its close."""

    def by_change(self, row):
        p = self.panel
        moved = np.abs(p.close[row] / np.concatenate([[np.nan], p.close[row][:-1]]) - 1.0)
        hidden = {
            name: np.where(moved > 0.015, np.nan, p.fields[name][row]) for name in ("open", "close", "high", "low")
        }
        return backtesting_bars(*(hidden[name] for name in ("open", "close", "high", "low")))

    patch.setattr(Traded, "bars", by_change)
    config = parse_config("rule", {"symbol": "S0", "fast": 2, "slow": 3})
    return backtest("rule", config, bars, capital=1e5, check_leaks=True, traded=Traded(bars))["leaks"]


def filled_at_the_close_that_decided(bars, patch, tmp_path):
    patch.setattr(backtesting, "_fill_rule", lambda options: {"signal": "close", "fill": "same_close"})
    return backtest("rule", parse_config("rule", RULE), bars, capital=1e5, check_leaks=True)["leaks"]


def open_price_with_the_days_change(bars, patch, tmp_path):
    patch.setattr(backtesting, "_fill_rule", lambda options: {"fill": "next_open", "tradable_by": "change"})
    return backtest("rule", parse_config("rule", RULE), bars, capital=1e5, check_leaks=True)["leaks"]


def backtesting_bars(*columns):
    from apps.trading.engine.backtest import Bars

    return Bars.of(*columns)


OTHER = {
    "target in the features": (answer_in_features, "future", "return_20"),
    "target in the features, by its inputs": (answer_in_features, "shuffled", "inputs"),
    "scaler on the whole span": (scaler_on_all_bars, "scaler", "return_1 mean"),
    "rewards reach into validation": (rewards_of_the_next_part, "label_overlap", "reward"),
    "survivors chosen for learning": (survivors_learn, "universe", "universe"),
    "signal of tomorrow": (signal_of_tomorrow, "future", "signal"),
    "day's change decides what trades at the open": (tradable_by_the_days_change, "tradability", "orders"),
    "open price with the day's change": (open_price_with_the_days_change, "tradability", ""),
    "filled at the close that decided": (filled_at_the_close_that_decided, "fill_known", ""),
}


@pytest.mark.parametrize("kind", OTHER)
def test_a_leak_beside_the_decisions_is_caught_with_its_column(kind, bars, monkeypatch, tmp_path):
    plant, code, column = OTHER[kind]
    found = plant(bars, monkeypatch, tmp_path)
    assert not found["clean"]
    assert any(leak["code"] == code and (not column or leak["column"] == column) for leak in found["leaks"]), found
    assert all(MEND[leak["code"]] for leak in found["leaks"])


def test_a_leak_names_the_instrument_that_was_decided_on_not_the_first_of_the_data(bars, monkeypatch):
    def decide(config, p, policy=None):
        close = p.close[2]
        return TargetPositions((np.append(close[1:], close[-1]) > close).astype(np.int8)[None])

    monkeypatch.setattr(TYPES["rule"].__class__, "load", lambda self, entry: decide)
    found = honesty.examine("rule", parse_config("rule", {**RULE, "symbol": "S2"}), bars, None)
    assert found["leaks"][0]["row"] == "S2"


def test_too_few_bars_are_no_clean_bill(bars, decides):
    decides(sides(lambda c: np.ones(len(c))))
    few = bars.bars(slice(0, 15))
    found = honesty.examine("rule", parse_config("rule", RULE), few, None)
    assert not found["clean"]
    assert found["leaks"][0]["code"] == "unchecked"
