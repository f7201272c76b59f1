"""What the feature explorer shows: an analysis in words and charts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.ui.engine import numbers
from apps.ui.engine.charts import FULL, HALF, Series, bar_chart, line_chart
from apps.ui.engine.charts.histogram import histogram

#: A mean Rank IC up to this is weak, whatever its t value.
WEAK = 0.01
SIGNIFICANT = 2.0
EXAMPLES = (
    "Ref($close, 5)/$close - 1", "Rank($close, 20)", "Corr($close, Log($volume+1), 20)",
    "Std($close/Ref($close, 1), 20)", "CSRank(Mean($volume, 5)/Mean($volume, 60))",
)  # fmt: skip


def shown(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the context of the result."""
    rows = document["horizons"]
    return {
        "document": document, "verdict": verdict(document), "best": best(document),
        "distribution": _histogram(document), "coverage": document["coverage_by_period"][-24:],
        "decay": _decay(rows) if rows else None, "cumulative": _cumulative(document) if document["daily"] else None,
        "groups": _groups(document) if document["groups"] else None,
        "group_rows": _group_rows(document) if document["groups"] else [],
    }  # fmt: skip


def best(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the horizon with the largest t value, whichever its sign."""
    known = [row for row in document["horizons"] if row["t"] is not None]
    return max(known, key=lambda row: abs(row["t"]), default=None)


def verdict(document: Mapping[str, Any]) -> str:
    """Say in one sentence what the coefficients are worth."""
    row = best(document)
    if row is None:
        return _("Too few symbols for a cross-section: the dataset has %(count)s, five are needed.") % {
            "count": document["symbols"]
        }
    words = {"ic": signed(row["rank_ic"]), "bars": bars_text(row["horizon"]), "t": f"{abs(row['t']):.1f}"}
    if abs(row["t"]) < SIGNIFICANT:
        return _("No horizon stands out from chance: the largest Rank IC is %(ic)s over %(bars)s (t %(t)s)") % words
    if abs(row["rank_ic"]) < WEAK:
        return _("A steady but weak order: Rank IC %(ic)s over %(bars)s (t %(t)s)") % words
    if row["rank_ic"] < 0:
        return _("High values were followed by lower returns: Rank IC %(ic)s over %(bars)s (t %(t)s)") % words
    return _("High values were followed by higher returns: Rank IC %(ic)s over %(bars)s (t %(t)s)") % words


def bars_text(count: int) -> str:
    return ngettext("%(count)s bar", "%(count)s bars", count) % {"count": count}


def signed(value: float | None) -> str:
    return numbers.number(value, 4, sign=True)


def _histogram(document: Mapping[str, Any]) -> Any:
    drawn = document["distribution"]["histogram"]
    return histogram(drawn["edges"], drawn["counts"], label=_("Distribution of the values"), width=HALF)


def _decay(rows: list[dict[str, Any]]) -> Any:
    names = [bars_text(row["horizon"]) for row in rows]
    return bar_chart(
        names, [row["rank_ic"] for row in rows], label=_("Rank IC by horizon"), text=signed, width=HALF
    )  # fmt: skip


def _cumulative(document: Mapping[str, Any]) -> Any:
    daily = document["daily"]
    days = [date.fromisoformat(day) for day in daily["days"]]
    return line_chart(
        [Series("Rank IC", days, daily["rank_ic"]), Series("IC", days, daily["ic"], "bench")],
        label=_("Daily coefficients added up"), base=0.0, width=FULL,
        value_text=lambda v: numbers.number(v, 1, sign=True),
    )  # fmt: skip


def _groups(document: Mapping[str, Any]) -> Any:
    means = document["groups"]["mean_return"]
    return bar_chart(
        _group_names(len(means)), means, label=_("Mean return of the next bar by group"),
        text=lambda v: numbers.percent(v, 3, sign=True), width=HALF,
    )  # fmt: skip


def _group_names(count: int) -> list[str]:
    names = [_("Group %(number)s") % {"number": g + 1} for g in range(count)]
    names[0], names[-1] = _("Lowest values"), _("Highest values")
    return names


def _group_rows(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    groups = document["groups"]
    columns = (_group_names(len(groups["mean_return"])), groups["mean_return"], groups["turnover"])
    return [{"name": n, "mean": m, "turnover": t} for n, m, t in zip(*columns, strict=True)]
