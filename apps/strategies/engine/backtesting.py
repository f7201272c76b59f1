"""A backtest of any strategy: dates, decisions, kernel, benchmark, report.

Runs in the process of a session: importing it loads numba.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.instants import instant
from apps.strategies.engine.benchmarks import Benchmark
from apps.strategies.engine.config import AlgorithmicTradingConfig, RuleConfig
from apps.strategies.engine.config_base import StrategyConfig
from apps.strategies.engine.execution import Traded, Venue, costs_of
from apps.strategies.engine.facts import aims_of, facts_of
from apps.strategies.engine.markets import TradedMarket
from apps.strategies.engine.ports import Decisions, NamedRule, Policy, TargetPositions, TargetWeights
from apps.strategies.engine.registry import strategy_type
from apps.trading.engine.backtest import (
    HOLD,
    Options,
    Result,
    rule_targets,
    run_targets,
)
from apps.trading.engine.backtest.depth import asks_volume
from apps.trading.engine.costs import Costs
from apps.trading.engine.ledger import REBALANCE, SIGNAL
from apps.trading.engine.report import Baseline, Setting, build
from apps.trading.engine.report.luck import History
from apps.trading.engine.robustness import GOAL
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

Floats = NDArray[np.float64]
Progress = Callable[[float, float, str], None]
#: Runs of the stress tests and of the search for the break-even, as far as progress counts them.
STEPS = 60


def backtest(
    type_key: str,
    config: StrategyConfig,
    panel: BarPanel,
    *,
    start: date | None = None,
    end: date | None = None,
    capital: float,
    benchmark: str | Benchmark = "",
    policy: Policy | None = None,
    costs: Costs | None = None,
    traded: Traded | None = None,
    history: History | None = None,
    check_leaks: bool = False,
    study: str = "",
    study_options: Mapping[str, Any] | None = None,
    goal: float = GOAL,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Return the report of trading ``config`` from ``start`` to ``end``, both included.

    Bars before ``start`` only warm up; the first decision falls at the close of the first bar,
    its fill at the next open. ``start`` empty means where the configuration's unseen part
    begins, else the first bar; ``end`` empty means the last bar. ``benchmark`` is a symbol of
    the panel, another dataset, or empty for buying what the strategy may hold, in equal parts, and holding it.
    ``costs`` empty means the configuration's. Decisions are made on ``panel``; ``traded`` is what
    orders are filled on, bar for bar, with the rules of its market; empty means ``panel`` and none.
    ``history`` is what was tried of the same idea before; ``check_leaks`` looks for knowledge of the
    future, which blocks a pass. ``study`` adds a parameter sweep or a walk-forward (``studies``).
    ``goal`` is the total return whose probability the draws of chance tell (1: the capital doubled).
    ``on_progress(done, total, unit)`` may raise to stop. Raises ``Refusal`` for dates outside the
    data, an unknown symbol, a capital that is not above zero and data without prices.
    """
    if not math.isfinite(capital) or capital <= 0:
        raise Refusal("bad_capital", N_("The capital must be a number above zero."), field="capital")
    period = _period(config, panel, start, end)
    panel = panel.select(end=period.last)
    execution = Traded(panel, obey=False) if traded is None else traded.until(period.last)
    if isinstance(benchmark, str) and benchmark:
        _check_prices(panel, [panel.index_of(benchmark)], period.first, "benchmark")
    report_step = _stepper(on_progress)
    # A policy that learned under the rules of a market is told what it holds under them.
    venue = [Venue(execution, capital)] if policy is not None and policy.spec.get("rules") else []
    decisions = strategy_type(type_key).load("decide")(config, panel, policy, *venue)
    report_step()
    charged = costs or costs_of(config)
    execution = replace(execution, owes=bool(charged.borrow or charged.funding))
    market = TradedMarket(panel, execution, period.first, charged, capital)
    player = _player(config, decisions, market)
    rows = player.rows
    _check_prices(panel, rows, period.first, "symbol")
    if costs is None:
        market = replace(market, costs=execution.costs(market.costs, rows))
    run = player.run(market.costs, 0)
    report_step()
    yardsticks = _yardsticks(market, rows, config)
    beside, told = _beside(benchmark, market, rows, yardsticks[0])
    setting = Setting(
        strategy={"type": type_key, "config": config.model_dump(mode="json")},
        symbols=[panel.symbols[row] for row in rows],
        times=panel.times[period.first :],
        all_times=panel.times,
        frequency=panel.frequency,
        bars_per_year=panel.bars_per_year,
        currency=panel.currency,
        dataset=panel.name,
        capital=capital,
        costs=market.costs,
        fill_rule=_fill_rule(player.options),
        benchmark=told,
        unseen=_unseen(config, panel.times[period.first :], policy),
        volume=execution.panel.fields["volume"][rows] if "volume" in execution.panel.fields else None,
        closes=execution.weighed(rows)[1],
        **facts_of(config, decisions, player.rows, player.aims, market, yardsticks[0]),
        goal=goal,
        market=None
        if traded is None
        else {
            **execution.document(rows, period.first),
            "charges": execution.charges_paid(rows, run.ledger, market.costs),
        },
        history=history,
        leaks=_leaks(type_key, config, decisions, market, player, policy, report_step) if check_leaks else None,
    )
    document = build(setting, run, beside, yardsticks, player.run, report_step)
    if study:
        document[study] = _study(study, config, market, player.options, dict(study_options or {}), on_progress)
    return document


