"""How a result stands when the world is a little different: shuffled trades, resampled bars, regimes, crises.

Plain numpy, no kernel: everything here works on a finished run. Every random draw comes from ``seed``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.trading.engine.metrics import returns_of, sharpe, total_return
from apps.trading.engine.trades import Trade
from apps.ui.engine.text import N_

Floats = NDArray[np.float64]
SAMPLES, BATCH = 1_000, 50
PERCENTILES = (5, 25, 50, 75, 95)
#: A loss of this share of the capital counts as bust.
BUST = -0.5
#: The total return counted as the goal where none is named: the capital doubled.
GOAL = 1.0
SHARES = (0.05, 0.10, 0.25, 0.50)

#: code -> (words, first day, last day): falls every reader knows.
CRISES: dict[str, tuple[str, str, str]] = {
    "black_monday_1987": (N_("Black Monday"), "1987-10-14", "1987-10-30"),
    "asia_1997": (N_("Asian crisis"), "1997-10-07", "1997-10-31"),
    "russia_1998": (N_("Russian default, LTCM"), "1998-07-20", "1998-10-08"),
    "dotcom": (N_("Dot-com crash"), "2000-03-10", "2000-04-14"),
    "september_11": (N_("11 September"), "2001-09-10", "2001-09-28"),
    "lehman": (N_("Lehman and after"), "2008-09-01", "2009-03-09"),
    "flash_crash": (N_("Flash crash"), "2010-05-05", "2010-05-21"),
    "euro_2011": (N_("Euro debt, US rating"), "2011-07-22", "2011-10-03"),
    "china_2015": (N_("Chinese margin crash"), "2015-06-12", "2015-08-26"),
    "breaker_2016": (N_("Chinese circuit breaker"), "2016-01-01", "2016-01-28"),
    "volmageddon": (N_("Volatility shock"), "2018-01-26", "2018-02-09"),
    "covid": (N_("Covid crash"), "2020-02-19", "2020-03-23"),
    "rates_2022": (N_("Rate rises"), "2022-01-03", "2022-10-12"),
    "china_quant_2024": (N_("Chinese small-cap slide"), "2024-01-02", "2024-02-05"),
    "tariffs_2025": (N_("Tariff shock"), "2025-04-02", "2025-04-09"),
}


def _quantiles(values: Floats) -> dict[str, float]:
    return {str(p): float(v) for p, v in zip(PERCENTILES, np.percentile(values, PERCENTILES), strict=True)}


def monte_carlo_trades(
    closed: Sequence[Trade], equity: Floats, capital: float, *, first: int = 0, samples: int = SAMPLES, seed: int = 0,
    goal: float = GOAL,
) -> dict[str, Any] | None:  # fmt: skip
    """Return what other draws of the same closed trades would have given; None under 5 trades.

    What each trade made of the account, its profit by the ``equity`` (T, from bar ``first``) before its entry, is
    drawn with replacement and compounded: a late trade of a grown account counts no more than an early one. The
    end and the deepest fall of each sample, in percentiles; ``loss``, the share of samples that lose, ``bust``, the
    share that ever holds half of the capital or less, and ``goal``, the share that ends with a total return of ``goal``
    or more.
    """
    if len(closed) < 5:
        return None
    shares, rng = np.array([_made(t, equity, capital, first) for t in closed]), np.random.default_rng(seed)
    curves = np.asarray(np.cumprod(1.0 + rng.choice(shares, (samples, len(shares))), axis=1), np.float64)
    curves = np.concatenate([np.ones((samples, 1)), curves], axis=1)
    peaks = np.maximum.accumulate(curves, axis=1)
    ends, falls = curves[:, -1] - 1.0, (curves / peaks - 1.0).min(axis=1)
    return {
        "samples": samples, "trades": len(shares), "return": _quantiles(ends), "drawdown": _quantiles(falls),
        "loss": float((ends < 0).mean()), "bust": float(((curves - 1.0).min(axis=1) <= BUST).mean()),
        "goal": float((ends >= goal).mean()), "goal_return": goal,
    }  # fmt: skip


def _made(trade: Trade, equity: Floats, capital: float, first: int) -> float:
    """Return the profit of a trade by what the account was worth before it; no more is lost than all."""
    at = trade.entry_bar - first - 1
    before = float(equity[min(at, len(equity) - 1)]) if at >= 0 else capital
    return max(trade.pnl / before, -1.0) if before > 0 else 0.0


def block_length(returns: Floats) -> int:
    """Return a mean block of T^(1/3) bars, at least 2: the rate of the stationary bootstrap."""
    return max(2, round(float(np.cbrt(len(returns)))))


def stationary_indices(count: int, block: int, samples: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return (samples, count) positions of the stationary bootstrap (Politis and Romano 1994)."""
    starts = rng.integers(0, count, (samples, count))
    fresh = rng.random((samples, count)) < 1.0 / block
    fresh[:, 0] = True
    at = np.maximum.accumulate(np.where(fresh, np.arange(count), 0), axis=1)
    begun = np.take_along_axis(starts, at, axis=1)
    return (begun + np.arange(count) - at) % count


