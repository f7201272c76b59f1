"""Long-only portfolios from means and a covariance; (N,) weights that sum to 1."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

Floats = NDArray[np.float64]


def _root(covariance: Floats) -> Floats:
    """Return R with R'R = covariance; directions a pairwise covariance makes negative count as zero."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2.0)
    root: Floats = np.sqrt(np.clip(values, 0.0, None))[:, None] * vectors.T
    return root


def _least_risk(covariance: Floats, target: Floats) -> Floats:
    """Return w >= 0 of the least variance for its ``target @ w``, scaled to 1.

    Minimising |Rw|^2 + (target'w - 1)^2 has its solution on the same ray as the constrained problem,
    so an exact active-set solver of non-negative least squares answers it.
    """
    from scipy.optimize import nnls

    scale = float(np.sqrt(np.trace(covariance) / len(target))) or 1.0
    system = np.vstack([_root(covariance) / scale, target / np.abs(target).max()])
    found, _ = nnls(system, np.concatenate([np.zeros(len(target)), [1.0]]), maxiter=50 * len(target))
    return np.asarray(found / found.sum(), np.float64)


def equal_weight(covariance: Floats, mean: Floats | None = None) -> Floats:
    return np.full(len(covariance), 1.0 / len(covariance))


def inverse_volatility(covariance: Floats, mean: Floats | None = None) -> Floats:
    """Weights in proportion to 1 / volatility; an instrument that does not move gets none."""
    deviation = np.sqrt(np.diag(covariance))
    weights = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 0)
    return np.asarray(weights / weights.sum(), np.float64) if weights.sum() else equal_weight(covariance)


def min_variance(covariance: Floats, mean: Floats | None = None) -> Floats:
    """The long-only portfolio of the least variance."""
    return _least_risk(covariance, np.ones(len(covariance)))


def max_sharpe(covariance: Floats, mean: Floats | None = None, risk_free: float = 0.0) -> Floats:
    """The long-only tangency portfolio; the least risky one where nothing earns more than ``risk_free``."""
    if mean is None:
        raise Refusal("no_mean", N_("The largest Sharpe ratio needs expected returns."))
    excess = np.asarray(mean, np.float64) - risk_free
    return _least_risk(covariance, excess) if excess.max() > 0 else min_variance(covariance)


def risk_parity(covariance: Floats, mean: Floats | None = None, *, rounds: int = 500) -> Floats:
    """Equal contributions to risk, by cyclical coordinate descent (Griveau-Billion, Richard, Roncalli 2013)."""
    n = len(covariance)
    weights = inverse_volatility(covariance)
    budget = 1.0 / n
    for _ in range(rounds):
        before = weights.copy()
        for i in range(n):
            if covariance[i, i] <= 0.0:
                continue
            others = float(covariance[i] @ weights) - covariance[i, i] * weights[i]
            risk = math.sqrt(max(float(weights @ covariance @ weights), 1e-300))
            root = math.sqrt(others * others + 4.0 * float(covariance[i, i]) * budget * risk)
            weights[i] = (-others + root) / (2.0 * covariance[i, i])
        if np.abs(weights - before).max() < 1e-12 * max(weights.max(), 1e-300):
            break
    return np.asarray(weights / weights.sum(), np.float64)


OPTIMISERS: dict[str, Callable[..., Any]] = {
    "equal_weight": equal_weight,
    "inverse_volatility": inverse_volatility,
    "min_variance": min_variance,
    "risk_parity": risk_parity,
    "max_sharpe": max_sharpe,
}
