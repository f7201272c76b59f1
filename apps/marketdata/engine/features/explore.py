"""One feature looked at from all sides: distribution, coverage, IC by horizon, decay, groups, turnover."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.features import ic
from apps.marketdata.engine.features.compute import compute
from apps.marketdata.engine.instants import instant
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

Floats = NDArray[np.float64]
HORIZONS = (1, 2, 5, 10, 20)
LAGS = (1, 5, 20)
BINS = 40
MOST_POINTS = 400
FEWEST_SYMBOLS = 5
NOTHING = N_("%(text)s is unknown on every bar of the chosen span. Choose a longer span or another expression.")
EMPTY = N_("The dataset has no bar between the chosen dates.")


def label(horizon: int) -> str:
    """Return the return a signal of this close can still earn: in at the next close, out ``horizon`` bars later."""
    return f"Ref($close, {-(horizon + 1)})/Ref($close, -1) - 1"


def span(panel: BarPanel, start: date | None, end: date | None) -> slice:
    """Return the bars from ``start`` to ``end``, both included; refuses a span without bars."""
    low = 0 if start is None else int(np.searchsorted(panel.times, instant(start), "left"))
    stop = None if end is None else instant(end) + np.timedelta64(1, "D")
    high = len(panel.times) if stop is None else int(np.searchsorted(panel.times, stop, "left"))
    if low >= high:
        raise Refusal("no_bars_in_span", EMPTY, field="start")
    return slice(low, high)


def analyse(
    panel: BarPanel,
    expression: str,
    *,
    horizons: Sequence[int] = HORIZONS,
    groups: int = 5,
    start: date | None = None,
    end: date | None = None,
    threads: int | None = None,
) -> dict[str, Any]:
    """Return the document of a feature's page and API; undefined figures are None.

    The feature is computed over the whole history and then cut to the span, so that the first
    windows are full. Daily coefficients need ``FEWEST_SYMBOLS`` symbols; with fewer in the
    dataset the document has no ``horizons``.
    """
    at = span(panel, start, end)
    (values,) = compute(panel, [expression], dtype=np.float64, threads=threads)
    exists = np.isfinite(np.asarray(panel.fields.get("close", values)))[:, at]
    scores = values[:, at]
    known = np.isfinite(scores)
    if not known.any():
        raise Refusal("nothing_known", NOTHING, field="expression", text=expression[:80])
    days = panel.times[at].astype("datetime64[D]").astype(str).tolist()
    document = {
        "expression": expression, "symbols": len(panel.symbols), "bars": int(exists.sum()), "start": days[0],
        "end": days[-1], "coverage": float((known & exists).sum() / max(1, exists.sum())),
        "coverage_by_period": _coverage(known & exists, exists, days), "distribution": _distribution(scores[known]),
        "horizons": [], "groups": None, "autocorrelation": [], "daily": None,
    }  # fmt: skip
    if len(panel.symbols) >= FEWEST_SYMBOLS:
        labels = compute(panel, [label(h) for h in horizons], dtype=np.float64, future=True, threads=threads)
        document |= _cross_section(np.ascontiguousarray(scores.T), labels[:, :, at], horizons, groups, days)
    return dict(plain(document))


def _coverage(known: NDArray[np.bool_], exists: NDArray[np.bool_], days: list[str]) -> list[dict[str, Any]]:
    """Return the share of bars with a value by year, or by month where the span is short."""
    length = 4 if days[-1][:4] > str(int(days[0][:4]) + 2) else 7
    periods = np.array([day[:length] for day in days])
    have, all_ = known.sum(axis=0), exists.sum(axis=0)
    found = []
    for period in dict.fromkeys(periods.tolist()):
        here = periods == period
        found.append({"period": period, "share": float(have[here].sum() / max(1, all_[here].sum()))})
    return found


def _distribution(values: Floats) -> dict[str, Any]:
    """Return quantiles, moments and a histogram between the 0.5th and 99.5th percentile."""
    shares = (0.005, 0.05, 0.25, 0.5, 0.75, 0.95, 0.995)
    quantiles = np.quantile(values, shares)
    low, high = float(quantiles[0]), float(quantiles[-1])
    inside = values[(values >= low) & (values <= high)]
    counts, edges = np.histogram(inside, bins=BINS, range=(low, high if high > low else low + 1.0))
    std = float(values.std())
    centred = values - values.mean()
    return {
        "count": len(values), "mean": float(values.mean()), "std": std, "min": float(values.min()),
        "max": float(values.max()), "zeros": float((values == 0).mean()),
        "skew": float((centred**3).mean() / std**3) if std > 0 else math.nan,
        "kurtosis": float((centred**4).mean() / std**4 - 3.0) if std > 0 else math.nan,
        "quantiles": dict(zip([f"{s:g}" for s in shares], quantiles.tolist(), strict=True)),
        "histogram": {"counts": counts.tolist(), "edges": edges.tolist()},
    }  # fmt: skip


def _cross_section(
    scores: Floats, labels: Floats, horizons: Sequence[int], groups: int, days: list[str]
) -> dict[str, Any]:
    rows, first = [], None
    for i, horizon in enumerate(horizons):
        forward = np.ascontiguousarray(labels[i].T)
        daily, ranked = ic.ic_by_day(scores, forward, FEWEST_SYMBOLS)
        first = first or (daily, ranked, forward)
        plain_, rank = ic.Summary.of(daily), ic.Summary.of(ranked)
        # Labels of neighbouring days overlap: only every horizon-th day is a new observation.
        t = rank.t / math.sqrt(horizon)
        rows.append({
            "horizon": horizon, "ic": plain_.mean, "icir": plain_.ir, "rank_ic": rank.mean, "rank_icir": rank.ir,
            "t": t, "positive": rank.positive, "days": rank.days,
        })  # fmt: skip
    if first is None:
        return {}
    lags = [{"lag": lag, "value": _mean(ic.rank_autocorrelation(scores, lag))} for lag in LAGS if lag < len(scores)]
    return {
        "horizons": rows, "groups": _groups(scores, first[2], groups), "autocorrelation": lags,
        "daily": _daily(first[0], first[1], days),
    }  # fmt: skip


def _groups(scores: Floats, forward: Floats, groups: int) -> dict[str, Any] | None:
    if scores.shape[1] < groups:
        return None
    returns, member = ic.quantile_returns(scores, forward, groups)
    return {
        "mean_return": [_mean(returns[:, g]) for g in range(groups)],
        "turnover": [_mean(ic.turnover(member, g)) for g in range(groups)],
        "spread": _mean(returns[:, -1] - returns[:, 0]),
    }  # fmt: skip


def _daily(daily: Floats, ranked: Floats, days: list[str]) -> dict[str, Any]:
    """Return cumulative coefficients, thinned to a chart's width (every day counts in the sums)."""
    step = max(1, -(-len(days) // MOST_POINTS))
    keep = slice(step - 1, None, step)
    return {
        "days": days[keep], "ic": np.nancumsum(daily)[keep].tolist(), "rank_ic": np.nancumsum(ranked)[keep].tolist(),
    }  # fmt: skip


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan


def plain(value: Any) -> Any:
    """Return ``value`` as JSON holds it: what is not finite is None."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