def _beside(
    benchmark: str | Benchmark, market: TradedMarket, rows: list[int], otherwise: Baseline
) -> tuple[Floats, dict[str, Any]]:
    """Return the equity (T,) a run is laid against and what the report says of it."""
    panel = market.panel
    if isinstance(benchmark, Benchmark):
        times = panel.times[market.first :]
        equity = benchmark.equity(times, panel.frequency, market.capital, market.costs.rate)
        return equity, benchmark.document(times, panel.frequency)
    if benchmark:
        return market.hold([panel.index_of(benchmark)]), {"symbol": benchmark, "name": benchmark}
    held = otherwise.name == "buy_and_hold" and len(rows) > 1
    return otherwise.equity, {"symbol": "", "name": "equal_parts_held" if held else otherwise.name}


def _study(
    name: str, config: StrategyConfig, market: TradedMarket, options: Options, given: dict[str, Any],
    on_progress: Progress | None,
) -> dict[str, Any]:  # fmt: skip
    from apps.strategies.engine import studies

    def on_step(done: float, total: float) -> None:
        if on_progress is not None:
            on_progress(done, total, "run")

    prepared = studies.Study.of(config, market, options)
    if name == studies.SWEEP:
        return studies.sweep(prepared, on_step)
    from apps.strategies.engine.walking import walk_forward

    return walk_forward(prepared, on_step=on_step, **given)


def _leaks(
    type_key: str, config: StrategyConfig, decisions: Decisions, market: TradedMarket, player: _Player,
    policy: Policy | None, on_step: Callable[[], None],
) -> dict[str, Any]:  # fmt: skip
    from apps.strategies.engine.honesty import Trading, examine

    def orders(bars: BarPanel) -> dict[str, Floats]:
        """Execute the same decisions on other bars; what happens within a bar (protection) is left out."""
        other = replace(market, traded=replace(market.traded, panel=bars), _rules={}, _bars={}, _depths={})
        again = _player(config, decisions, other)
        return {"orders": opened(again.run(market.costs, 0), (len(again.rows), len(bars.times)))}

    follows = frozenset({"volume"}) if asks_volume(market.costs, player.options) else frozenset[str]()
    bars = market.traded.panel
    trading = Trading(bars, tuple(bars.symbols[row] for row in player.rows), orders, follows)
    return examine(
        type_key, config, market.panel, policy, first=market.first, fill_rule=_fill_rule(player.options),
        trading=trading, on_step=on_step,
    )  # fmt: skip


def opened(run: Result, shape: tuple[int, int]) -> Floats:
    """Return the shares bought (above zero) or sold at each open on a signal, ``shape`` (S, T)."""
    found, fills = np.zeros(shape), run.fills
    fills = fills[np.isin(fills["reason"], (SIGNAL, REBALANCE))]
    np.add.at(found, (fills["symbol"], fills["bar"]), fills["side"] * fills["quantity"])
    return found


