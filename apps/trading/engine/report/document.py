"""Puts a run, its benchmark, its baselines and its stress tests into one document."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.trading.engine.costs import BP, Costs
from apps.trading.engine.metrics import Metric, drawdown, metrics_of, returns_of, rolling_sharpe
from apps.trading.engine.report import curves, findings, membership, periods
from apps.trading.engine.report.activity import active, activity, invested
from apps.trading.engine.report.exposure import cone, holdings, rolling_beta, rolling_volatility, weights_of
from apps.trading.engine.report.luck import History, luck_of
from apps.trading.engine.report.setting import Baseline, Run, Setting
from apps.trading.engine.report.verdict import judge
from apps.trading.engine.report.words import REASONS, REFUSED, TOLD_AT_ZERO
from apps.trading.engine.robustness import drawdown_periods, of_run
from apps.trading.engine.tearsheet import by_reason, by_symbol, more_metrics, more_trade_metrics
from apps.trading.engine.trades import Trade, match_trades, trade_metrics

Floats = NDArray[np.float64]
SCHEMA = 1
ROLLING = 126
#: Highest cost of a side that the search for the break-even tries, and how fine it is.
HIGHEST_COST, COST_STEP = 0.1, 0.1 * BP


def build(
    setting: Setting,
    run: Run,
    benchmark: Floats,
    baselines: Sequence[Baseline],
    rerun: Callable[..., Run],
    on_step: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Return the report document; every number is finite or None.

    ``benchmark`` is its equity (T,); ``rerun(costs, delay)`` runs the strategy again with other
    costs or acting ``delay`` bars late (and, with a third argument, taking at most that part of each bar's
    volume); ``on_step`` is called after each of them.
    """
    capital, year = setting.capital, setting.bars_per_year
    returns, other = returns_of(run.equity, capital), returns_of(benchmark, capital)
    closed, opened = match_trades(run.ledger)
    stress = _stress(setting, run, rerun, on_step)
    even = _break_even(setting, rerun, on_step)
    metrics = metrics_of(returns, year, other) | trade_metrics(closed) | activity(setting, run)
    metrics["break_even"] = even["bp"]
    metrics |= more_metrics(returns, setting.times, year, other) | more_trade_metrics(closed, len(returns))
    metrics["risk_adjusted"] = _divided(metrics["cagr"], metrics["exposure"])
    luck = luck_of(returns, year, setting.history or History())
    metrics["deflated_sharpe"] = luck["deflated"]
    against = metrics_of(other, year) | more_metrics(other, setting.times, year)
    checks = {} if setting.leaks is None else {"leaks": float(len(setting.leaks["leaks"]))}
    checks |= {} if setting.history is None else {"deflated": luck["deflated"]}
    net, bench = float(metrics["total_return"] or 0.0), float(against["total_return"] or 0.0)
    verdict = judge(
        {
            "beats_benchmark": net - bench,
            "drawdown": metrics["max_drawdown"],
            "sharpe": metrics["sharpe"],
            "double_costs": stress[2]["total_return"],
            "trades": float(len(closed)),
            "unseen": setting.unseen,
            **checks,
        }
    )
    robust = of_run(
        closed, run.equity, benchmark, setting.times, capital, year, run.fills, setting.volume, run.first,
        goal=setting.goal,
    )  # fmt: skip
    robust["participation"] = _limited(setting, robust["participation"], rerun, on_step)
    kept = curves.drawn_positions(run.equity, benchmark)
    held = None if setting.closes is None else weights_of(run.position, setting.closes[:, run.first :], run.equity)
    busy = active(run)
    table = curves.monthly_table(setting.times, run.equity, capital, busy)
    drifted = None
    if setting.universe is not None and held is not None:
        drifted, figures = membership.drift(setting.universe, held, setting.times, capital, kept)
        metrics |= figures
    if setting.signal is not None:
        metrics |= setting.signal["figures"]
    rolling, slope = rolling_sharpe(returns, ROLLING, year), rolling_beta(returns, other, ROLLING)
    fall = drawdown(returns)
    days = curves.day_texts(setting.times, setting.frequency == "1d")
    said = (
        findings.about_equity(net, bench, len(run.fills)) + findings.about_drawdown(fall, days)
        + findings.about_months(table) + findings.about_rolling(rolling)
        + findings.about_costs(stress[0]["total_return"], net, stress[3]["total_return"])
        + findings.about_trades(closed)
    )  # fmt: skip
    return {
        "schema": SCHEMA,
        "strategy": dict(setting.strategy),
        "dataset": setting.dataset,
        "symbols": list(setting.symbols),
        "period": {
            "start": days[0], "end": days[-1], "bars": len(days), "warm_up": run.first,
            "frequency": setting.frequency, "bars_per_year": year,
        },
        "capital": capital,
        "currency": setting.currency,
        "costs": setting.costs.document(),
        "fill_rule": dict(setting.fill_rule),
        "benchmark": dict(setting.benchmark),
        "out_of_sample": setting.unseen >= 1.0,
        "unseen_share": setting.unseen,
        "headline": {
            "total_return": net, "benchmark_return": bench, "excess_return": net - bench,
            "cagr": metrics["cagr"], "sharpe": metrics["sharpe"], "max_drawdown": metrics["max_drawdown"],
            "final_equity": float(run.equity[-1]), "closed_trades": len(closed), "fees": run.fees,
            "break_even_bp": even["bp"],
        },
        "verdict": verdict,
        "findings": said,
        "metrics": metrics,
        "benchmark_metrics": against,
        "baselines": {
            b.name: {
                "metrics": metrics_of(returns_of(b.equity, capital), year),
                "final_equity": float(b.equity[-1]),
            }
            for b in baselines
        },
        "curves": _curves(kept, run, benchmark, baselines, fall, rolling, days)
        | {
            "rolling_beta": curves.rounded([slope[i] for i in kept]),
            "rolling_volatility": curves.rounded(rolling_volatility(returns, ROLLING, year)[kept]),
        },
        "cone": cone(returns, setting.unseen, kept),
        "holdings": None if held is None else holdings(held, setting.symbols, days),
        "series": {
            "times": days, "equity": run.equity.tolist(), "benchmark": benchmark.tolist(), "cash": run.cash.tolist(),
        },
        "monthly": table,
        "trades": [_trade(setting, trade) for trade in closed],
        "open_positions": [_trade(setting, trade) for trade in opened],
        "fills": len(run.fills),
        "market": None if setting.market is None else dict(setting.market) | {"payouts": run.payouts},
        "refused": _refused(setting, run),
        "stress": stress,
        "break_even": even,
        "cost_curve": _cost_curve(setting, even, rerun, on_step),
        "luck": luck,
        "leaks": None if setting.leaks is None else dict(setting.leaks),
        "robustness": robust,
        "drawdowns": drawdown_periods(days, fall),
        "by_symbol": by_symbol(closed, setting.symbols),
        "by_reason": by_reason(closed, list(REASONS)),
        "by_side": periods.by_side(closed),
        "by_year": periods.by_period(setting, run, benchmark, closed, busy, "Y"),
        "by_month": periods.by_period(setting, run, benchmark, closed, busy, "M"),
        "quantiles": periods.quantiles(returns, setting.times),
        "histograms": {
            "bar": periods.histogram(returns), "trade": periods.histogram(np.array([t.profit for t in closed])),
        },
        "membership": drifted,
        "signal": None if setting.signal is None else dict(setting.signal),
    }  # fmt: skip


