"""Reference cases of kind ``metrics``: figures of a series of returns or prices."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from apps.trading.engine import metrics as m
from quant_platform.reference.files import Files, Skip

Floats = NDArray[np.float64]

#: The names cases use and ours.
NAMES = {
    "cagr_252": "cagr",
    "var95_hist": "var_95",
    "cvar95_mean_below_var": "cvar_95",
    "alpha_ann_arith": "alpha",
    "alpha_ann_compound": "alpha_compound",
    "win_rate_days": "win_rate",
    "profit_factor_days": "profit_factor",
    "omega0": "omega",
    "skew": "skewness",
    "kurt": "kurtosis",
    "downside_dev_ann": "downside_deviation",
    "info_ratio": "information_ratio",
    "max_dd_duration_days": "max_drawdown_duration",
    "stability_r2": "stability",
}


def run(case: Mapping[str, Any], files: Files) -> Mapping[str, Any]:
    """Return our figures under the names the case uses."""
    if case.get("id") in IN_WORDS:
        return IN_WORDS[case["id"]](case, files)
    table = files.table(case["data"])
    periods, free = float(case.get("periods_per_year", 252)), float(case.get("risk_free", 0))
    returns = _returns(table)
    ours = m.metrics_of(returns, periods, table["bench"].to_numpy(float) if "bench" in table else None)
    if free:
        ours["sharpe"] = m.sharpe(returns, periods, free)
    known = {name: ours[NAMES.get(name, name)] for name in case["expect"] if NAMES.get(name, name) in ours}
    if not known:
        raise Skip(f"none of {', '.join(case['expect'])} is known")
    return known


def _returns(table: pd.DataFrame) -> Floats:
    """Return the returns a table holds, or those of its closing prices."""
    for column in ("ret", "return", "returns"):
        if column in table:
            return np.asarray(table[column], np.float64)
    for column in ("close", "Close", "equity"):
        if column in table:
            return m.returns_of(np.asarray(table[column], np.float64))
    raise Skip("the data has neither returns nor prices under a name we know")


def _closes(table: pd.DataFrame, column: str) -> pd.Series[float]:
    dates = table.columns[0]
    return table.set_index(pd.to_datetime(table[dates]))[column].sort_index()


def _chan(case: Mapping[str, Any], files: Files) -> Mapping[str, Any]:
    """Excess over 4 % a year of daily returns of the adjusted close."""
    closes = _closes(files.table(case["data"]), "Adj Close")["2001-11-26":"2007-11-14"]  # type: ignore[misc]
    return {"sharpe": m.sharpe(m.returns_of(np.asarray(closes, np.float64)), 252.0, 0.04)}


def _qlib_benchmark(case: Mapping[str, Any], files: Files) -> Mapping[str, Any]:
    """qlib sums returns instead of compounding them, over 238 days a year."""
    closes = _closes(files.table(case["data"]), "close")["2016-12-30":"2020-07-31"]  # type: ignore[misc]
    returns = m.returns_of(np.asarray(closes, np.float64))
    return summed_figures(returns, 238.0)


def summed_figures(returns: Floats, periods: float) -> dict[str, float]:
    """Return qlib's ``risk_analysis`` in its mode ``sum``."""
    curve = np.cumsum(returns)
    mean, deviation = float(np.mean(returns)), float(np.std(returns, ddof=1))
    return {
        "mean": mean,
        "std": deviation,
        "annualized_return": mean * periods,
        "information_ratio": mean / deviation * math.sqrt(periods),
        "max_drawdown": float((curve - np.maximum.accumulate(curve)).min()),
    }


#: Cases that give their rules in words only.
IN_WORDS: dict[str, Callable[[Mapping[str, Any], Files], Mapping[str, Any]]] = {
    "chan-ige-sharpe": _chan,
    "qlib-csi300-benchmark": _qlib_benchmark,
}
