"""Environments under the rules of a market: their account is the backtest's, and no copy disturbs another."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.strategies.engine.envs import make_algorithmic, make_portfolio
from apps.strategies.engine.envs.algorithmic import RUIN
from apps.strategies.engine.envs.ruled_portfolio import RuledPortfolioEnv
from apps.strategies.engine.envs.ruled_trading import RuledTradingEnv
from apps.strategies.engine.envs.rules import Ledger, Tables
from apps.strategies.engine.execution import Ruled
from apps.trading.engine.backtest import HOLD, Bars, Options, run_targets, run_weights
from apps.trading.engine.backtest.kernel import affordable
from apps.trading.engine.backtest.market import Event, Market
from apps.trading.engine.backtest.permits import total_fee
from apps.trading.engine.costs import Costs
from apps.trading.engine.rules.schedule import MARKET_ORDER
from tests.strategies.ruled_markets import ruled_market, unseen

CAPITALS = st.sampled_from([3_000.0, 50_000.0, 5_000_000.0])
COPIES = 5


def trading(ruled, **options) -> RuledTradingEnv:
    return RuledTradingEnv(unseen(ruled), ruled=ruled, **options)


def weighing(ruled, **options) -> RuledPortfolioEnv:
    return RuledPortfolioEnv(unseen(ruled), ruled=ruled, **options)


def sides(ruled, seed, *, short=False, copies=COPIES) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).integers(0, 2 + short, (ruled.close.shape[1] - 1, copies)))


def weights(ruled, seed, steps, *, copies=COPIES) -> torch.Tensor:
    """Random weights; the first copy holds no cash, and every fifth row keeps what is held."""
    draw = np.random.default_rng(seed)
    made = draw.dirichlet(np.ones(len(ruled.close) + 1), (steps, copies))
    made[:, 0, 0] = 0.0
    made /= made.sum(-1, keepdims=True)
    made[draw.random(made.shape[:2]) < 0.2] = np.nan
    return torch.tensor(made)


def walk(env, actions, what="equity") -> np.ndarray:
    """Equity after each step (or each bar: ``path``), and every reward checked against it."""
    env.reset(3)
    found, before = [], env.equity.clone()
    for action in actions:
        step = env.step(action)
        torch.testing.assert_close(step.reward.double(), torch.log(env.equity / before), rtol=1e-5, atol=1e-6)
        before = env.equity.clone()
        found.append(step.info[what].clone().reshape(-1, env.copies))
    return torch.cat(found).numpy()


def options_of(ruled, **more) -> Options:
    maximum = "refuse" if ruled.refuse else "split"
    return Options(capital=ruled.capital, fraction=1.0, cash_short="reduce", order_maximum=maximum, **more)


def by_kernel(ruled, chosen, *, short=False):
    options = options_of(ruled, allow_short=short)
    targets = np.r_[chosen.numpy() - short, HOLD].astype(np.int8)
    bars = Bars.of(ruled.open[0], ruled.close[0])
    return run_targets(targets, bars, ruled.costs, options, market=ruled.market, depth=ruled.depth)


@given(st.integers(0, 2**32 - 1), CAPITALS, st.integers(1, 3), st.booleans())
@settings(max_examples=25, deadline=None)
def test_the_account_of_one_asset_is_the_backtests_of_the_same_actions(seed, capital, bars_a_day, short):
    ruled = ruled_market(seed, bars_a_day=bars_a_day, capital=capital)
    actions = sides(ruled, seed, short=short)
    equity = walk(trading(ruled, copies=COPIES, allow_short=short), actions)
    for copy in range(COPIES):
        expected = by_kernel(ruled, actions[:, copy], short=short).equity[1:]
        ruined = np.flatnonzero(expected <= capital * RUIN)
        stop = ruined[0] if len(ruined) else len(expected)
        np.testing.assert_allclose(equity[:stop, copy], expected[:stop], rtol=1e-9)


@given(st.integers(0, 2**32 - 1), CAPITALS, st.integers(1, 3), st.sampled_from([1, 3]))
@settings(max_examples=25, deadline=None)
def test_the_account_of_a_portfolio_is_the_backtests_of_the_same_weights(seed, capital, bars_a_day, every):
    ruled = ruled_market(seed, 4, 31, bars_a_day=bars_a_day, capital=capital)
    env = weighing(ruled, copies=COPIES, rebalance=every)
    actions = weights(ruled, seed, env.horizon)
    equity = walk(env, actions, "path")
    options = options_of(ruled)
    for copy in range(COPIES):
        wanted = np.full(ruled.close.shape, np.nan)
        wanted[:, : env.horizon * every : every] = actions[:, copy, 1:].T
        run = run_weights(wanted, ruled.open, ruled.close, ruled.costs, options, market=ruled.market, depth=ruled.depth)
        expected = run.equity
        np.testing.assert_allclose(equity[:, copy], expected[1 : 1 + len(equity)], rtol=1e-9)
    assert ruled.costs.funding or (env.cash >= -1e-6).all()  # who is all in owes funding out of nothing
    np.testing.assert_allclose(env.account().sum(1), 1.0, atol=1e-6)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_fees_and_what_cash_affords_are_the_kernels(seed):
    draw = np.random.default_rng(seed)
    ruled = ruled_market(seed)
    tables = Tables.of(ruled, torch.device("cpu"))
    rules, costs, t = ruled.market.rules(ruled.costs), ruled.costs, int(draw.integers(40))
    row = SimpleNamespace(**{n: v[t].numpy() for n, v in tables.rows.items()}).__dict__
    ledger = Ledger(tables, np, tables.minimum.numpy(), tables.step.numpy())
    numbers = (costs.rate, costs.per_share, costs.minimum, costs.sell_tax)
    price, cash = draw.uniform(0.5, 40.0, 30), 10.0 ** draw.uniform(1, 6, 30)
    size = ledger.whole(10.0 ** draw.uniform(0, 5, 30))
    for sell in (0.0, 1.0):
        fees = ledger.fee(row, size, price, sell)
        found = ledger.affordable(row, size, price, sell, cash)
        for i in range(30):
            assert fees[i] == pytest.approx(total_fee(size[i], price[i], sell > 0, *numbers, rules, 0, t, MARKET_ORDER))
            expected = affordable(size[i], price[i], sell > 0, cash[i], 1.0, *numbers, rules, 0, t)
            assert found[i] == pytest.approx(expected, abs=1e-9)


def planted(open_, close, board=("CN", "main"), events=(), costs=None, bars_a_day=1, charged=False) -> Ruled:
    opens, closes = (np.array([row], np.float64) for row in (open_, close))
    days = np.datetime64("2024-01-02", "D") + np.arange(len(open_)) // bars_a_day
    before = np.concatenate([closes[:, :1], closes[:, :-1]], axis=1)
    market = Market.build([board], days, before, events=events, charged=charged)
    return Ruled(opens, closes, market, costs or Costs(), 10_000.0)


LIMIT_UP = planted([10, 11, 12.1, 12.5, 12.5], [10, 11, 12.1, 12.5, 12.5])


def test_a_bar_at_limit_up_is_never_bought_and_the_order_waits():
    env, wide = trading(LIMIT_UP, copies=2), weighing(LIMIT_UP, copies=2)
    env.reset()
    wide.reset()
    held = []
    for _ in range(3):
        env.step(torch.tensor([1, 0]))
        wide.step(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
        held.append((env.units[0].item(), wide.units[0, 0].item(), env.account()[0].item()))
    assert held == [(0, 0, 0), (0, 0, 0), (800, 800, 1)]  # sized at the close before; 12.50 affords 800
    assert env.cash.tolist() == [0.0, 10_000.0]


def test_a_bar_at_limit_down_is_never_sold():
    ruled = planted([10, 10, 9, 8.1, 8.5], [10, 10, 9, 8.1, 8.5])
    env = trading(ruled)
    env.reset()
    held = []
    for action in (1, 0, 0, 0):
        env.step(torch.tensor([action]))
        held.append(env.units.item())
    assert held == [1000, 1000, 1000, 0]


def test_a_suspended_bar_fills_nothing_decides_nothing_and_keeps_its_value():
    nan = np.nan
    ruled = planted([10, nan, nan, 10.5, 10.4], [10, nan, nan, 10.4, 10.4])
    env = trading(ruled)
    env.reset()
    env.step(torch.tensor([1]))
    env.step(torch.tensor([0]))  # decided while suspended: nobody hears it
    assert (env.units.item(), env.equity.item()) == (0.0, 10_000.0)
    env.step(torch.tensor([0]))
    assert env.units.item() == 900.0


def test_shares_bought_in_a_session_are_sold_in_a_later_one():
    ruled = planted([10] * 6, [10] * 6, bars_a_day=3)
    env = trading(ruled)
    env.reset()
    held = []
    for action in (1, 0, 0, 0):
        env.step(torch.tensor([action]))
        held.append(env.units.item())
    assert held == [1000, 1000, 0, 0]


def test_dividends_are_paid_and_splits_change_the_shares_and_the_order_that_waits():
    ruled = planted([10, 10, 4.8, 4.8], [10, 10, 4.8, 4.8], events=[Event(2, 0, ratio=2.0, payout=0.4)])
    env = trading(ruled)
    env.reset()
    for _ in range(2):
        env.step(torch.tensor([1]))
    assert (env.units.item(), env.cash.item()) == (2000.0, 400.0)
    assert env.equity.item() == pytest.approx(10_000.0)


def test_commission_and_charges_are_those_of_the_day():
    env = trading(planted([10, 10, 10], [10, 10, 10], costs=Costs(minimum=5.0), charged=True))
    env.reset()
    env.step(torch.tensor([1]))
    assert env.cash.item() == pytest.approx(10_000 - 9_000 - 5 - 9_000 * 0.00001)  # the tenth lot would not fit
    env.step(torch.tensor([0]))
    assert env.cash.item() == pytest.approx(10_000 - 2 * (5 + 9_000 * 0.00001) - 9_000 * 0.0005)


def test_a_short_that_is_ruined_ends_and_earns_nothing_after():
    ruled = planted([10, 10, 30, 30], [10, 19.95, 30, 30], board=None)
    env = trading(ruled, allow_short=True, copies=2)
    env.reset()
    step = env.step(torch.tensor([0, 1]))
    assert step.terminated.tolist() == [True, False]
    assert env.equity.tolist() == pytest.approx([10_000 * RUIN, 10_000.0])
    step = env.step(torch.tensor([0, 1]))
    assert (step.reward[0].item(), env.units[0].item(), env.account()[0].item()) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("options", [{}, {"horizon": 9, "random_start": True}])
def test_a_batch_is_its_copies_one_by_one_and_goes_on_from_its_saved_state(options):
    ruled = ruled_market(11, 3)
    one = replace(ruled, open=ruled.open[:1], close=ruled.close[:1], market=ruled.market.row(0))
    for build, source, actions in (
        (trading, one, sides(one, 2, short=True)),
        (weighing, ruled, weights(ruled, 2, 39)),
    ):
        more = {"allow_short": True} if build is trading else {}
        env = build(source, copies=COPIES, **options, **more)
        together = walk(env, actions[: env.horizon])
        for copy in range(COPIES):
            first = 0 if env.starts is None else int(env.starts[copy])
            alone = build(source, first=first, last=first + env.horizon, **more)
            np.testing.assert_allclose(
                walk(alone, actions[: env.horizon, copy : copy + 1])[:, 0], together[:, copy], rtol=1e-12
            )
        env.reset(3)
        for action in actions[:5]:
            env.step(action)
        other = build(source, copies=COPIES, **options, **more)
        other.load_state_dict(env.state_dict())
        for action in actions[5 : env.horizon]:
            assert torch.equal(env.step(action).reward, other.step(action).reward)


@pytest.mark.parametrize("kind", [RuledTradingEnv, RuledPortfolioEnv])
def test_torch_and_numpy_arithmetic_agree(kind):
    """On other devices the same lines run in torch: here they are made to on the CPU."""

    class InTorch(kind):
        def _raw(self, tensor):
            self._xp, self._on_cpu = torch, False
            return tensor

    for seed in range(4):
        ruled = ruled_market(seed, 1 if kind is RuledTradingEnv else 3, bars_a_day=2, capital=4_000.0)
        more = {"allow_short": True} if kind is RuledTradingEnv else {}
        actions = sides(ruled, seed, short=True) if more else weights(ruled, seed, 39)
        curves = [walk(one(unseen(ruled), ruled=ruled, copies=COPIES, **more), actions) for one in (kind, InTorch)]
        np.testing.assert_allclose(curves[0], curves[1], rtol=1e-12)


@pytest.mark.parametrize("bar", [7, 20])
def test_the_past_does_not_change_with_the_future(bar):
    ruled = ruled_market(4, 3)
    other = ruled_market(5, 3)
    late = np.arange(40) > bar
    later = replace(
        ruled, open=np.where(late, other.open, ruled.open), close=np.where(late, other.close, ruled.close),
        market=replace(ruled.market, up=np.where(late, other.market.up, ruled.market.up), events=()),
    )  # fmt: skip
    ruled = replace(ruled, market=replace(ruled.market, events=()))
    actions = weights(ruled, 1, 39)
    curves = [walk(weighing(given_, copies=COPIES), actions)[:bar] for given_ in (ruled, later)]
    np.testing.assert_array_equal(*curves)


def test_a_device_without_double_precision_is_refused():
    with pytest.raises(ValueError, match="double precision"):
        Tables.of(LIMIT_UP, torch.device("mps"))


def test_the_mode_and_the_rules_choose_the_accounts():
    prices = unseen(LIMIT_UP)
    assert isinstance(make_algorithmic(prices, ruled=LIMIT_UP), RuledTradingEnv)
    assert isinstance(make_portfolio(prices, ruled=LIMIT_UP, rebalance=2), RuledPortfolioEnv)
    long = unseen(ruled_market(1))
    assert not isinstance(make_algorithmic(long, compat="trademaster", ruled=LIMIT_UP), RuledTradingEnv)
    assert not isinstance(make_portfolio(long, compat="trademaster", ruled=LIMIT_UP), RuledPortfolioEnv)