@dataclass(frozen=True)
class _Period:
    first: int
    last: np.datetime64


def _period(config: StrategyConfig, panel: BarPanel, start: date | None, end: date | None) -> _Period:
    """Return the first bar and the last day; refuse what the data does not cover."""
    days = panel.times.astype("datetime64[D]")
    if not len(days):
        raise Refusal("no_bars", N_("%(dataset)s holds no bars."), dataset=panel.name or "-")
    low, high = days[0], days[-1]
    first_day = np.datetime64(start or _within(getattr(config, "test_start", None), low, high) or low, "D")
    last_day = np.datetime64(end or _within(getattr(config, "test_end", None), low, high) or high, "D")
    for name, day in (("start", first_day), ("end", last_day)):
        if not low <= day <= high:
            raise Refusal(
                "dates_outside_data",
                N_("%(day)s lies outside the data: %(dataset)s has bars from %(first)s to %(last)s."),
                field=name, day=str(day), dataset=panel.name or "-", first=str(low), last=str(high),
            )  # fmt: skip
    if first_day >= last_day:
        raise Refusal(
            "dates_out_of_order", N_("%(late)s must come after %(early)s."), field="end", early="start", late="end"
        )
    first = int(np.searchsorted(days, first_day))
    if int(np.searchsorted(days, last_day, "right")) - first < 2:
        raise Refusal("too_few_bars", N_("There are fewer than two bars between these dates."), field="start")
    return _Period(first, last_day)


def _within(day: date | None, low: np.datetime64, high: np.datetime64) -> date | None:
    return day if day is not None and low <= np.datetime64(day, "D") <= high else None


def _check_prices(panel: BarPanel, rows: list[int], first: int, field: str) -> None:
    """Refuse instruments without a single price in the period."""
    for row in rows:
        if not (np.isfinite(panel.close[row, first:]) & np.isfinite(panel.open[row, first:])).any():
            raise Refusal(
                "no_prices",
                N_("%(symbol)s has no prices between these dates."),
                field=field,
                symbol=panel.symbols[row],
            )


def _unseen(config: StrategyConfig, times: NDArray[np.datetime64], policy: Policy | None) -> float:
    """Return the share of the bars on or after the day from which they count as unseen.

    That is the configuration's, or a later one up to which the policy that decides had learned.
    """
    days = [day for day in (getattr(config, "test_start", None), policy.seen_until if policy else None) if day]
    return 0.0 if not days else float(np.mean(times >= max(instant(day) for day in days)))


def _stepper(on_progress: Progress | None) -> Callable[[], None]:
    done = 0

    def step() -> None:
        nonlocal done
        done = min(done + 1, STEPS)
        if on_progress is not None:
            on_progress(float(done), float(STEPS), "run")

    return step


def _yardsticks(market: TradedMarket, rows: list[int], config: StrategyConfig) -> list[Baseline]:
    """Return the baselines, the one a run is laid against first.

    With a universe that is its members of the day in equal parts: whoever holds from the start what was
    to become a member knows the future.
    """
    universe, every = getattr(config, "universe", ""), getattr(config, "rebalance", 1)
    if universe:
        found = [Baseline("equal_members", market.equal_members(universe, every))]
    else:
        found = [Baseline("buy_and_hold", market.hold(rows))]
    if len(rows) > 1 and not universe:
        found.append(Baseline("equal_weight", market.equal(rows, every)))
    bars = len(market.panel.times) - market.first
    return [*found, Baseline("do_nothing", np.full(bars, market.capital))]


@dataclass(frozen=True)
class _Player:
    """Runs one strategy's decisions: ``run(costs, delay)`` acts ``delay`` bars late.

    A third argument is the largest part of a bar's volume, where it is not to be the strategy's own.
    """

    rows: list[int]
    options: Options
    run: Callable[..., Result]
    #: The part of the equity wanted in each row (S, T), NaN where nothing is decided; None: sized otherwise.
    aims: Floats | None = None