def _divided(above: Metric, below: Metric) -> Metric:
    return above / below if above is not None and below else None


def _refused(setting: Setting, run: Run) -> dict[str, int]:
    """Return what was not filled, by reason; zeros only of what Chinese rules make worth telling."""
    market = setting.market or {}
    told = TOLD_AT_ZERO if market.get("obeyed") and market.get("limits") else ()
    names = dict.fromkeys([*REFUSED, *run.refused])
    return {name: run.refused.get(name, 0) for name in names if run.refused.get(name) or name in told}


def _curves(
    kept: NDArray[np.int64],
    run: Run,
    benchmark: Floats,
    baselines: Sequence[Baseline],
    fall: Floats,
    rolling: Sequence[Metric],
    days: Sequence[str],
) -> dict[str, Any]:
    """Return every curve at the same, at most 2,000, bars."""
    return {
        "times": [days[i] for i in kept],
        "equity": curves.rounded(run.equity[kept]),
        "benchmark": curves.rounded(benchmark[kept]),
        "drawdown": curves.rounded(fall[kept]),
        "rolling_sharpe": curves.rounded([rolling[i] for i in kept]),
        "invested": curves.rounded(invested(run)[kept]),
        "baselines": {b.name: curves.rounded(b.equity[kept]) for b in baselines},
    }


