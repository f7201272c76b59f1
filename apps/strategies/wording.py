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
    "constant": N_("Constant"),
    "linear": N_("Falls linearly"),
    "cosine": N_("Falls along a cosine"),
    "dqn": "DQN",
    "ppo": "PPO",
    "equal_weight": N_("Equal weight"),
}


def choice_label(value: str) -> str:
    """Return the word for a choice's value; the value itself where there is none."""
    text = CHOICES.get(value)
    return gettext(text) if text else value
