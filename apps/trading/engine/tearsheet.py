"""The further figures of a tear sheet, one definition each; ``metrics`` holds the basic ones.

Returns are simple returns by bar (T,), ``times`` (T,) their bars. Undefined is None. Words and
units are in ``glossary``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.trading.engine import metrics as m
from apps.trading.engine.metrics import Floats, Metric
from apps.trading.engine.overfitting import Moments, minimum_track_record, probabilistic_sharpe
from apps.trading.engine.trades import Trade

Times = NDArray[np.datetime64]
#: name -> months of a trailing return.
TRAILING = {"return_3m": 3, "return_6m": 6, "return_1y": 12, "return_3y": 36, "return_5y": 60, "return_10y": 120}


def _finite(value: float) -> Metric:
    return float(value) if math.isfinite(value) else None


def _divide(above: Metric, below: Metric) -> Metric:
    return None if above is None or below is None or abs(below) < m.NOISE else _finite(above / below)


def _multiply(*factors: Metric) -> Metric:
    known = [factor for factor in factors if factor is not None]
    return _finite(math.prod(known)) if len(known) == len(factors) else None


def _mean(values: Floats) -> Metric:
    return float(values.mean()) if len(values) else None


def _streak(hits: NDArray[np.bool_]) -> float:
    """Return the longest run of True."""
    best = now = 0
    for hit in hits.tolist():
        now = now + 1 if hit else 0
        best = max(best, now)
    return float(best)


def by_period(returns: Floats, times: Times, unit: str) -> Floats:
    """Return the compounded return of each calendar period: ``M`` month, ``Q`` quarter, ``Y`` year."""
    if not len(returns):
        return np.empty(0)
    months = times.astype("datetime64[M]").astype(np.int64)
    key = months // {"M": 1, "Q": 3, "Y": 12}[unit]
    starts = np.flatnonzero(np.diff(key, prepend=key[0] - 1))
    return np.asarray(np.multiply.reduceat(1.0 + returns, starts) - 1.0, np.float64)


def _trailing(returns: Floats, times: Times) -> dict[str, Metric]:
    """Return what the last months gave; None where the curve is shorter, by year above one."""
    found: dict[str, Metric] = dict.fromkeys(("return_mtd", "return_ytd", *TRAILING))
    if not len(returns):
        return found
    last = times[-1].astype("datetime64[D]")
    for name, unit in (("return_mtd", "M"), ("return_ytd", "Y")):
        found[name] = m.total_return(returns[times >= last.astype(f"datetime64[{unit}]")])
    for name, count in TRAILING.items():
        month = last.astype("datetime64[M]") - np.timedelta64(count, "M")
        inside = last - last.astype("datetime64[M]").astype("datetime64[D]")
        since = month.astype("datetime64[D]") + inside
        if times[0] > since:
            continue
        whole = m.total_return(returns[times > since])
        years = count / 12
        found[name] = whole if whole is None or years <= 1 or whole <= -1 else (1.0 + whole) ** (1.0 / years) - 1.0
    return found


def smart_penalty(returns: Floats) -> Metric:
    """Return the factor by which autocorrelation widens the risk of a year: √(1 + 2 Σ (1 − k/n) ρᵏ)."""
    if len(returns) < 3 or np.std(returns[:-1]) < m.NOISE or np.std(returns[1:]) < m.NOISE:
        return None
    rho = abs(float(np.corrcoef(returns[:-1], returns[1:])[0, 1]))
    lags = np.arange(1, len(returns))
    return math.sqrt(1.0 + 2.0 * float(np.sum((len(returns) - lags) / len(returns) * rho**lags)))


def _shape(values: Floats, basic: dict[str, Metric], periods: float) -> dict[str, Metric]:
    wins, losses = values[values > 0], values[values < 0]
    up, down = _mean(wins), _mean(losses)
    payoff = _divide(up, None if down is None else -down)
    rate, moments = basic["win_rate"], Moments.of(values)
    kelly = None if payoff is None or rate is None else rate - (1.0 - rate) / payoff
    length = None if moments is None else minimum_track_record(moments)
    fall, ulcer, cvar = basic["max_drawdown"], basic["ulcer_index"], basic["cvar_95"]
    pitfall = _divide(None if cvar is None else -cvar, m.ann_vol(values, periods))
    return {
        "psr": None if moments is None else probabilistic_sharpe(moments),
        "min_track_record": None if length is None else length / periods,
        "smart_sharpe": _divide(basic["sharpe"], smart_penalty(values)),
        "adjusted_sortino": None if basic["sortino"] is None else basic["sortino"] / math.sqrt(2),
        "ulcer_performance": _divide(basic["cagr"], ulcer),
        "serenity": _divide(basic["total_return"], _multiply(ulcer, pitfall)),
        "recovery_factor": _divide(basic["total_return"], None if fall is None else abs(fall)),
        "drawdown_recovery": recovery(m.drawdown(values)),
        "gain_to_pain": _divide(_finite(float(values.sum())), -float(losses.sum()) if len(losses) else None),
        "payoff": payoff,
        "kelly": kelly,
        "common_sense": _multiply(basic["profit_factor"], basic["tail_ratio"]),
        "cpc": _multiply(basic["profit_factor"], rate, payoff),
        "outlier_win": _divide(_finite(float(np.quantile(values, 0.99))) if len(values) else None, up),
        "outlier_loss": _divide(_finite(float(np.quantile(values, 0.01))) if len(values) else None, down),
        "longest_wins": _streak(values > 0),
        "longest_losses": _streak(values < 0),
        "risk_of_ruin": None if rate is None else ((1.0 - rate) / (1.0 + rate)) ** len(values),
    }


def _calendar(values: Floats, times: Times, basic: dict[str, Metric], periods: float) -> dict[str, Metric]:
    months, quarters, years = (by_period(values, times, unit) for unit in "MQY")
    growth = basic["total_return"]
    expected = None if growth is None or growth <= -1 or not len(values) else math.log1p(growth) / len(values)

    def rate(parts: Floats) -> Metric:
        return float((parts > 0).mean()) if len(parts) else None

    return {
        "expected_bar": None if expected is None else math.expm1(expected),
        "expected_year": None if expected is None else math.expm1(expected * periods),
        "best_quarter": float(quarters.max()) if len(quarters) else None,
        "worst_quarter": float(quarters.min()) if len(quarters) else None,
        "expected_month": None if expected is None else math.expm1(expected * periods / 12),
        "best_month": float(months.max()) if len(months) else None,
        "worst_month": float(months.min()) if len(months) else None,
        "best_year": float(years.max()) if len(years) else None,
        "worst_year": float(years.min()) if len(years) else None,
        "average_up_month": _mean(months[months > 0]),
        "average_down_month": _mean(months[months < 0]),
        "win_months": rate(months), "win_quarters": rate(quarters), "win_years": rate(years),
        **_trailing(values, times),
        **_days(values, times),
    }  # fmt: skip


def _days(values: Floats, times: Times) -> dict[str, Metric]:
    """Return how many days gained, stood still and lost, and the best and the worst of them."""
    if not len(values):
        return dict.fromkeys(("days_won", "days_drawn", "days_lost", "best_day", "worst_day"))
    key = times.astype("datetime64[D]").astype(np.int64)
    starts = np.flatnonzero(np.diff(key, prepend=key[0] - 1))
    days = np.multiply.reduceat(1.0 + values, starts) - 1.0
    won, lost = int((days > 0).sum()), int((days < 0).sum())
    return {
        "days_won": float(won), "days_drawn": float(len(days) - won - lost), "days_lost": float(lost),
        "best_day": _finite(float(days.max())), "worst_day": _finite(float(days.min())),
    }  # fmt: skip


def recovery(fall: Floats) -> Metric:
    """Return the most bars from the lowest point of a fall (T,) until it was made good; None where none was."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], fall < 0, [False]]).astype(np.int8)))
    healed = [
        stop - (start + int(np.argmin(fall[start:stop])))
        for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True) if stop < len(fall)
    ]  # fmt: skip
    return float(max(healed)) if healed else None


