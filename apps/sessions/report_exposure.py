"""What a run held and how it moved with its benchmark, made ready to be read: charts of beta, holdings and chance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from apps.sessions.report_tables import cone_base
from apps.sessions.reports import _day, benchmark_label
from apps.ui.engine import numbers
from apps.ui.engine.charts import HALF, Band, Series, line_chart
from apps.ui.engine.charts.model import Style

STYLES: tuple[Style, ...] = ("own", "bench", "dash", "dot", "thread")


def beta_chart(report: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """Return the rolling beta; None for reports written before it was, and for runs too short for it."""
    values = report["curves"].get("rolling_beta") or []
    if not any(value is not None for value in values):
        return None
    days = [_day(text) for text in report["curves"]["times"]]
    title = _("Rolling beta")
    chart = line_chart(
        [Series(name, days, values)], label=title, base=1, width=HALF, x_start=days[0], x_end=days[-1],
        value_text=lambda value: numbers.number(value, 2),
    )  # fmt: skip
    return {
        "chart": chart,
        "title": title,
        "subtitle": _("Over %(name)s, last 126 bars") % {"name": benchmark_label(report)},
    }


def holdings_chart(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the share of equity of the largest holdings over time; None where one instrument is traded."""
    found = report.get("holdings")
    if not found:
        return None
    days = [_day(text) for text in found["times"]]
    series = [
        Series(name, days, [None if value is None else value * 100 for value in row], style)
        for name, row, style in zip(found["names"], found["weights"], STYLES, strict=False)
    ]
    title = _("Largest holdings")
    counts = found["count"]
    subtitle = _("Percent of equity; %(least)s to %(most)s held, at the end %(rest)s percent in the others") % {
        "least": min(counts), "most": max(counts), "rest": numbers.number((found["rest"][-1] or 0.0) * 100, 0),
    }  # fmt: skip
    chart = line_chart(
        series, label=title, base=0, x_start=days[0], x_end=days[-1], value_text=lambda value: numbers.number(value, 0)
    )
    return {"chart": chart, "title": title, "subtitle": subtitle}


def cone_chart(report: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """Return the run within the 5 and 95 percent of what chance would have dealt."""
    found = report.get("cone")
    if not found:
        return None
    curves, base, scale = report["curves"], cone_base(report), report["capital"] / 100.0
    days = [_day(text) for text in curves["times"]]
    at = [i for i, value in enumerate(found["50"]) if value is not None]
    if len(at) < 2:
        return None
    drawn = {key: [found[key][i] * base / scale for i in at] for key in ("5", "50", "95")}
    inside = [days[i] for i in at]
    last, low, high = curves["equity"][at[-1]] / scale, drawn["5"][-1], drawn["95"][-1]
    title = (
        _("It ended below what chance deals in 95 of 100 draws") if last < low
        else _("It ended above what chance deals in 95 of 100 draws") if last > high
        else _("It ended within what chance deals")
    )  # fmt: skip
    chart = line_chart(
        [
            Series(_("Median"), inside, drawn["50"], "dash"),
            Series(name, days, [None if v is None else v / scale for v in curves["equity"]]),
        ],
        label=title, base=100, bands=[Band(inside, drawn["5"], drawn["95"])], x_start=days[0], x_end=days[-1],
    )  # fmt: skip
    drawn_from = _("drawn from the bars before the unseen part") if found["seen"] else _("drawn from all bars")
    subtitle = _("Start = 100; 5 to 95 percent of %(samples)s paths, %(source)s in blocks of about %(block)s") % {
        "samples": found["samples"], "block": found["block"], "source": drawn_from,
    }  # fmt: skip
    return {"chart": chart, "title": title, "subtitle": subtitle}


def exposure(report: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the three charts by name, None where there is nothing to draw."""
    return {"beta": beta_chart(report, name), "holdings": holdings_chart(report), "cone": cone_chart(report, name)}
