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
    "dividend": N_("dividend"),
    "split": N_("split"),
    "funding": N_("funding"),
    "borrow": N_("borrow fee"),
}

#: Why an order was not filled, or not whole.
REFUSED = {
    "cash": N_("refused: more than the cash"),
    "below_lot": N_("refused: less than one lot"),
    "cut_to_cash": N_("filled in part: cut to the cash"),
    "limit_up": N_("bars a purchase waited at limit up"),
    "limit_down": N_("bars a sale waited at limit down"),
    "suspended": N_("bars an order waited while suspended"),
    "t_plus_1": N_("bars a sale waited for settlement (T+1)"),
    "t_plus_1_shares": N_("shares that could not be sold on the day they were bought (T+1)"),
    "volume": N_("bars an order waited for more volume"),
    "maximum": N_("refused: more shares than the market takes in one order"),
    "min_notional": N_("refused: worth less than the market takes in one order"),
    "price_cage": N_("refused: limit too far through the market (price cage)"),
    "cancelled": N_("waiting orders given up: something else was wanted by then"),
    "replaced": N_("waiting orders sized anew at a later close"),
    #: Of reports from before both limits were told apart.
    "price_limit": N_("bars an order waited at a price limit"),
}
#: What a report under the rules of a market with price limits and settlement tells even where there was none.
TOLD_AT_ZERO = ("limit_up", "limit_down", "suspended", "t_plus_1", "t_plus_1_shares")

#: What markets charge beside the commission.
CHARGES = {
    "commission": N_("commission"),
    "stamp_duty": N_("stamp duty"),
    "transfer_fee": N_("transfer fee"),
    "sec_fee": N_("SEC fee"),
    "taf": N_("FINRA trading activity fee"),
}

#: Boards of the rule tables.
BOARDS = {
    "main": N_("main board"),
    "chinext": N_("ChiNext"),
    "star": N_("STAR Market"),
    "bse": N_("Beijing Stock Exchange"),
    "etf": N_("fund"),
    "etf_20": N_("fund, 20 % limit"),
    "etf_t0": N_("fund, same-day trading"),
    "stock": N_("US stock"),
    "spot": N_("crypto spot"),
    "perpetual": N_("crypto perpetual"),
    "": N_("unknown: no rules"),
}

BASELINES = {
    "buy_and_hold": N_("Buy and hold"),
    "equal_weight": N_("Equal weights"),
    "equal_members": N_("Members of the universe, equal parts"),
    "do_nothing": N_("Do nothing"),
    "equal_parts_held": N_("Equal parts, held"),
}

STRESS = {
    "no_costs": N_("Without costs"),
    "costs": N_("With costs"),
    "double_costs": N_("With twice the costs"),
    "one_bar_late": N_("One bar late"),
    "no_slippage": N_("Without slippage"),
}