def _player(config: StrategyConfig, decisions: Decisions, market: TradedMarket) -> _Player:
    options = _options(config, market.capital)
    if isinstance(decisions, TargetWeights):
        return _weights_player(decisions.weights, config, options, market)
    if not isinstance(config, (RuleConfig, AlgorithmicTradingConfig)):
        raise TypeError(f"{type(config).__name__} decides on one instrument, so it needs a symbol")
    row = market.panel.index_of(config.symbol)
    bars, rules = market.bars(row), market.rules([row])
    if isinstance(decisions, NamedRule):
        wanted = rule_targets(decisions.name, decisions.params, market.seen(row))
    else:
        wanted = _row_of(decisions, row, len(bars))

    def by_targets(costs: Costs, delay: int, participation: float | None = None) -> Result:
        own = _taking(options, participation)
        depth = market.depth([row], costs, own)
        return run_targets(_late(wanted, delay), bars, costs, own, first=market.first, market=rules, depth=depth)

    return _Player([row], options, by_targets, aims_of(wanted, options))


def _taking(options: Options, participation: float | None) -> Options:
    return options if participation is None else replace(options, participation=participation)


def _row_of(decisions: TargetPositions, row: int, bars: int) -> NDArray[np.int8]:
    """Return the targets of one instrument from those of all, or of it alone."""
    targets = np.atleast_2d(decisions.targets)
    chosen = targets[0 if len(targets) == 1 else row]
    if len(chosen) != bars:
        raise Refusal("bad_targets", N_("There must be one target for each bar."))
    return np.asarray(chosen, np.int8)


def _late(targets: NDArray[np.int8], delay: int) -> NDArray[np.int8]:
    return np.concatenate([np.full(delay, HOLD, np.int8), targets[: len(targets) - delay]]) if delay else targets


def _weights_player(weights: Floats, config: StrategyConfig, options: Options, market: TradedMarket) -> _Player:
    """Trade the instruments that are named, or else those that ever get a weight."""
    named = [market.panel.index_of(symbol) for symbol in getattr(config, "symbols", [])]
    rows = named or np.flatnonzero(np.nan_to_num(weights).any(axis=1)).tolist()
    if not rows:
        raise Refusal("no_weights", N_("The strategy gives no instrument a weight in this period."), field="start")
    chosen = np.asarray(weights[rows] if len(weights) == len(market.panel.symbols) else weights, np.float64)

    def by_weights(costs: Costs, delay: int, participation: float | None = None) -> Result:
        late = np.concatenate([np.full((len(rows), delay), np.nan), chosen[:, : chosen.shape[1] - delay]], axis=1)
        return market.weigh(late, rows, costs, _taking(options, participation))

    return _Player(rows, options, by_weights, chosen)


def _options(config: StrategyConfig, capital: float) -> Options:
    """Return how orders are sized: an order that costs more than the cash is cut to it."""
    options = Options(
        capital=capital, fraction=1.0, cash_short="reduce", order_maximum=config.order_maximum,
        participation=config.participation_pct / 100.0,
    )  # fmt: skip
    if isinstance(config, AlgorithmicTradingConfig):
        return replace(options, allow_short=config.allow_short)
    if isinstance(config, RuleConfig):
        return replace(
            options,
            sizing=config.sizing,
            fraction=config.fraction / 100.0,
            shares=float(config.shares),
            stop_loss=None if config.stop_loss is None else config.stop_loss / 100.0,
            take_profit=None if config.take_profit is None else config.take_profit / 100.0,
            armed=config.armed,
        )
    return options


def _fill_rule(options: Options) -> dict[str, Any]:
    return {
        "signal": "close",
        "fill": "next_open",
        "tradable_by": "open",
        "whole_shares": True,
        "sizing": options.sizing,
        "stop_loss": options.stop_loss,
        "take_profit": options.take_profit,
        "armed": options.armed,
        "allow_short": options.allow_short,
        "cash_short": options.cash_short,
        "order_maximum": options.order_maximum,
        "participation": options.participation,
    }
