"""Named portfolio strategies as target weights for the kernel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apps.trading.engine.portfolio.online import ONLINE, online_weights
from apps.trading.engine.portfolio.optimise import OPTIMISERS
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

Floats = NDArray[np.float64]


def portfolio_weights(name: str, close: Floats, *, window: int = 60, every: int = 21, **params: float) -> Floats:
    """Return target weights (S, T) wanted after each close, NaN where nothing is to change.

    ``close`` is (S, T). The optimisers look at the last ``window`` returns and rebalance ``every`` bars;
    online methods rebalance every bar. Column t knows prices up to t. An instrument without a full
    window of prices gets no weight.
    """
    if name in ONLINE:
        return _online(name, close, **params)
    if name not in OPTIMISERS:
        known = ", ".join([*OPTIMISERS, *ONLINE])
        raise Refusal("unknown_method", N_("There is no method %(name)s; known are %(known)s."), name=name, known=known)
    out: Floats = np.full((close.shape[0], close.shape[1]), np.nan)
    for t in range(window, close.shape[1], max(1, every)):
        past = close[:, t - window : t + 1]
        listed = np.flatnonzero(np.all(past > 0, axis=1))
        out[:, t] = 0.0
        if not len(listed):
            continue
        returns = past[listed, 1:] / past[listed, :-1] - 1.0
        covariance = np.atleast_2d(np.cov(returns))
        out[listed, t] = OPTIMISERS[name](covariance, returns.mean(axis=1), **params)
    return out


def _online(name: str, close: Floats, **params: float) -> Floats:
    """Row t + 1 of the method's weights, which knows relatives up to t, is wanted after close t."""
    if not np.all(close > 0):
        raise Refusal("gaps", N_("Online portfolio selection needs a price of every instrument on every day."))
    relatives = np.ones((close.shape[1] + 1, close.shape[0]))
    relatives[1:-1] = (close[:, 1:] / close[:, :-1]).T
    return np.ascontiguousarray(online_weights(name, relatives, **params)[1:].T)
