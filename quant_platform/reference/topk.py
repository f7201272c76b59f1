"""Reference cases of kind ``topk_dropout``: our loop under pyqlib's names and its risk figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from apps.trading.engine.portfolio import TopkOptions, topk_dropout
from quant_platform.reference.files import Files, Skip
from quant_platform.reference.metrics import summed_figures

Floats = NDArray[np.float64]
#: The index of a universe, where a case names none.
INDICES = {"dj30": "trademaster/portfolio_management/dj30/DJI.csv.gz"}
#: What pyqlib puts where a case leaves the trade unit or the limit out: by its region, which is the United
#: States in cases that name none.
REGIONS = {"us": (1, None), "cn": (100, 0.095), "tw": (1000, 0.1)}
#: What its ``backtest_daily`` charges where a case is silent.
COSTS = {"open_cost": 0.0005, "close_cost": 0.0015, "min_cost": 5.0}
EXCHANGE = {"open_cost", "close_cost", "min_cost", "trade_unit", "limit_threshold"}
STRATEGY = {"topk", "n_drop", "hold_thresh", "risk_degree", "forbid_all_trade_at_limit"}


def run(case: Mapping[str, Any], files: Files) -> Mapping[str, Any]:
    """Return pyqlib's report and risk analyses of the case."""
    exchange, strategy = dict(case["config"].get("ex", {})), dict(case["config"].get("st", {}))
    deal = str(exchange.pop("deal_price", "close")).lstrip("$")
    unknown = (set(exchange) - EXCHANGE) | (set(strategy) - STRATEGY)
    if unknown:
        raise Skip(f"{', '.join(sorted(unknown))} are not covered")
    unit, limit = REGIONS[str(case["config"].get("region", "us")).lower()]
    exchange = {"trade_unit": unit, "limit_threshold": limit, **COSTS, **exchange}
    prices = files.table(case["data"])
    wide = {name: _wide(prices, name) for name in prices.columns if name not in ("instrument", "datetime")}
    close = wide["close"]
    scores = _wide(files.table(case["scores"]), "score").reindex(index=close.index, columns=close.columns)
    start, end = _span(case, files, [str(d) for d in close.index])
    part = slice(0, end)
    options = TopkOptions(**exchange, **strategy, account=float(case["config"].get("acct", 1e8)))
    arrays = {name: frame.to_numpy(np.float64)[part] for name, frame in wide.items()}
    found = topk_dropout(
        scores.to_numpy(np.float64)[part], arrays[deal], arrays["close"], options, first=start,
        factor=arrays.get("factor"), change=arrays.get("change"),
    )  # fmt: skip
    moves = benchmark(case, files, close.iloc[part]).to_numpy(np.float64)[start:]
    excess = found.returns - moves
    report = {
        "datetime": [str(d) for d in close.index[start:end]], "account": found.account, "return": found.returns,
        "total_turnover": np.cumsum(found.traded), "turnover": found.turnover, "total_cost": np.cumsum(found.paid),
        "cost": found.cost, "value": found.value, "cash": found.cash, "bench": moves,
    }  # fmt: skip
    return {
        "excess_wo_cost": analyses(excess), "excess_with_cost": analyses(excess - found.cost),
        "abs_with_cost": analyses(found.returns - found.cost), "final_account": float(found.account[-1]),
        "mean_turnover": float(found.turnover.mean()), "total_cost": float(found.paid.sum()),
        "n_days": len(found.account), "report": report,
    }  # fmt: skip


def _wide(table: pd.DataFrame, column: str) -> pd.DataFrame:
    wide = table.pivot(index="datetime", columns="instrument", values=column).sort_index()
    # pyqlib stores float32; what is printed of it is not quite the number it computed with.
    return wide.astype(np.float32).astype(np.float64) if column != "score" else wide


def benchmark(case: Mapping[str, Any], files: Files, close: pd.DataFrame) -> pd.Series[float]:
    """Return the daily change of the benchmark: the file a case names, the index of its universe, or equal weights."""
    name = case.get("benchmark") or case["config"].get("benchmark")
    if name is None:
        name = next((file for universe, file in INDICES.items() if universe in str(case["data"])), None)
    if name is None:
        return close.pct_change(fill_method=None).mean(axis=1).fillna(0.0)
    table = files.table(str(name)).rename(columns=str.lower)
    levels = table.set_index(next(c for c in ("datetime", "date") if c in table))["close"]
    levels = levels.astype(np.float32).reindex(close.index)
    return levels.div(levels.shift(1)).sub(1).fillna(0.0).astype(np.float64)


def _span(case: Mapping[str, Any], files: Files, days: list[str]) -> tuple[int, int]:
    """Return the first day traded and the one after the last: said, or those of the report to compare with."""
    start, end = case.get("start") or case["config"].get("start"), case.get("end") or case["config"].get("end")
    if start is None and isinstance(case["expect"].get("report"), str):
        shown = files.table(case["expect"]["report"])["datetime"].astype(str)
        start, end = shown.iloc[0], shown.iloc[-1]
    first = 0 if start is None else int(np.searchsorted(np.array(days), str(start)))
    last = len(days) if end is None else int(np.searchsorted(np.array(days), str(end), side="right"))
    return first, last


def analyses(returns: Floats) -> dict[str, dict[str, float]]:
    """Return pyqlib's ``risk_analysis`` in its three customs."""
    return {
        "sum_238": summed_figures(returns, 238.0),
        "sum_N252": summed_figures(returns, 252.0),
        "product_238": compounded_figures(returns, 238.0),
    }


def compounded_figures(returns: Floats, periods: float) -> dict[str, float]:
    """Return pyqlib's ``risk_analysis`` in its mode ``product``."""
    curve = np.cumprod(1.0 + returns)
    mean = float(curve[-1] ** (1.0 / len(curve)) - 1.0)
    deviation = float(np.std(np.log1p(returns), ddof=1))
    return {
        "mean": mean, "std": deviation, "annualized_return": float((1.0 + mean) ** periods - 1.0),
        "information_ratio": mean / deviation * math.sqrt(periods),
        "max_drawdown": float((curve / np.maximum.accumulate(curve) - 1.0).min()),
    }  # fmt: skip