def block_bootstrap(
    returns: Floats, periods: float, *, samples: int = SAMPLES, seed: int = 0, goal: float = GOAL
) -> dict[str, Any] | None:
    """Return percentiles of return, Sharpe ratio and deepest fall over resampled bars; None under 20 bars.

    ``p_value`` is the share of samples of the returns without their mean whose mean reaches the
    observed one: how often no edge at all looks like this. ``bust`` and ``goal`` as in ``monte_carlo_trades``.
    """
    values = np.asarray(returns, np.float64)
    if len(values) < 20 or not np.isfinite(values).all() or values.std() < 1e-12:
        return None
    rng, block = np.random.default_rng(seed), block_length(values)
    ends, ratios, falls, chance, lows = [], [], [], [], []
    for start in range(0, samples, BATCH):
        drawn = values[stationary_indices(len(values), block, min(BATCH, samples - start), rng)]
        growth = np.cumprod(1.0 + drawn, axis=1)
        peaks = np.maximum(np.maximum.accumulate(growth, axis=1), 1.0)
        ends.append(growth[:, -1] - 1.0)
        lows.append(growth.min(axis=1) - 1.0)
        falls.append((growth / peaks - 1.0).min(axis=1))
        deviation = drawn.std(axis=1, ddof=1)
        ratios.append(drawn.mean(axis=1) / np.where(deviation > 1e-12, deviation, np.inf) * periods**0.5)
        chance.append(drawn.mean(axis=1) - values.mean() >= values.mean())
    end = np.concatenate(ends)
    return {
        "samples": samples, "block": block, "return": _quantiles(end), "sharpe": _quantiles(np.concatenate(ratios)),
        "drawdown": _quantiles(np.concatenate(falls)), "loss": float((end < 0).mean()),
        "p_value": float(np.concatenate(chance).mean()), "bust": float((np.concatenate(lows) <= BUST).mean()),
        "goal": float((end >= goal).mean()), "goal_return": goal,
    }  # fmt: skip


def regimes(returns: Floats, benchmark: Floats, periods: float, window: int = 63) -> list[dict[str, Any]]:
    """Return the result by what the benchmark had been doing: up or down, calm or wild, over ``window`` bars.

    A bar's regime is known before it: trend is the sign of the benchmark's return over the
    window that ends the bar before, wild a volatility above its median so far.
    """
    count = len(benchmark)
    if count <= 2 * window:
        return []
    growth = np.concatenate([[0.0], np.cumsum(np.log1p(np.maximum(benchmark, -0.999)))])
    views = np.lib.stride_tricks.sliding_window_view(benchmark, window)
    trend, spread = growth[window:-1] - growth[: -window - 1], views.std(axis=1)[:-1]
    middle = np.array([np.median(spread[: i + 1]) for i in range(len(spread))])
    rows = []
    for name, chosen in (
        ("up_calm", (trend >= 0) & (spread <= middle)),
        ("up_wild", (trend >= 0) & (spread > middle)),
        ("down_calm", (trend < 0) & (spread <= middle)),
        ("down_wild", (trend < 0) & (spread > middle)),
    ):
        own, other = returns[window:][chosen], benchmark[window:][chosen]
        rows.append({
            "name": name, "bars": int(chosen.sum()), "total_return": total_return(own), "sharpe": sharpe(own, periods),
            "benchmark_return": total_return(other),
        })  # fmt: skip
    return rows


