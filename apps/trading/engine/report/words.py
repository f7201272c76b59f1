"""Codes of a report in words (msgids)."""

from __future__ import annotations

from apps.ui.engine.text import N_

#: Why a fill happened.
REASONS = {
    "signal": N_("signal"),
    "stop_loss": N_("stop-loss"),
    "take_profit": N_("take-profit"),
    "ruin": N_("closed at ruin"),
    "rebalance": N_("rebalance"),
}

#: Why an order was not filled, or not whole.
REFUSED = {
    "cash": N_("refused: more than the cash"),
    "below_lot": N_("refused: less than one lot"),
    "cut_to_cash": N_("filled in part: cut to the cash"),
}

BASELINES = {
    "buy_and_hold": N_("Buy and hold"),
    "equal_weight": N_("Equal weights"),
    "do_nothing": N_("Do nothing"),
    "equal_parts_held": N_("Equal parts, held"),
}

STRESS = {
    "no_costs": N_("Without costs"),
    "costs": N_("With costs"),
    "double_costs": N_("With twice the costs"),
    "one_bar_late": N_("One bar late"),
}
