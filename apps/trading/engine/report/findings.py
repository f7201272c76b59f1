"""What the figures say, in sentences computed by rule; where no rule speaks there is no sentence.

A finding is ``{"code", "place", "params"}``; ``place`` names the part of the report it heads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.trading.engine.trades import Trade
from apps.ui.engine import numbers
from apps.ui.engine.text import N_

Floats = NDArray[np.float64]
Found = dict[str, Any]

#: code -> (msgid, how to print each parameter).
FINDINGS: dict[str, tuple[str, dict[str, str]]] = {
    "no_trades": (N_("The strategy never traded."), {}),
    "beat_benchmark": (
        N_("It earned %(strategy)s after costs, %(gap)s points more than the benchmark."),
        {"strategy": "percent", "gap": "points"},
    ),
    "trailed_benchmark": (
        N_("It earned %(strategy)s after costs, %(gap)s points less than the benchmark."),
        {"strategy": "percent", "gap": "points"},
    ),
    "lost_less": (
        N_("It lost %(loss)s after costs while the benchmark lost %(benchmark)s."),
        {"loss": "percent", "benchmark": "percent"},
    ),
    "drawdown_recovered": (
        N_("The deepest fall, %(depth)s from %(peak)s to %(trough)s, was made good on %(recovered)s."),
        {"depth": "percent"},
    ),
    "drawdown_open": (
        N_("The deepest fall, %(depth)s from %(peak)s to %(trough)s, was not made good by the end."),
        {"depth": "percent"},
    ),
    "months_won": (N_("%(won)s of %(all)s months ended with a gain."), {"won": "count", "all": "count"}),
    "rolling_positive": (
        N_("Over half a year the Sharpe ratio was above zero %(share)s of the time."),
        {"share": "percent"},
    ),
    "costs_took": (N_("Costs took %(share)s of what it earned before them."), {"share": "percent"}),
    "costs_turned": (
        N_("Before costs it earned %(gross)s; the costs turned that into a loss."),
        {"gross": "percent"},
    ),
    "late_costs": (
        N_("Acting one bar later changes the return from %(net)s to %(late)s."),
        {"net": "percent", "late": "percent"},
    ),
    "few_trades_carry": (
        N_("Without its best %(count)s of %(all)s closed trades it would have lost money."),
        {"count": "count", "all": "count"},
    ),
}


def points(value: float) -> str:
    """Return a difference of two percentages in percentage points."""
    return numbers.number(value * 100.0, 1)


PRINT: dict[str, Callable[[Any], str]] = {"percent": numbers.percent, "points": points, "count": numbers.number}
BEST_TRADES = 5


def text(finding: Mapping[str, Any], translate: Callable[[str], str] = str) -> str:
    """Return the sentence of ``finding`` in the language of ``translate``."""
    msgid, formats = FINDINGS[finding["code"]]
    shown = {
        name: PRINT[formats[name]](value) if name in formats else value for name, value in finding["params"].items()
    }
    sentence = translate(msgid)
    return sentence % shown if shown else sentence


def _found(code: str, place: str, **params: Any) -> list[Found]:
    return [{"code": code, "place": place, "params": params}]


def about_equity(strategy: float, benchmark: float, fills: int) -> list[Found]:
    """Say how the total return stands to the benchmark's; nothing where they are equal."""
    if not fills:
        return _found("no_trades", "equity")
    gap = strategy - benchmark
    if strategy < 0 and gap > 0:
        return _found("lost_less", "equity", loss=-strategy, benchmark=-benchmark)
    if gap > 0:
        return _found("beat_benchmark", "equity", strategy=strategy, gap=gap)
    return _found("trailed_benchmark", "equity", strategy=strategy, gap=-gap) if gap < 0 else []


def about_drawdown(fall: Floats, days: Sequence[str]) -> list[Found]:
    """Name the deepest of the falls (T,) with its days; nothing where there was none."""
    trough = int(np.argmin(fall))
    if fall[trough] >= 0:
        return []
    peak = int(np.flatnonzero(fall[: trough + 1] >= 0)[-1]) if (fall[: trough + 1] >= 0).any() else 0
    after = np.flatnonzero(fall[trough:] >= 0)
    named = {"depth": -float(fall[trough]), "peak": days[peak], "trough": days[trough]}
    if len(after):
        return _found("drawdown_recovered", "drawdown", **named, recovered=days[trough + int(after[0])])
    return _found("drawdown_open", "drawdown", **named)


def about_months(table: Sequence[Mapping[str, Any]]) -> list[Found]:
    months = [value for row in table for value in row["months"] if value is not None]
    count = len(months) + sum(len(row.get("flat", ())) for row in table)
    return _found("months_won", "monthly", won=sum(v > 0 for v in months), all=count) if count > 2 else []


def about_rolling(ratios: Sequence[float | None]) -> list[Found]:
    known = [value for value in ratios if value is not None]
    share = sum(v > 0 for v in known) / len(known) if known else 0.0
    return _found("rolling_positive", "rolling_sharpe", share=share) if known else []


def about_costs(gross: float, net: float, late: float) -> list[Found]:
    """Say what costs and a late start did: ``gross`` without costs, ``net`` with them, ``late`` one bar later."""
    found: list[Found] = []
    if gross > net:
        if gross > 0 >= net:
            found += _found("costs_turned", "costs", gross=gross)
        elif net > 0:
            found += _found("costs_took", "costs", share=(gross - net) / gross)
    if late != net:
        found += _found("late_costs", "costs", net=net, late=late)
    return found


def about_trades(closed: Sequence[Trade]) -> list[Found]:
    """Say where a handful of trades made all the profit."""
    total = sum(t.pnl for t in closed)
    best = sum(sorted((t.pnl for t in closed), reverse=True)[:BEST_TRADES])
    if len(closed) > 2 * BEST_TRADES and 0 < total < best:
        return _found("few_trades_carry", "trades", count=BEST_TRADES, all=len(closed))
    return []
