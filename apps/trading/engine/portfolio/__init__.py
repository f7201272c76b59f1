"""How money is spread over instruments: optimisers, online selection, top-k dropout. No numba, no Django."""

from apps.trading.engine.portfolio.online import ONLINE, online_weights, wealth
from apps.trading.engine.portfolio.optimise import (
    OPTIMISERS,
    equal_weight,
    inverse_volatility,
    max_sharpe,
    min_variance,
    risk_parity,
)
from apps.trading.engine.portfolio.topk import TopkOptions, TopkResult, topk_dropout
from apps.trading.engine.portfolio.weights import portfolio_weights

__all__ = [
    "ONLINE",
    "OPTIMISERS",
    "TopkOptions",
    "TopkResult",
    "equal_weight",
    "inverse_volatility",
    "max_sharpe",
    "min_variance",
    "online_weights",
    "portfolio_weights",
    "risk_parity",
    "topk_dropout",
    "wealth",
]
