"""Studies of a rule's parameters: the neighbourhood on a grid, and walking forward through time.

Both run the kernel once a configuration; they run in a session. Every configuration looked at is
a trial of the idea.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.bars import BarPanel
from apps.strategies.engine.config import RuleConfig, StrategyConfig
from apps.strategies.engine.execution import Traded
from apps.strategies.engine.rules import decide
from apps.trading.engine.backtest import HOLD, Bars, Options, Result, rule_targets, run_targets
from apps.trading.engine.backtest.market import Market
from apps.trading.engine.costs import Costs
from apps.trading.engine.metrics import metrics_of, returns_of
from apps.trading.engine.overfitting import cscv
from apps.trading.engine.report.curves import day_texts, drawn_positions, rounded
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

Floats = NDArray[np.float64]
Step = Callable[[float, float], None]
SWEEP, WALK_FORWARD = "sweep", "walk_forward"
#: Factors of the grid around each parameter.
FACTORS = (0.4, 0.6, 0.8, 1.0, 1.25, 1.6, 2.0)
#: A neighbour holds where it keeps this share of the own Sharpe ratio.
HOLDS = 0.8
TRAIN_BARS, TEST_BARS, HOLDOUT_BARS = 756, 126, 252
SHOWN = ("total_return", "cagr", "sharpe", "max_drawdown", "ann_vol")


@dataclass(frozen=True)
class Study:
    """What both studies run on: the instrument's bars, costs, options, and the bars [first, stop)."""

    config: RuleConfig
    bars: Bars
    times: NDArray[np.datetime64]
    frequency: str
    year: float
    costs: Costs
    options: Options
    first: int
    #: The same bars as they are traded, and the rules they are traded under.
    traded: Bars
    market: Market | None = None

    @classmethod
    def of(
        cls, config: StrategyConfig, panel: BarPanel, first: int, costs: Costs, options: Options,
        traded: Traded | None = None,
    ) -> Study:  # fmt: skip
        """Refuse what has no parameters to vary."""
        if not isinstance(config, RuleConfig) or config.rule == "buy_and_hold":
            raise Refusal(
                "nothing_to_sweep",
                N_("Only rules with parameters can be swept and walked forward. This strategy has none."),
                field="study",
            )
        row = panel.index_of(config.symbol)
        bars = Bars.of(*(panel.fields[name][row] for name in ("open", "close", "high", "low")))
        own, market = (bars, None) if traded is None else (traded.bars(row), traded.market([row]))
        return cls(
            config, bars, panel.times, panel.frequency, panel.bars_per_year, costs, options, first, own, market
        )  # fmt: skip

    def run(self, config: RuleConfig, first: int | None = None) -> Result:
        """Trade ``config`` over [first, end)."""
        return self.trade(self.targets(config), self.first if first is None else first)

    def trade(self, targets: NDArray[np.int8], first: int) -> Result:
        """Trade the sides wanted after each close, from bar ``first`` on."""
        return run_targets(targets, self.traded, self.costs, self.options, first=first, market=self.market)

    def rule(self, config: RuleConfig) -> tuple[str, dict[str, float]]:
        found = decide(config, _Known())  # type: ignore[arg-type]
        return found.name, found.params  # type: ignore[union-attr]

    def targets(self, config: RuleConfig) -> NDArray[np.int8]:
        name, params = self.rule(config)
        return rule_targets(name, params, self.bars)


class _Known:
    """A panel that knows every symbol: the study has looked already."""

    def index_of(self, symbol: str) -> int:
        return 0


def axes(config: RuleConfig) -> tuple[tuple[str, list[float]], tuple[str, list[float]]]:
    """Return the two parameters of the grid with their values around those of ``config``, rising."""
    if config.rule == "sma_cross":
        return ("fast", _around(config.fast, 2)), ("slow", _around(config.slow, 3))
    low = float(config.rsi_low)
    values = sorted({low, *(round(low * f, 1) for f in (0.5, 0.67, 0.83, 1.17, 1.33, 1.5))})
    return ("rsi_window", _around(config.rsi_window, 2)), ("rsi_low", [v for v in values if v < config.rsi_high])


def _around(value: int, least: int) -> list[float]:
    return [float(v) for v in sorted({value, *(max(least, round(value * factor)) for factor in FACTORS)})]