def _against(values: Floats, other: Floats, basic: dict[str, Metric], periods: float) -> dict[str, Metric]:
    up, down = other > 0, other < 0
    linked = m.correlation(values, other)
    return {
        "treynor": _divide(basic["cagr"], m.beta(values, other)),
        "r_squared": None if linked is None else linked**2,
        "tracking_error": m.ann_vol(values - other, periods),
        "up_capture": _divide(_mean(values[up]), _mean(other[up])),
        "down_capture": _divide(_mean(values[down]), _mean(other[down])),
    }


def more_metrics(returns: Floats, times: Times, periods: float, benchmark: Floats | None = None) -> dict[str, Metric]:
    """Return the further figures of ``returns`` by glossary name; with ``benchmark`` those against it too."""
    values = np.asarray(returns, np.float64)
    basic = m.metrics_of(values, periods)
    found = _shape(values, basic, periods) | _calendar(values, times, basic, periods)
    return found | (
        _against(values, np.asarray(benchmark, np.float64), basic, periods) if benchmark is not None else {}
    )


def more_trade_metrics(closed: Sequence[Trade], bars: int) -> dict[str, Metric]:
    """Return the further figures of closed trades; ``bars`` is how many the run had."""
    pnl = np.array([t.pnl for t in closed])
    profit = np.array([t.profit for t in closed])
    held = np.array([(t.exit_bar or 0) - t.entry_bar for t in closed], np.float64)
    wins, losses = pnl[pnl > 0], pnl[pnl < 0]
    up, down = _mean(wins), _mean(losses)
    deviation = float(pnl.std(ddof=1)) if len(pnl) > 1 else 0.0
    return {
        "expectancy": _mean(pnl),
        "trade_payoff": _divide(up, None if down is None else -down),
        "sqn": math.sqrt(len(pnl)) * float(pnl.mean()) / deviation if deviation > m.NOISE else None,
        "best_trade": float(profit.max()) if len(profit) else None,
        "worst_trade": float(profit.min()) if len(profit) else None,
        "winning_streak": _streak(pnl > 0), "losing_streak": _streak(pnl < 0),
        "long_share": sum(t.side > 0 for t in closed) / len(closed) if closed else None,
        "average_bars_won": _mean(held[pnl > 0]), "average_bars_lost": _mean(held[pnl < 0]),
        "longest_hold": float(held.max()) if len(held) else None,
        "trades_per_bar": len(closed) / bars if bars else None,
    }  # fmt: skip


def by_symbol(closed: Sequence[Trade], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return trades, wins, profit and fees of each instrument, most profitable first."""
    return _grouped(closed, [names[t.symbol] for t in closed])


def by_reason(closed: Sequence[Trade], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the same by what ended the trade."""
    return _grouped(closed, [names[t.reason or 0] for t in closed])


def _grouped(closed: Sequence[Trade], keys: Sequence[str]) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for trade, key in zip(closed, keys, strict=True):
        row = rows.setdefault(key, {"name": key, "trades": 0, "won": 0, "pnl": 0.0, "fees": 0.0})
        row["trades"] += 1
        row["won"] += trade.pnl > 0
        row["pnl"] += trade.pnl
        row["fees"] += trade.fees
    return sorted(rows.values(), key=lambda row: -row["pnl"])
