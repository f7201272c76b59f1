"""Reference cases of kind ``portfolio``: online selection on relatives, optimisers on prices."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize

from apps.trading.engine.portfolio import OPTIMISERS, wealth
from apps.trading.engine.portfolio.online import best_constant, online_weights, ucrp
from quant_platform.reference.files import Files, Skip

Floats = NDArray[np.float64]

#: Words of a case and the optimiser meant.
METHODS = (
    ("min variance", "min_variance"), ("minimum variance", "min_variance"), ("min_variance", "min_variance"),
    ("min volatility", "min_variance"), ("minimum volatility", "min_variance"), ("max sharpe", "max_sharpe"),
    ("maximum sharpe", "max_sharpe"), ("max_sharpe", "max_sharpe"), ("tangency", "max_sharpe"),
    ("risk parity", "risk_parity"), ("risk_parity", "risk_parity"), ("inverse vol", "inverse_volatility"),
    ("inverse_vol", "inverse_volatility"), ("equal weight", "equal_weight"), ("equal_weight", "equal_weight"),
)  # fmt: skip


def run(case: Mapping[str, Any], files: Files) -> Mapping[str, Any]:
    """Return the figures under the names the case asks for."""
    name, _, columns = str(case["data"]).partition(" columns ")
    table = files.table(name)
    if columns:
        table = table[[c.strip() for c in columns.split(",")]]
    if any(key in case["expect"] for key in ("ret", "vol", "weights")):
        return optimised(case, table)
    # Relatives multiply up from 1; a table of cumulative wealth has its first row as it is.
    levels = table.select_dtypes("number").to_numpy(np.float64)
    relatives = np.vstack([levels[:1], levels[1:] / levels[:-1]])
    return {wanted: _grown(wanted, relatives) for wanted in case["expect"]}


def _grown(name: str, relatives: Floats) -> float:
    """Return the final wealth called ``name``."""
    totals = np.prod(relatives, axis=0)
    if name.startswith("wealth_"):
        return float(totals[int(name.removeprefix("wealth_")) - 1])
    if name == "market":
        return float(totals.mean())
    if name == "best_stock":
        return float(totals.max())
    if name == "ucrp":
        return wealth(relatives, ucrp(relatives))
    if name in ("bcrp", "best_crp"):
        return float(np.prod(relatives @ best_constant(relatives)))
    if name == "universal_wealth":
        share = np.linspace(0.0, 1.0, 21)
        grown = np.prod(np.outer(relatives[:, 0], share) + np.outer(relatives[:, 1], 1.0 - share), axis=0)
        return float(grown.mean())
    method, _, setting = name.partition("_")
    parameter = {"eg": "eta", "pamr": "epsilon", "olmar": "epsilon"}.get(method)
    if parameter is None:
        raise Skip(f"{name} is not covered")
    value = {parameter: float(setting.replace("_", "."))} if setting else {}
    return wealth(relatives, online_weights(method, relatives, **value))


def optimised(case: Mapping[str, Any], table: pd.DataFrame) -> dict[str, Any]:
    """Return expected return, volatility and Sharpe ratio of the portfolio a case names, by the year."""
    prices = table.select_dtypes("number")
    returns = prices.pct_change(fill_method=None).dropna(how="all")
    words = f"{case.get('method', '')} {case.get('rules', '')} {case.get('id', '')}".lower()
    periods, free = float(case.get("periods_per_year", 252)), _free(case, words)
    mean = np.asarray((1 + returns).prod() ** (periods / returns.count()) - 1, np.float64)
    covariance = np.asarray(returns.cov() * periods, np.float64)
    weights = _on_frontier(case, words, covariance, mean)
    if weights is None:
        name = next((method for phrase, method in METHODS if phrase in words), None)
        if name is None:
            raise Skip("the case names no optimiser we know")
        weights = OPTIMISERS[name](covariance, mean, **({"risk_free": free} if name == "max_sharpe" else {}))
    earned, risk = float(mean @ weights), float(np.sqrt(weights @ covariance @ weights))
    shares = dict(zip(map(str, prices.columns), weights.tolist(), strict=True))
    return {"ret": earned, "vol": risk, "sharpe": (earned - free) / risk, "weights": shares}


def _free(case: Mapping[str, Any], words: str) -> float:
    """Return what is free of risk, by the year: of the key, of the words, or 2 %, which PyPortfolioOpt took."""
    said = re.search(r"(?:\brf|risk[- ]free(?: rate)?)(?: ?= ?| of | )(\d*\.?\d+)", words)
    return float(case.get("risk_free", said[1] if said else 0.02))


#: Words of a case that fix one end of the frontier, with the number wanted.
FRONTIER = {
    "target_return": r"target[ _]return(?: of)? (\d*\.\d+)",
    "target_volatility": r"target[ _](?:volatility|risk)(?: of)? (\d*\.\d+)",
}


def _on_frontier(case: Mapping[str, Any], words: str, covariance: Floats, mean: Floats) -> Floats | None:
    """Return the portfolio of a wanted return or volatility, None where the case wants neither."""
    wanted = {key: case.get(key, (re.search(pattern, words) or (None, None))[1]) for key, pattern in FRONTIER.items()}
    if wanted["target_return"] is not None:
        return least_risk_for(covariance, mean, float(wanted["target_return"]))
    if wanted["target_volatility"] is not None:
        return most_return_for(covariance, mean, float(wanted["target_volatility"]))
    return None


def least_risk_for(covariance: Floats, mean: Floats, target: float) -> Floats:
    """Return the long-only weights of the least variance that are expected to earn ``target``."""
    n = len(mean)
    found = minimize(
        lambda w: float(w @ covariance @ w), np.full(n, 1.0 / n), jac=lambda w: 2.0 * covariance @ w, method="SLSQP",
        bounds=[(0.0, 1.0)] * n, options={"maxiter": 1000, "ftol": 1e-15},
        constraints=[
            {"type": "eq", "fun": lambda w: w.sum() - 1.0, "jac": lambda w: np.ones(n)},
            {"type": "ineq", "fun": lambda w: mean @ w - target, "jac": lambda w: mean},
        ],
    )  # fmt: skip
    if mean.max() < target or not found.success:
        raise Skip(f"no portfolio is expected to earn {target:g}")
    return np.asarray(found.x, np.float64)


def most_return_for(covariance: Floats, mean: Floats, target: float) -> Floats:
    """Return the long-only weights of the highest expected return whose volatility is ``target``, by halving."""
    low, high = float(mean @ OPTIMISERS["min_variance"](covariance)), float(mean.max())
    for _ in range(60):
        middle = (low + high) / 2.0
        weights = least_risk_for(covariance, mean, middle)
        low, high = (middle, high) if weights @ covariance @ weights <= target**2 else (low, middle)
    return least_risk_for(covariance, mean, low)
