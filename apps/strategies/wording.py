"""Words for the values of choices."""

from __future__ import annotations

from django.utils.translation import gettext

from apps.ui.engine.text import N_

CHOICES = {
    "": N_("Correct"),
    "trademaster": N_("As TradeMaster"),
    "sma_cross": N_("Moving averages"),
    "rsi_reversal": N_("RSI reversal"),
    "buy_and_hold": N_("Buy and hold"),
    "equity_fraction": N_("Share of equity"),
    "fixed_shares": N_("Fixed shares"),
    "at_once": N_("At once"),
    "next_bar": N_("Next bar"),
    "none": N_("None"),
    "fixed": N_("Fixed"),
    "spread": N_("Half the spread"),
    "volume_share": N_("By share of the volume, squared"),
    "square_root": N_("By square root of the share"),
    "split": N_("Split"),
    "refuse": N_("Refuse"),
    "constant": N_("Constant"),
    "linear": N_("Falls linearly"),
    "cosine": N_("Falls along a cosine"),
    "dqn": "DQN",
    "ppo": "PPO",
    "equal_weight": N_("Equal weight"),
    "inverse_volatility": N_("Inverse volatility"),
    "min_variance": N_("Minimum variance"),
    "risk_parity": N_("Risk parity"),
    "max_sharpe": N_("Maximum Sharpe ratio"),
    "top_k": N_("Top by signal"),
    "top_k_dropout": N_("Top by signal, few exchanged"),
    "ucrp": N_("Constant equal weights (UCRP)"),
    "eg": N_("Exponentiated gradient (EG)"),
    "pamr": N_("Passive-aggressive reversion (PAMR)"),
    "olmar": N_("Moving-average reversion (OLMAR)"),
    "universal": N_("Universal portfolio"),
}


def choice_label(value: str) -> str:
    """Return the word for a choice's value; the value itself where there is none."""
    text = CHOICES.get(value)
    return gettext(text) if text else value
