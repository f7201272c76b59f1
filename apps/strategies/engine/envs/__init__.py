"""Batched environments: one object steps B copies of a market task in lockstep.

``algorithmic`` and ``portfolio`` keep correct accounts; ``trademaster`` repeats that program's,
errors included, for comparison. ``make_algorithmic`` and ``make_portfolio`` choose by mode.
"""

from __future__ import annotations

from typing import Any

from apps.strategies.engine.envs.algorithmic import AlgorithmicTradingEnv
from apps.strategies.engine.envs.base import BatchedEnv, Observation, Prices, Step
from apps.strategies.engine.envs.portfolio import PortfolioEnv
from apps.strategies.engine.envs.trademaster import TradeMasterAlgorithmicEnv, TradeMasterPortfolioEnv

__all__ = [
    "AlgorithmicTradingEnv", "BatchedEnv", "Observation", "PortfolioEnv", "Prices", "Step",
    "TradeMasterAlgorithmicEnv", "TradeMasterPortfolioEnv", "make_algorithmic", "make_portfolio",
]  # fmt: skip


def make_algorithmic(
    prices: Prices, *, compat: str = "", **options: Any
) -> AlgorithmicTradingEnv | TradeMasterAlgorithmicEnv:
    """Return the one-asset environment in the ``compat`` mode: "" is correct, "trademaster" repeats that program.

    With ``ruled`` the correct one obeys the rules of a market.
    """
    if compat == "trademaster":
        return TradeMasterAlgorithmicEnv(
            prices, **{k: v for k, v in options.items() if k not in {"allow_short", "exposure", "ruled"}}
        )
    if "ruled" in options:
        from apps.strategies.engine.envs.ruled_trading import RuledTradingEnv

        return RuledTradingEnv(prices, **options)
    return AlgorithmicTradingEnv(prices, **options)


def make_portfolio(prices: Prices, *, compat: str = "", **options: Any) -> PortfolioEnv | TradeMasterPortfolioEnv:
    """Return the portfolio environment in the ``compat`` mode; see ``make_algorithmic``."""
    if compat == "trademaster":
        return TradeMasterPortfolioEnv(prices, **{k: v for k, v in options.items() if k not in {"rebalance", "ruled"}})
    if "ruled" in options:
        from apps.strategies.engine.envs.ruled_portfolio import RuledPortfolioEnv

        return RuledPortfolioEnv(prices, **options)
    return PortfolioEnv(prices, **options)