def crisis_windows(times: NDArray[np.datetime64], equity: Floats, benchmark: Floats) -> list[dict[str, Any]]:
    """Return return and deepest fall in each known crisis that the curve covers whole."""
    days, rows = times.astype("datetime64[D]"), []
    for code, (_, start, end) in CRISES.items():
        first, last = np.datetime64(start), np.datetime64(end)
        if not len(days) or days[0] > first or days[-1] < last:
            continue
        at = slice(max(int(np.searchsorted(days, first)) - 1, 0), int(np.searchsorted(days, last, "right")))
        own, other = equity[at], benchmark[at]
        if len(own) < 2:
            continue
        rows.append({
            "name": code, "start": start, "end": end, "total_return": float(own[-1] / own[0] - 1.0),
            "drawdown": float((own / np.maximum.accumulate(own) - 1.0).min()),
            "benchmark_return": float(other[-1] / other[0] - 1.0),
        })  # fmt: skip
    return rows


def drawdown_periods(days: Sequence[str], fall: Floats, most: int = 10) -> list[dict[str, Any]]:
    """Return the deepest falls: peak, trough, recovery (None where still open), depth, bars down and up again."""
    under = np.asarray(fall) < 0
    if not under.any():
        return []
    edges = np.flatnonzero(np.diff(np.concatenate([[False], under, [False]]).astype(np.int8)))
    rows = []
    for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        trough = start + int(np.argmin(fall[start:stop]))
        peak = max(start - 1, 0)
        back = stop if stop < len(fall) else None
        rows.append({
            "depth": float(fall[trough]), "peak": days[peak], "trough": days[trough],
            "recovered": None if back is None else days[back], "down": trough - peak,
            "up": None if back is None else back - trough, "bars": stop - start,
        })  # fmt: skip
    return sorted(rows, key=lambda row: row["depth"])[:most]


def participation(ledger: NDArray[np.void], volume: Floats | None) -> list[dict[str, Any]]:
    """Return, for each share of a bar's volume, how much of the traded value fits under it.

    ``volume`` (S, T) is of the rows and bars of the ledger. ``capital`` is the factor by which
    the capital could change until the largest fill is exactly that share. Empty without volumes.
    """
    if volume is None or not len(ledger):
        return []
    seen = np.asarray(volume)[ledger["symbol"], ledger["bar"]]
    value = ledger["quantity"] * ledger["price"]
    known = np.isfinite(seen) & (seen > 0)
    if not known.any():
        return []
    share = np.where(known, ledger["quantity"] / np.where(known, seen, 1.0), np.inf)
    largest = float(share[known].max())
    return [
        {
            "share": limit, "filled": float((value * np.minimum(1.0, limit / share)).sum() / value.sum()),
            "orders": float((share <= limit).mean()), "capital": limit / largest if largest > 0 else None,
        }
        for limit in SHARES
    ]  # fmt: skip


def without_best(closed: Sequence[Trade], capital: float, net: float) -> float | None:
    """Return the total return without the single best closed trade."""
    return net - max(t.pnl for t in closed) / capital if closed else None


def of_run(
    closed: Sequence[Trade], equity: Floats, benchmark: Floats, times: NDArray[np.datetime64],
    capital: float, periods: float, ledger: NDArray[np.void], volume: Floats | None, first: int = 0, seed: int = 0,
    *, goal: float = GOAL,
) -> dict[str, Any]:  # fmt: skip
    """Return every part of this module for one finished run."""
    returns, other = returns_of(equity, capital), returns_of(benchmark, capital)
    return {
        "monte_carlo": monte_carlo_trades(closed, equity, capital, first=first, seed=seed, goal=goal),
        "bootstrap": block_bootstrap(returns, periods, seed=seed, goal=goal),
        "regimes": regimes(returns, other, periods),
        "crises": crisis_windows(times, equity, benchmark),
        "participation": participation(ledger, volume),
        "without_best": without_best(closed, capital, float(equity[-1]) / capital - 1.0),
    }
