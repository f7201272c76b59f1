"""The doors of the backtester."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.trading.engine.backtest import kernel, rules
from apps.trading.engine.backtest.bars import Bars, Listed
from apps.trading.engine.backtest.depth import Depth, Room, room_of
from apps.trading.engine.backtest.market import Market, Rules
from apps.trading.engine.backtest.options import (
    HOLD,
    LIMIT_UP,
    REFUSALS,
    Options,
    Result,
)
from apps.trading.engine.costs import Costs
from apps.trading.engine.ledger import LEDGER
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

Floats = NDArray[np.float64]


def run_rule(
    name: str,
    params: Mapping[str, float],
    bars: Bars,
    costs: Costs | None = None,
    options: Options | None = None,
    *,
    first: int = 0,
    tick: float | None = None,
    market: Market | None = None,
    depth: Depth | None = None,
) -> Result:
    """Trade a named rule over ``bars[first:]``; earlier bars only warm its indicators up.

    ``params``: fast and slow (sma_cross); window, low and high (rsi_reversal). ``tick`` None
    finds the price grid from the data. ``market`` holds the rules of this one instrument, ``depth`` its volumes,
    where costs or options ask for them.
    """
    listed = bars.listed
    decision = (*_rule(name, params), _units(listed.bars, tick), listed.first(first))
    return _simulate(listed, listed.bars, kernel.simulate_rule, decision, costs, options, first, market, depth)


def run_targets(
    targets: NDArray[np.int8],
    bars: Bars,
    costs: Costs | None = None,
    options: Options | None = None,
    *,
    first: int = 0,
    market: Market | None = None,
    depth: Depth | None = None,
) -> Result:
    """Trade the side wanted after each close: (T,) of -1, 0, 1, or ``HOLD`` for no order."""
    if len(targets) != len(bars):
        raise Refusal("bad_targets", N_("There must be one target for each bar."))
    listed = bars.listed
    wanted = np.ascontiguousarray(targets if listed.index is None else targets[listed.index], np.int8)
    start = listed.first(first)
    return _simulate(
        listed, listed.bars.since(start), kernel.simulate, (wanted[start:],), costs, options, first, market, depth
    )


def rule_targets(name: str, params: Mapping[str, float], bars: Bars, *, tick: float | None = None) -> NDArray[np.int8]:
    """Return what a named rule wants after each close, as the signal door takes it."""
    listed = bars.listed
    out = np.empty(len(listed.bars), np.int8)
    rule, fast, slow, low, high = _rule(name, params)
    rules.rule_signals(rule, listed.bars.close, _units(listed.bars, tick), fast, slow, low, high, out)
    if listed.index is None:
        return out
    spread = np.full(len(bars), HOLD, np.int8)
    spread[listed.index] = out
    return spread


def run_weights(
    weights: Floats,
    open_: Floats,
    close: Floats,
    costs: Costs | None = None,
    options: Options | None = None,
    *,
    invest: float = 1.0,
    first: int = 0,
    market: Market | None = None,
    depth: Depth | None = None,
) -> Result:
    """Hold target weights (S, T) of ``invest`` times equity; a NaN weight keeps the shares held.

    ``weights.rebalance`` says when and in what order fills happen.
    """
    from apps.trading.engine.backtest.weights import rebalance

    costs, options = costs or Costs(), options or Options()
    if weights.shape != close.shape or open_.shape != close.shape:
        raise Refusal("bad_targets", N_("There must be one weight for each instrument and bar."))
    symbols, bars = close.shape[0], close.shape[1] - first
    refused = np.zeros(len(REFUSALS), np.int64)
    equity = np.empty(bars)
    wanted, opens, closes = (np.ascontiguousarray(a, np.float64) for a in (weights, open_, close))
    room = 1024 + bars * symbols // 8
    held, volumes = weighed_rules(market, opens, closes, costs, options), room_of(depth, costs, options, close.shape)
    while True:
        ledger = np.empty(room, LEDGER)
        refused[:] = 0
        fills = rebalance(
            wanted, opens, closes, first, options.capital, invest, options.allow_short, options.cash_short == "reduce",
            *cost_numbers(costs), ledger, refused, equity, held, volumes,
        )  # fmt: skip
        if fills <= room:
            return Result(ledger[:fills].copy(), equity, counts_of(refused), first, options.capital, symbols)
        room = fills


@dataclass(frozen=True)
class Sweep:
    """Results of a grid, (F, S) arrays; pairs that are not fast < slow hold NaN and no fills."""

    fasts: NDArray[np.int64]
    slows: NDArray[np.int64]
    final: Floats
    drawdown: Floats
    sharpe: Floats
    fills: NDArray[np.int64]


def sweep(
    fasts: Any,
    slows: Any,
    bars: Bars,
    costs: Costs | None = None,
    options: Options | None = None,
    *,
    first: int = 0,
    tick: float | None = None,
    market: Market | None = None,
    depth: Depth | None = None,
) -> Sweep:
    """Run the moving-average rule for every pair of ``fasts`` and ``slows`` in one compiled loop."""
    from apps.trading.engine.backtest.grid import sweep_grid

    listed = bars.listed
    b = listed.bars
    rows, columns = np.asarray(fasts, np.int64), np.asarray(slows, np.int64)
    if min(rows.min(initial=1), columns.min(initial=1)) < 1:
        raise Refusal("bad_window", N_("A window must hold at least one bar."), field="window")
    shape = (len(rows), len(columns))
    final, drawdown, sharpe = (np.full(shape, np.nan) for _ in range(3))
    fills = np.zeros(shape, np.int64)
    costs, options = costs or Costs(), options or Options()
    start = listed.first(first)
    if len(b) > start:
        sweep_grid(
            rows, columns, rules.price_unit(b.close, tick), b.open, b.high, b.low, b.close,
            start, options.capital, *option_numbers(options), *cost_numbers(costs), np.empty(0, LEDGER),
            final, drawdown, sharpe, fills, rules_of(market, costs, options, listed, start),
            listed_room(depth, costs, options, listed, start),
        )  # fmt: skip
    return Sweep(rows, columns, final, drawdown, sharpe, fills)


def warm() -> None:
    """Compile (or load from the cache) every kernel, so that the first run does not wait."""
    prices = np.array([1.0, 2.0, 3.0, 2.0, 1.0])
    bars = Bars.of(prices, prices)
    run_rule("sma_cross", {"fast": 1, "slow": 2}, bars)
    run_targets(rule_targets("buy_and_hold", {}, bars), bars)
    run_weights(np.ones((1, 5)), prices[None], prices[None])
    sweep([1], [2], bars)
    days = np.arange("2024-01-02", "2024-01-07", dtype="datetime64[D]")
    market = Market.build([("US", "stock")], days, prices[None])
    run_rule("sma_cross", {"fast": 1, "slow": 2}, bars, market=market)
    run_targets(rule_targets("buy_and_hold", {}, bars), bars, market=market)
    run_weights(np.ones((1, 5)), prices[None], prices[None], market=market)


def _units(bars: Bars, tick: float | None) -> Floats:
    return bars.units if tick is None else rules.price_units(bars.close, tick)


def _rule(name: str, params: Mapping[str, float]) -> tuple[int, int, int, float, float]:
    if name not in rules.RULES:
        raise Refusal("unknown_rule", N_("There is no rule %(rule)s."), field="rule", rule=name)
    code = rules.RULES[name]
    if name == "sma_cross":
        fast, slow = int(params["fast"]), int(params["slow"])
        if not 1 <= fast < slow:
            raise Refusal(
                "fast_not_below_slow", N_("The fast average must be shorter than the slow one."), field="fast"
            )
        return code, fast, slow, 0.0, 0.0
    if name == "rsi_reversal":
        if int(params["window"]) < 1:
            raise Refusal("bad_window", N_("A window must hold at least one bar."), field="window")
        return code, int(params["window"]), 0, float(params["low"]), float(params["high"])
    return code, 0, 0, 0.0, 0.0


def _simulate(
    listed: Listed,
    bars: Bars,
    loop: Callable[..., int],
    decision: tuple[Any, ...],
    costs: Costs | None,
    options: Options | None,
    first: int,
    market: Market | None,
    depth: Depth | None,
) -> Result:
    costs, options = costs or Costs(), options or Options()
    start = listed.first(first)
    held, volumes = rules_of(market, costs, options, listed, start), listed_room(depth, costs, options, listed, start)
    count = len(listed.bars) - start
    equity, refused = np.empty(count), np.zeros(len(REFUSALS), np.int64)
    room = 1024 + count // 8
    while True:
        ledger = np.empty(room, LEDGER)
        refused[:] = 0
        fills = loop(
            *decision, bars.open, bars.high, bars.low, bars.close, options.capital,
            *option_numbers(options), *cost_numbers(costs), ledger, refused, equity, held, volumes,
        )  # fmt: skip
        if fills <= room:
            break
        room = fills
    # A copy frees the room that was not needed, where there is much of it.
    ledger = ledger[:fills] if fills > room // 8 else ledger[:fills].copy()
    return result_of(listed, ledger, equity, refused, first, start, options)


def result_of(
    listed: Listed, ledger: NDArray[np.void], equity: Floats, refused: NDArray[np.int64], first: int, start: int,
    options: Options,
) -> Result:  # fmt: skip
    """Return the result over all bars of what happened on those that traded, from bar ``start`` of them."""
    if start:
        ledger["bar"] += start
    if listed.index is not None:
        ledger["bar"] = listed.index[ledger["bar"]]
        equity = listed.spread(equity, first, options.capital)
    return Result(ledger, equity, counts_of(refused), first, options.capital)


def weighed_rules(market: Market | None, open_: Floats, close: Floats, costs: Costs, options: Options) -> Rules | None:
    """Return the rules of several instruments, (S, T)."""
    if market is None:
        check_days(costs)
        return None
    ruled = _checked(market, close.shape).when_traded(open_, close)
    return ruled.rules(costs, refuse=options.order_maximum == "refuse")


def rules_of(market: Market | None, costs: Costs, options: Options, listed: Listed, start: int) -> Rules | None:
    """Return the rules over the bars that traded from ``start`` on."""
    if market is None:
        check_days(costs)
        return None
    _checked(market, (1, listed.length))
    index = np.arange(listed.length) if listed.index is None else listed.index
    return market.at(index, start).rules(costs, refuse=options.order_maximum == "refuse")


def listed_room(depth: Depth | None, costs: Costs, options: Options, listed: Listed, start: int) -> Room | None:
    """Return the room over the bars of one instrument that traded from ``start`` on."""
    if depth is not None and depth.volume.shape == (1, listed.length):
        index = np.arange(listed.length) if listed.index is None else listed.index
        depth = depth.at(index[start:])
    return room_of(depth, costs, options, (1, len(listed.bars) - start))


def check_days(costs: Costs) -> None:
    """Refuse what is owed by the day where nobody tells the days: it would not be charged."""
    if costs.borrow or costs.funding:
        raise Refusal(
            "no_days", N_("Borrow fees and funding are owed by the day: the run needs the rules of a market.")
        )


def _checked(market: Market, shape: tuple[int, ...]) -> Market:
    if market.up.shape != shape:
        raise Refusal("bad_rules", N_("There must be one rule for each instrument and bar."))
    return market


def option_numbers(options: Options) -> tuple[bool, float, bool, bool, float, float, bool]:
    fixed = options.sizing == "fixed_shares"
    return (
        fixed, float(options.shares if fixed else options.fraction), options.allow_short,
        options.cash_short == "reduce", float(options.stop_loss or 0.0), float(options.take_profit or 0.0),
        options.armed == "next_bar",
    )  # fmt: skip


def cost_numbers(costs: Costs) -> tuple[float, float, float, float, float, float]:
    return (
        float(costs.rate), float(costs.per_share), float(costs.minimum), float(costs.sell_tax),
        float(costs.slippage), float(costs.lot),
    )  # fmt: skip


def counts_of(refused: NDArray[np.int64]) -> dict[str, int]:
    """Return the counts by name; what comes of waiting is named where there was any."""
    named = zip(REFUSALS, refused, strict=True)
    return {name: int(count) for number, (name, count) in enumerate(named) if count or number < LIMIT_UP}
