"""Online portfolio selection: weights from price relatives seen so far, no costs.

``relatives`` is (T, N): price today over price yesterday. Row t of the weights is held during day t
and knows the rows before t only. Sources: Cover 1991 (UP), Helmbold et al. 1998 (EG), Li et al. 2012
(PAMR), Li and Hoi 2012 (OLMAR).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

Floats = NDArray[np.float64]


def project(weights: Floats) -> Floats:
    """Return the nearest point of the simplex (Duchi et al. 2008)."""
    ordered = np.sort(weights)[::-1]
    above = np.cumsum(ordered) - 1.0
    count = np.arange(1, len(weights) + 1)
    last = int(np.nonzero(ordered - above / count > 0)[0][-1])
    return np.asarray(np.maximum(weights - above[last] / (last + 1), 0.0), np.float64)


def ucrp(relatives: Floats) -> Floats:
    """Back to equal weights every day."""
    return np.full(relatives.shape, 1.0 / relatives.shape[1])


def eg(relatives: Floats, eta: float = 0.05) -> Floats:
    """Exponentiated gradient."""
    out = ucrp(relatives)
    for t in range(1, len(out)):
        x, b = relatives[t - 1], out[t - 1]
        raised = b * np.exp(eta * x / float(b @ x))
        out[t] = raised / raised.sum()
    return out


def pamr(relatives: Floats, epsilon: float = 0.5) -> Floats:
    """Passive-aggressive mean reversion."""
    out = ucrp(relatives)
    for t in range(1, len(out)):
        x, b = relatives[t - 1], out[t - 1]
        spread = x - x.mean()
        norm = float(spread @ spread)
        step = max(0.0, float(b @ x) - epsilon) / norm if norm > 0 else 0.0
        out[t] = project(b - step * spread)
    return out


def olmar(relatives: Floats, epsilon: float = 10.0, window: int = 5) -> Floats:
    """On-line moving-average reversion: the predicted relative is the average price of ``window`` over today's."""
    out, prices = ucrp(relatives), np.cumprod(relatives, axis=0)
    for t in range(1, len(out)):
        predicted = relatives[t - 1] if t < window else prices[t - window : t].mean(axis=0) / prices[t - 1]
        b = out[t - 1]
        spread = predicted - predicted.mean()
        norm = float(spread @ spread)
        step = max(0.0, (epsilon - float(b @ predicted)) / norm) if norm > 0 else 0.0
        out[t] = project(b + step * spread)
    return out


def universal(relatives: Floats, points: int = 21, samples: int = 2000, seed: int = 42) -> Floats:
    """Cover's universal portfolio: constant portfolios weighted by what they earned.

    Two assets take ``points`` evenly spaced portfolios; more take ``samples`` seeded uniform ones.
    """
    n = relatives.shape[1]
    if n == 2:
        share = np.linspace(0.0, 1.0, points)
        experts = np.column_stack([share, 1.0 - share])
    else:
        experts = np.random.Generator(np.random.PCG64(seed)).dirichlet(np.ones(n), samples)
    grown = np.cumsum(np.log(relatives @ experts.T), axis=0)
    before = np.vstack([np.zeros(len(experts)), grown[:-1]])
    share_of = np.exp(before - before.max(axis=1, keepdims=True))
    weights: Floats = share_of / share_of.sum(axis=1, keepdims=True) @ experts
    return weights


def best_constant(relatives: Floats, *, rounds: int = 200) -> Floats:
    """Return the constant portfolio (N,) that would have earned most: hindsight, a yardstick only.

    Frank-Wolfe's gap bounds what is missing; sequential quadratic steps close it.
    """
    from scipy.optimize import minimize

    n = relatives.shape[1]

    def loss(b: Floats) -> tuple[float, Floats]:
        earned = np.maximum(relatives @ b, 1e-12)
        return -float(np.log(earned).sum()), -(relatives / earned[:, None]).sum(axis=0)

    found = minimize(
        loss, np.full(n, 1.0 / n), jac=True, method="SLSQP", bounds=[(0.0, 1.0)] * n,
        constraints={"type": "eq", "fun": lambda b: b.sum() - 1.0, "jac": lambda b: np.ones(n)},
        options={"maxiter": rounds, "ftol": 1e-13},
    )  # fmt: skip
    return project(np.asarray(found.x, np.float64))


def wealth(relatives: Floats, weights: Floats) -> float:
    """Return what 1 becomes when ``weights`` (T, N) are held day by day."""
    return float(np.prod((relatives * weights).sum(axis=1)))


ONLINE: dict[str, Callable[..., Floats]] = {
    "ucrp": ucrp,
    "eg": eg,
    "pamr": pamr,
    "olmar": olmar,
    "universal": universal,
}


def online_weights(name: str, relatives: Any, **params: float) -> Floats:
    """Return the weights (T, N) of a named method."""
    if name not in ONLINE:
        known = ", ".join(ONLINE)
        raise Refusal("unknown_method", N_("There is no method %(name)s; known are %(known)s."), name=name, known=known)
    return ONLINE[name](np.asarray(relatives, np.float64), **params)
