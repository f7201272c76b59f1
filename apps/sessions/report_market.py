"""The market half of a report made ready to be read: whose rules were obeyed, and what nobody knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from apps.trading.engine.report.words import BOARDS, CHARGES
from apps.ui.engine import numbers


def market_rows(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what was obeyed, a fact a row; empty for a report from before rules were obeyed."""
    market = report.get("market")
    if not market:
        return []
    if not market["obeyed"]:
        return [(_("Rules"), _("ignored on request")), *_events(report, market)]
    boards = ", ".join(
        f"{_(BOARDS.get(name, name))} ({numbers.number(count)})" for name, count in market["counts"].items()
    )
    rows = [(_("Board"), boards)]
    if market["markets"]:
        prices = _("as traded") if market["as_traded"] else _("adjusted: limits and lots cannot be obeyed")
        rows.append((_("Prices of orders"), prices))
    if "CN" in market["markets"]:
        rows.append((_("Price limits"), _("obeyed") if market["limits"] else _("not obeyed")))
        if market["limits"] and not market["st_known"]:
            rows.append((_("Special treatment (ST)"), _("not told by the data: taken as ordinary")))
        choice = report.get("fill_rule", {}).get("order_maximum")
        if market["lots"] and choice:
            refused = choice == "refuse"
            rows.append((_("Orders above the market's maximum"), _("refused") if refused else _("split into several")))
    if market.get("funding_told"):
        rows.append((_("Funding"), _("rates of the data, at their times")))
    return [*rows, *_charges(report, market), *_events(report, market), *_gaps(market)]


def benchmark_notes(report: Mapping[str, Any]) -> list[str]:
    """Return how a benchmark of another dataset was held and laid beside the run; empty for any other."""
    bench = report["benchmark"]
    if not bench.get("dataset"):
        return []
    found = [
        _(
            "The benchmark is data of its own: bought with all money at the first open after the first decision, cost "
            "of a side included, in parts of a share, and held. Bars are laid beside each other by date: each shows "
            "the benchmark's newest close of that day or an earlier one."
        )
    ]
    if bench["symbols"] > 1:
        found.append(_("It is %(count)s instruments in equal parts.") % {"count": numbers.number(bench["symbols"])})
    if bench["covered"] < bench["bars"]:
        span = {"start": bench["start"], "end": bench["end"]}
        shown = {"covered": numbers.number(bench["covered"]), "bars": numbers.number(bench["bars"])}
        found.append(
            _(
                "It has bars from %(start)s to %(end)s: %(covered)s of the run's %(bars)s bars. Outside them its value "
                "stands still."
            )
            % {**span, **shown}
        )
    if bench["currency"] and report["currency"] and bench["currency"] != report["currency"]:
        found.append(
            _("It is priced in %(currency)s; only its percentages are compared, nothing is converted.")
            % {"currency": bench["currency"]}
        )
    return found


def _charges(report: Mapping[str, Any], market: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what was paid to whom; a single one says no more than the fees of the headline."""
    paid: Mapping[str, float] = market.get("charges", {})
    if len(paid) < 2:
        return []
    return [
        (_("Paid: %(charge)s") % {"charge": _(CHARGES.get(what, what))},
         f"{report['currency']} {numbers.number(amount, 0)}".strip())
        for what, amount in paid.items()
    ]  # fmt: skip


def _events(report: Mapping[str, Any], market: Mapping[str, Any]) -> list[tuple[str, str]]:
    if not market["events"]:
        return []
    paid = f"{report['currency']} {numbers.number(market['payouts'], 0)}".strip()
    return [
        (_("Dividends and splits in the period"), numbers.number(market["events"])),
        (_("Paid out in cash"), paid),
    ]


def _gaps(market: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the charges of which no dated row is known for a part of the period: they were not charged."""
    return [
        (
            _("Not charged: %(charge)s") % {"charge": _(CHARGES.get(what, what))},
            _("no rule known from %(first)s to %(last)s") % {"first": first, "last": last},
        )
        for what, (first, last) in market["not_charged"].items()
    ]