def _trade(setting: Setting, trade: Trade) -> dict[str, Any]:
    daily = setting.frequency == "1d"

    def when(bar: int | None) -> str | None:
        return None if bar is None else curves.day_texts(setting.all_times[bar : bar + 1], daily)[0]

    return {
        "symbol": setting.symbols[trade.symbol],
        "side": "long" if trade.side > 0 else "short",
        "quantity": trade.quantity,
        "entry_time": when(trade.entry_bar),
        "entry_price": trade.entry_price,
        "exit_time": when(trade.exit_bar),
        "exit_price": trade.exit_price,
        "bars": None if trade.exit_bar is None else trade.exit_bar - trade.entry_bar,
        "pnl": trade.pnl,
        "return": trade.profit,
        "fees": trade.fees,
        "reason": None if trade.reason is None else list(REASONS)[trade.reason],
    }


def _stress(setting: Setting, run: Run, rerun: Callable[..., Run], on_step: Callable[[], None]) -> list[dict[str, Any]]:
    """Return the result without costs, with them, with twice as much, and one bar late."""
    rows = []
    cases = [("no_costs", 0.0, 0), ("costs", 1.0, 0), ("double_costs", 2.0, 0), ("one_bar_late", 1.0, 1)]
    for name, factor, delay in [*cases, *([("no_slippage", 1.0, 0)] if setting.costs.slips else [])]:
        costs = setting.costs.without_slippage() if name == "no_slippage" else setting.costs.scaled(factor)
        again = run if name == "costs" else rerun(costs, delay)
        figures = metrics_of(returns_of(again.equity, setting.capital), setting.bars_per_year)
        shown = {key: figures[key] for key in ("total_return", "sharpe", "max_drawdown")}
        rows.append({"name": name, "factor": factor, "delay": delay, **shown, "fees": again.fees})
        on_step()
    return rows


def _limited(
    setting: Setting, rows: list[dict[str, Any]], rerun: Callable[..., Run], on_step: Callable[[], None]
) -> list[dict[str, Any]]:
    """Return the rows of ``robustness.participation`` with what the run earns where no order may take more."""
    found = []
    for row in rows:
        again = rerun(setting.costs, 0, row["share"])
        found.append({**row, "total_return": float(again.equity[-1]) / setting.capital - 1.0})
        on_step()
    return found


def _cost_curve(
    setting: Setting, even: Mapping[str, Any], rerun: Callable[..., Run], on_step: Callable[[], None]
) -> list[dict[str, float]]:
    """Return the total return at nine costs of a side, from none to past the break-even and the paid ones."""
    highest = max(2.0 * setting.costs.rate / BP, 1.25 * (even["bp"] or 0.0), 20.0)
    rows = []
    for step in range(9):
        bp = highest * step / 8
        again = rerun(replace(Costs(), rate=bp * BP, lot=setting.costs.lot, levies=0.0), 0)
        rows.append({"bp": bp, "total_return": float(again.equity[-1]) / setting.capital - 1.0})
        on_step()
    return rows


def _break_even(setting: Setting, rerun: Callable[..., Run], on_step: Callable[[], None]) -> dict[str, Any]:
    """Return the cost of a side, in bp, at which nothing is earned; found by halving, running each time.

    ``state`` is ``found``, ``never`` (it loses even without costs) or ``above`` (it earns even
    at the highest cost tried).
    """

    def earns(rate: float) -> bool:
        on_step()
        return (
            float(rerun(replace(Costs(), rate=rate, lot=setting.costs.lot, levies=0.0), 0).equity[-1]) > setting.capital
        )

    if not earns(0.0):
        return {"bp": None, "state": "never", "highest_bp": HIGHEST_COST / BP}
    if earns(HIGHEST_COST):
        return {"bp": None, "state": "above", "highest_bp": HIGHEST_COST / BP}
    low, high = 0.0, HIGHEST_COST
    while high - low > COST_STEP:
        middle = (low + high) / 2
        low, high = (middle, high) if earns(middle) else (low, middle)
    return {"bp": round(low / BP, 1), "state": "found", "highest_bp": HIGHEST_COST / BP}
