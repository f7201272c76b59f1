"""Several accounts in one call leave what each would leave alone, byte for byte."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from apps.trading.engine.backtest import Bars, Market, Options, run_targets, run_weights
from apps.trading.engine.backtest.accounts import AccountOf, targets_of_accounts, weights_of_accounts
from apps.trading.engine.costs import Costs
from apps.ui.engine.refusal import Refusal

BARS = 120
ACCOUNTS = [
    AccountOf(),
    AccountOf(Costs(rate=0.001, minimum=5.0), Options(capital=50_000.0, cash_short="reduce", stop_loss=0.03)),
    AccountOf(Costs(slippage=0.001, borrow=0.1), Options(allow_short=True, sizing="fixed_shares", shares=300)),
    AccountOf(Costs(rate=0.0003, levies=0.0), Options(capital=3e9, fraction=1.0, order_maximum="refuse")),
    AccountOf(Costs(rate=0.0003, levies=2.0), Options(capital=3e9, fraction=1.0, take_profit=0.05)),
]  # fmt: skip


def same(one, other):
    assert one.ledger.tobytes() == other.ledger.tobytes()
    assert one.equity.tobytes() == other.equity.tobytes()
    assert (one.refused, one.first, one.capital, one.symbols) == (
        other.refused,
        other.first,
        other.capital,
        other.symbols,
    )


def prices(symbols, seed=1):
    rng = np.random.Generator(np.random.PCG64(seed))
    close = np.round(20 * np.exp(np.cumsum(rng.normal(0, 0.02, (symbols, BARS)), axis=1)), 2)
    open_ = np.round(close * (1 + rng.normal(0, 0.005, close.shape)), 2)
    close[rng.random(close.shape) < 0.05] = np.nan
    open_[np.isnan(close)] = np.nan
    return rng, open_, close, Market.of(
        "CN", ["star"] * symbols, [date(2024, 1, 2) + timedelta(days=i) for i in range(BARS)], close
    )  # fmt: skip


@pytest.mark.parametrize("first", [0, 17])
def test_signals_of_several_accounts(first):
    rng, open_, close, market = prices(1)
    bars = Bars.of(open_[0], close[0])
    targets = rng.integers(-1, 3, (len(ACCOUNTS), BARS)).astype(np.int8)
    found = targets_of_accounts(targets, bars, ACCOUNTS, first=first, market=market)
    for own, account, run in zip(targets, ACCOUNTS, found, strict=True):
        same(run, run_targets(own, bars, account.costs, account.options, first=first, market=market))
        assert len(run.ledger) > 5 or account.options.order_maximum == "refuse"


@pytest.mark.parametrize("shared", [False, True])
def test_weights_of_several_accounts(shared):
    rng, open_, close, market = prices(4)
    shape = close.shape if shared else (len(ACCOUNTS), *close.shape)
    weights = np.where(rng.random(shape) < 0.4, rng.uniform(-0.2, 0.4, shape), np.nan)
    found = weights_of_accounts(weights, open_, close, ACCOUNTS, invest=0.9, first=3, market=market)
    for k, (account, run) in enumerate(zip(ACCOUNTS, found, strict=True)):
        own = weights if shared else weights[k]
        same(run, run_weights(own, open_, close, account.costs, account.options, invest=0.9, first=3, market=market))
    assert sum(len(run.ledger) for run in found) > 100


def test_a_ledger_that_outgrows_its_room_is_written_whole_and_without_a_market():
    bars = Bars.of(np.full(9_000, 10.0), np.full(9_000, 10.0))
    turning = np.tile([1, 0], 4_500).astype(np.int8)
    accounts = [AccountOf(Costs(rate=0.0001)), AccountOf(Costs(), Options(capital=1e4))]
    found = targets_of_accounts(np.stack([turning, np.zeros_like(turning)]), bars, accounts)
    same(found[0], run_targets(turning, bars, accounts[0].costs, accounts[0].options))
    assert [len(run.ledger) for run in found] == [8_999, 0]


def test_arrays_of_another_shape_are_refused():
    _, open_, close, market = prices(2)
    with pytest.raises(Refusal, match="each account"):
        weights_of_accounts(np.ones((2, *close.shape)), open_, close, ACCOUNTS, market=market)
    with pytest.raises(Refusal, match="each account"):
        targets_of_accounts(np.ones((1, BARS), np.int8), Bars.of(open_[0], close[0]), ACCOUNTS)