def grid(config: RuleConfig) -> Iterator[tuple[int, int, RuleConfig]]:
    """Yield column, row and configuration of each valid point of the grid."""
    (x, xs), (y, ys) = axes(config)
    for i, left in enumerate(xs):
        for j, right in enumerate(ys):
            changed = {**config.model_dump(), x: _typed(config, x, left), y: _typed(config, y, right)}
            try:
                yield i, j, type(config).model_validate(changed)
            except (ValueError, Refusal):
                continue


def _typed(config: RuleConfig, name: str, value: float) -> float | int:
    return int(value) if isinstance(getattr(config, name), int) else value


def sweep(study: Study, on_step: Step = lambda done, total: None) -> dict[str, Any]:
    """Return the heat map around the configuration: Sharpe ratio and return of each neighbour.

    ``plateau`` is the share of direct neighbours that keep 80 % of the own Sharpe ratio; ``pbo`` the
    probability that choosing the best of the grid is over-fitting (CSCV over 10 blocks).
    """
    points = list(grid(study.config))
    (x, xs), (y, ys) = axes(study.config)
    ratios: list[list[float | None]] = [[None] * len(xs) for _ in ys]
    totals: list[list[float | None]] = [[None] * len(xs) for _ in ys]
    columns = []
    for number, (i, j, config) in enumerate(points):
        equity = study.run(config).equity
        returns = returns_of(equity, study.options.capital)
        figures = metrics_of(returns, study.year)
        ratios[j][i], totals[j][i] = figures["sharpe"], figures["total_return"]
        columns.append(returns)
        on_step(number + 1, len(points))
    own = xs.index(float(getattr(study.config, x))), ys.index(float(getattr(study.config, y)))
    matrix = np.stack(columns, axis=1)
    found = cscv(matrix, 10) if matrix.shape[1] > 1 and len(matrix) >= 20 else None
    best = max(((r, i, j) for j, row in enumerate(ratios) for i, r in enumerate(row) if r is not None), default=None)
    return {
        "x": x, "xs": xs, "y": y, "ys": ys, "sharpe": ratios, "total_return": totals, "own": list(own),
        "best": None if best is None else {x: xs[best[1]], y: ys[best[2]], "sharpe": best[0]},
        "plateau": plateau(ratios, own), "count": len(points),
        "pbo": None if found is None else found.pbo, "loss": None if found is None else found.loss,
    }  # fmt: skip


def plateau(ratios: Sequence[Sequence[float | None]], own: tuple[int, int]) -> float | None:
    """Return the share of the up to eight neighbours of ``own`` (column, row) that hold; None without any."""
    at = ratios[own[1]][own[0]]
    around = [
        ratios[j][i]
        for j in range(max(0, own[1] - 1), min(len(ratios), own[1] + 2))
        for i in range(max(0, own[0] - 1), min(len(ratios[0]), own[0] + 2))
        if (i, j) != own
    ]
    known = [value for value in around if value is not None]
    if at is None or at <= 0 or not known:
        return None
    return sum(value >= HOLDS * at for value in known) / len(known)


@dataclass(frozen=True)
class Window:
    """Bars [train, train_end) choose, bars [test, test_end) are traded; those between are purged."""

    train: int
    train_end: int
    test: int
    test_end: int


def windows(count: int, *, anchored: bool, train: int, test: int, purge: int) -> list[Window]:
    """Return the windows over ``count`` bars; the last one may be short. Refuses where not one fits."""
    found, start = [], train + purge
    while start < count - 1:
        border = start - purge
        found.append(Window(0 if anchored else border - train, border, start, min(start + test, count)))
        start += test
    if not found:
        raise Refusal(
            "too_few_bars_to_walk",
            N_("Walking forward needs more than %(needed)s bars before the hold-out; there are %(bars)s."),
            field="start", needed=train + purge + 1, bars=count,
        )  # fmt: skip
    return found


