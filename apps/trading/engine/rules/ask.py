"""Questions to the rules in plain values: a price limit, whether an order is allowed, a fee."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from apps.trading.engine.rules.day import DayRules, day_rules, find_row, fund_payment
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

#: Fees that the seller alone pays, or paid at some time.
SELLERS = ("stamp_duty", "sec_fee", "taf")
#: What a question may say.
ASKED = (
    "market", "board", "date", "st", "delisting", "listed_for", "listing_day", "ipo_day", "session", "relisted_for",
    "prev_close", "fee", "side", "notional", "rate", "minimum", "funding_rate", "mark", "quantity", "held",
    "bought_today", "step", "min_notional", "price", "tick", "order", "auction", "best_bid", "best_ask", "last",
    "suspended", "locked",
)  # fmt: skip
DEFAULT_BOARD = {"CN": "main", "US": "stock", "CRYPTO": "spot"}


def answer(ask: Mapping[str, Any]) -> dict[str, Any]:
    """Answer one question: ``market``, ``date``, and what is asked about.

    ``prev_close`` gives limit_up and limit_down (None: no limit); ``fee`` gives the money;
    ``quantity`` with ``side`` gives allowed, reason and nearest_below.
    """
    market = str(ask.get("market", "CN")).upper()
    day, ask = _day(ask), {**ask, "side": _side(ask)}
    if "fee" in ask:
        return {"fee": fee(market, day, ask)}
    if "funding_rate" in ask:
        return {"fee": fund_payment(float(ask["mark"]), float(ask["quantity"]), float(ask["funding_rate"]))}
    listed = next((ask[key] for key in ("listed_for", "listing_day", "ipo_day", "session") if key in ask), None)
    rules = day_rules(
        market,
        str(ask.get("board", DEFAULT_BOARD.get(market, ""))).lower(),
        day,
        st=bool(ask.get("st", False)),
        delisting=bool(ask.get("delisting", False)),
        listed_for=None if listed is None else int(listed),
        relisted_for=int(ask["relisted_for"]) if "relisted_for" in ask else None,
    )
    found: dict[str, Any] = {"tick": rules.tick, "lot": rules.minimum, "step": rules.step, "t_plus": rules.settle}
    limits = rules.limits(float(ask["prev_close"])) if "prev_close" in ask else None
    if "prev_close" in ask:
        found |= {"limit_up": limits[0] if limits else None, "limit_down": limits[1] if limits else None}
    if "quantity" in ask or "price" in ask or ask.get("suspended"):
        reason = refusal_of(rules, ask, limits)
        found |= {"allowed": not reason, "reason": reason or None}
        if "quantity" in ask:
            found["nearest_below"] = _venue(rules, ask).nearest_below(float(ask["quantity"]))
    return found


def _day(ask: Mapping[str, Any]) -> date:
    try:
        return date.fromisoformat(str(ask.get("date", "")))
    except ValueError:
        raise Refusal(
            "bad_day", N_("A question to the rules needs a day such as 2024-01-02, not %(day)s."), field="date",
            day=str(ask.get("date", "-")),
        ) from None  # fmt: skip


def _side(ask: Mapping[str, Any]) -> str:
    """Return buy or sell; nothing where the question does not say it."""
    side = str(ask.get("side") or "").lower()
    if side not in ("", "buy", "sell"):
        raise Refusal("bad_side", N_("An order buys or sells; %(side)s is neither."), field="side", side=side)
    return side


def _venue(rules: DayRules, ask: Mapping[str, Any]) -> DayRules:
    """Return the rules with the step and least value that the venue tells of the instrument asked about."""
    step = float(ask.get("step", 0.0))
    return replace(
        rules, minimum=step or rules.minimum, step=step or rules.step,
        min_notional=float(ask.get("min_notional", rules.min_notional)),
    )  # fmt: skip


def refusal_of(rules: DayRules, ask: Mapping[str, Any], limits: tuple[float, float] | None) -> str:
    """Return the code of the first rule an order breaks, or nothing."""
    if ask.get("suspended"):
        return "suspended"
    return _price_refusal(rules, ask, limits) or ("quantity" in ask and _quantity_refusal(rules, ask)) or ""


def _price_refusal(rules: DayRules, ask: Mapping[str, Any], limits: tuple[float, float] | None) -> str:
    if ask.get("price") is None:
        return ""
    price = float(ask["price"])
    ticks = price / float(ask.get("tick", rules.tick))
    if abs(ticks - round(ticks)) > 1e-6:
        return "tick"
    if limits and not limits[1] <= price <= limits[0]:
        return "price_limit"
    if _outside_cage(rules, ask, price):
        return "price_cage"
    at_limit = limits is not None and price == (limits[1] if ask.get("side") == "sell" else limits[0])
    return "locked_at_limit" if at_limit and ask.get("locked") else ""


def _outside_cage(rules: DayRules, ask: Mapping[str, Any], price: float) -> bool:
    """Return whether a limit order lies too far through the best quote of the other side (continuous trading).

    Where the other side is empty its own side counts, then the last price, then the close before.
    """
    if ask.get("order", "limit") != "limit" or ask.get("auction"):
        return False
    sell = ask.get("side") == "sell"
    names = ("best_bid", "best_ask") if sell else ("best_ask", "best_bid")
    quote = next((float(ask[name]) for name in (*names, "last", "prev_close") if ask.get(name)), None)
    named = any(ask.get(name) for name in (*names, "last"))
    return named and quote is not None and not rules.within_cage(price, quote, sell=sell)


def _quantity_refusal(rules: DayRules, ask: Mapping[str, Any]) -> str:
    quantity = float(ask["quantity"])
    if quantity <= 0:
        return "quantity"
    if rules.maxima and quantity > rules.maxima[1 if ask.get("order") == "market" else 0]:
        return "maximum"
    rules = _venue(rules, ask)
    if ask.get("side") == "sell" and "held" in ask:
        refused = _sale_refusal(rules, quantity, float(ask["held"]), float(ask.get("bought_today", 0.0)))
    else:
        refused = "" if rules.nearest_below(quantity) == quantity else "lot"
    if refused:
        return refused
    return "min_notional" if quantity * float(ask.get("price") or math.inf) < rules.min_notional else ""


def _sale_refusal(rules: DayRules, quantity: float, held: float, bought_today: float) -> str:
    if quantity > held:
        return "not_held"
    if rules.settle and quantity > held - bought_today:
        return "t_plus_1"
    return "" if rules.may_sell(quantity, held) else "lot"


def fee(market: str, day: date, ask: Mapping[str, Any]) -> float:
    """Return one fee of an order of ``notional`` (and ``quantity`` shares, for fees by share)."""
    name, notional, sell = str(ask["fee"]), float(ask.get("notional", 0.0)), ask.get("side") == "sell"
    board = str(ask.get("board", DEFAULT_BOARD.get(market, ""))).lower()
    if name in SELLERS and not ask.get("side"):
        raise Refusal(
            "no_side", N_("Whether %(what)s is due depends on the side: buy or sell."), field="side", what=name
        )
    row = find_row(market, board, name, day)
    both = find_row(market, board, f"{name}_both", day)
    if row is None and both is not None:
        return notional * float(both.value)
    if row is None:
        raise Refusal(
            "no_rule",
            N_("No rule for %(what)s of %(board)s is known on %(day)s."),
            what=name,
            board=market,
            day=str(day),
        )
    if name == "commission":
        ceiling, least = row.value
        return max(min(float(ask.get("rate", ceiling)), float(ceiling)) * notional, float(ask.get("minimum", least)))
    if name == "taf":
        return min(float(ask["quantity"]) * float(row.value[0]), float(row.value[1])) if sell else 0.0
    if name in SELLERS and not sell:
        return 0.0
    return notional * float(row.value)
