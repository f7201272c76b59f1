"""Reference cases of kind ``metrics``: figures of a series of returns or prices."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
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


#: Columns of prices, the wanted one first; of returns; of time.
PRICES = ("close", "Close", "equity", "Adj Close", "price")
RETURNS = ("ret", "return", "returns")
DAYS = ("date", "Date", "datetime", "time")
DAY = r"(\d{4}-\d{2}-\d{2})"


def run(case: Mapping[str, Any], files: Files) -> Mapping[str, Any]:
    """Return our figures under the names the case uses.

    What a case says in ``rules`` counts where no key says it: the adjusted close, the sessions, the year,
    what is free of risk, two files as a pair, and qlib's custom of adding returns up.
    """
    words = str(case.get("rules", ""))
    tables = [_within(files.table(name.strip()), case, words) for name in str(case["data"]).split(" + ")]
    if len(tables) > 2:
        raise Skip("figures of more than two files are not covered")
    if len(tables) == 2:
        # Half the money long in the first, half short in the second.
        both = [_returns(table, case, words) for table in tables]
        if len(both[0]) != len(both[1]):
            raise Skip("the two files do not tell the same sessions")
        returns = (both[0] - both[1]) / 2.0
    else:
        returns = _returns(tables[0], case, words)
    periods, free = float(case.get("periods_per_year", _year(words))), _free(case, words)
    if re.search(r"\bsum\b|risk_analysis", words, re.IGNORECASE):
        ours: Mapping[str, Any] = summed_figures(returns, periods)
    else:
        bench = tables[0]["bench"].to_numpy(float) if "bench" in tables[0] else None
        ours = m.metrics_of(returns, periods, bench) | {"sharpe": m.sharpe(returns, periods, free)}
    known = {name: ours[NAMES.get(name, name)] for name in case["expect"] if NAMES.get(name, name) in ours}
    if not known:
        raise Skip(f"none of {', '.join(case['expect'])} is known")
    return known


def _within(table: pd.DataFrame, case: Mapping[str, Any], words: str) -> pd.DataFrame:
    """Return the rows of the sessions that the case names which hold a number: a gap is no observation."""
    days = next((column for column in DAYS if column in table), None)
    if days is not None:
        table = table.assign(**{days: table[days].astype(str)}).sort_values(days, kind="stable")
        first, last = _sessions(case, words)
        table = table[(table[days] >= first) & (table[days] <= f"{last}~")]
    told = next((column for column in RETURNS if column in table), None) or _price_column(table, case, words)
    return table.dropna(subset=[told, "bench"] if "bench" in table else [told])


def _returns(table: pd.DataFrame, case: Mapping[str, Any], words: str) -> Floats:
    """Return the returns a table holds, or those of its prices."""
    for column in RETURNS:
        if column in table:
            return np.asarray(table[column], np.float64)
    return m.returns_of(np.asarray(table[_price_column(table, case, words)], np.float64))


def _price_column(table: pd.DataFrame, case: Mapping[str, Any], words: str) -> str:
    adjusted = ("Adj Close",) if re.search(r"adjusted|adj", words, re.IGNORECASE) else ()
    asked = (str(case["column"]),) if "column" in case else adjusted
    for column in (*asked, *PRICES):
        if column in table:
            return column
    numbers = list(table.select_dtypes("number").columns)
    if len(numbers) != 1:
        raise Skip("the data has neither returns nor prices under a name we know")
    return str(numbers[0])


def _sessions(case: Mapping[str, Any], words: str) -> tuple[str, str]:
    """Return the first and last day that count; a first return from the day before starts there."""
    said = re.search(DAY + r"\s*(?:\.\.|to|–)\s*" + DAY, words)
    first, last = (said[1], said[2]) if said else ("", "")
    before = re.search(r"first return from " + DAY, words)
    return str(case.get("start", before[1] if before else first)), str(case.get("end", last))


def _year(words: str) -> float:
    """Return the bars of a year that the words name, 252 where they name none."""
    said = re.search(r"mean\s*\*\s*(\d+)|sqrt\((\d+)\)|(\d+) (?:bars |days |sessions )?(?:a|per) year", words)
    return float(next(part for part in said.groups() if part)) if said else 252.0


def _free(case: Mapping[str, Any], words: str) -> float:
    said = re.search(r"minus (0?\.\d+)\s*/", words)
    return float(case.get("risk_free", said[1] if said else 0.0))


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