def walk_forward(
    study: Study,
    *,
    anchored: bool = False,
    train: int = TRAIN_BARS,
    test: int = TEST_BARS,
    purge: int = 1,
    holdout: int = HOLDOUT_BARS,
    open_holdout: bool = False,
    on_step: Step = lambda done, total: None,
) -> dict[str, Any]:
    """Choose by Sharpe ratio on each training window, trade the next, all in one account.

    The last ``holdout`` bars stay locked: nothing reads them unless ``open_holdout``; then the
    configuration of the last window trades them, apart from the stitched account.
    """
    total = len(study.times) - study.first
    locked = min(holdout, max(total - train - purge - 2, 0))
    count = total - locked
    parts = windows(count, anchored=anchored, train=train, test=test, purge=purge)
    points = [config for *_, config in grid(study.config)]
    whole = [
        returns_of(_upto(study, study.first + count).run(config).equity, study.options.capital) for config in points
    ]
    stitched = np.full(study.first + count, HOLD, np.int8)
    rows, chosen = [], points[0]
    for number, part in enumerate(parts):
        scores = [_ratio(returns[part.train : part.train_end], study.year) for returns in whole]
        best = int(np.argmax(scores))
        chosen = points[best]
        # The close before the window decides what its first open trades.
        span = slice(study.first + part.test - 1, study.first + part.test_end - 1)
        stitched[span] = _standing(_upto(study, study.first + count).targets(chosen), span)
        outside = metrics_of(whole[best][part.test : part.test_end], study.year)
        rows.append({
            **{name: str(study.times[study.first + at].astype("datetime64[D]")) for name, at in (
                ("train_start", part.train), ("train_end", part.train_end - 1),
                ("test_start", part.test), ("test_end", part.test_end - 1),
            )},
            "params": {name: getattr(chosen, name) for name in (axes(study.config)[0][0], axes(study.config)[1][0])},
            "train_sharpe": scores[best] if math.isfinite(scores[best]) else None,
            "test_sharpe": outside["sharpe"], "test_return": outside["total_return"],
        })  # fmt: skip
        on_step(number + 1, len(parts))
    return {
        "mode": "anchored" if anchored else "rolling", "train": train, "test": test, "purge": purge,
        "windows": rows, "count": len(points),
        **_stitched(study, stitched, parts[0].test, count, rows),
        "holdout": _holdout(study, chosen, count, locked, open_holdout),
    }  # fmt: skip


def _upto(study: Study, stop: int) -> Study:
    """Return the study on bars before ``stop``: what is locked is not even there."""
    bars, traded = (
        Bars(*(getattr(own, name)[:stop] for name in ("open", "high", "low", "close")))
        for own in (study.bars, study.traded)
    )
    market = None if study.market is None else study.market.at(np.arange(stop))
    return replace(study, bars=bars, traded=traded, times=study.times[:stop], market=market)


def _ratio(returns: Floats, year: float) -> float:
    found = metrics_of(returns, year)["sharpe"]
    return -math.inf if found is None else found


def _standing(targets: NDArray[np.int8], span: slice) -> NDArray[np.int8]:
    """Return targets of a span that begins with the side in force, not with "no order"."""
    part = targets[span].copy()
    if len(part) and part[0] == HOLD:
        before = targets[: span.start][targets[: span.start] != HOLD]
        part[0] = before[-1] if len(before) else 0
    return part


def _stitched(
    study: Study, targets: NDArray[np.int8], begin: int, count: int, rows: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return the one account over all test windows beside holding the instrument."""
    part = _upto(study, study.first + count)
    first = study.first + begin
    run = part.trade(targets, first)
    hold = part.trade(np.ones(len(targets), np.int8), first).equity
    figures = metrics_of(returns_of(run.equity, study.options.capital), study.year)
    other = metrics_of(returns_of(hold, study.options.capital), study.year)
    inside = [row["train_sharpe"] for row in rows if row["train_sharpe"] is not None]
    mean = sum(inside) / len(inside) if inside else 0.0
    kept = drawn_positions(run.equity, hold)
    days = day_texts(part.times[first:], study.frequency == "1d")
    return {
        "metrics": {name: figures[name] for name in SHOWN}, "benchmark": {name: other[name] for name in SHOWN},
        "fills": len(run.fills),
        "efficiency": figures["sharpe"] / mean if mean > 0 and figures["sharpe"] is not None else None,
        "curve": {
            "times": [days[i] for i in kept], "equity": rounded(run.equity[kept]), "benchmark": rounded(hold[kept]),
        },
    }  # fmt: skip


def _holdout(study: Study, chosen: RuleConfig, count: int, locked: int, opened: bool) -> dict[str, Any] | None:
    if not locked:
        return None
    days = study.times[study.first + count :].astype("datetime64[D]")
    found: dict[str, Any] = {
        "bars": locked,
        "start": str(days[0]),
        "end": str(days[-1]),
        "opened": opened,
        "metrics": None,
    }
    if opened:
        run = study.run(chosen, study.first + count)
        figures = metrics_of(returns_of(run.equity, study.options.capital), study.year)
        found["metrics"] = {key: figures[key] for key in SHOWN}
    return found
