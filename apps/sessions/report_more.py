"""The detailed half of a report made ready to be read: years, sides, returns, turnover, signal, membership."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from django.utils.translation import gettext as _

from apps.sessions.reports import _day, benchmark_label, shown
from apps.ui.engine import numbers
from apps.ui.engine.charts import HALF, Chart, Series, line_chart
from apps.ui.engine.charts.histogram import histogram
from apps.ui.engine.charts.model import Style
from apps.ui.engine.text import N_

#: Widths of a chart's right edge that holds a name and a value, and of one that holds nothing.
EDGE, PHONE_EDGE, BARE = 92, 64, 12
SPANS = {"bar": N_("One bar"), "week": N_("One week"), "month": N_("One month")}
SIDES = {"long": N_("Long"), "short": N_("Short")}
LEVELS = ("0", "5", "25", "50", "75", "95", "100")
#: Lines of the groups of rank, the lowest first.
GROUP_STYLES: tuple[Style, ...] = ("bench", "thread", "dot", "dash", "own")
Drawn = dict[str, Any]


def _drawn(chart: Chart, title: str, subtitle: str) -> Drawn:
    return {"chart": chart, "title": title, "subtitle": subtitle}


def _percents(values: Sequence[float | None]) -> list[float | None]:
    return [None if value is None else value * 100 for value in values]


def _known(values: Sequence[float | None] | None) -> bool:
    return any(value is not None for value in values or ())


def _half(series: Sequence[Series], title: str, *, base: float | None = None, digits: int = 0) -> Chart:
    xs, named = series[0].xs, any(one.name for one in series)
    return line_chart(
        series, label=title, base=base, width=HALF, right=EDGE if named else BARE,
        phone_right=PHONE_EDGE if named else BARE, x_start=xs[0], x_end=xs[-1],
        value_text=lambda value: numbers.number(value, digits),
    )  # fmt: skip


def invested_chart(report: Mapping[str, Any]) -> Drawn | None:
    """Return how much of the equity was not cash: exposure, and leverage where it is above 100."""
    curves = report["curves"]
    if not _known(curves.get("invested")):
        return None
    title = _("Invested part of the equity")
    days = [_day(text) for text in curves["times"]]
    series = [Series("", days, _percents(curves["invested"]), area=True)]
    return _drawn(_half(series, title, base=0), title, _("Percent of equity that is not cash, at each close"))


def volatility_chart(report: Mapping[str, Any]) -> Drawn | None:
    values = report["curves"].get("rolling_volatility")
    if not _known(values):
        return None
    title = _("Rolling volatility")
    days = [_day(text) for text in report["curves"]["times"]]
    return _drawn(
        _half([Series("", days, _percents(values))], title, base=0), title, _("Percent a year, last 126 bars")
    )


def turnover_chart(report: Mapping[str, Any]) -> Drawn | None:
    """Return the turnover of each month; None for a report of two months or less."""
    rows = report.get("by_month") or []
    if len(rows) < 3 or not any(row["turnover"] for row in rows):
        return None
    title = _("Turnover by month")
    days = [date.fromisoformat(f"{row['period']}-01") for row in rows]
    series = [Series("", days, _percents([row["turnover"] for row in rows]))]
    return _drawn(_half(series, title, base=0), title, _("Value of the fills, percent of the month's mean equity"))


def returns_chart(report: Mapping[str, Any], which: str) -> Drawn | None:
    """Return how often which return came up, of the bars or of the closed trades."""
    found = (report.get("histograms") or {}).get(which)
    if not found:
        return None
    title = _("Returns of the bars") if which == "bar" else _("Returns of the closed trades")
    edges = [edge * 100 for edge in found["edges"]]
    subtitle = _("Percent; how many fall where, what lies beyond in the outer classes")
    return _drawn(histogram(edges, found["counts"], label=title), title, subtitle)


def signal_charts(report: Mapping[str, Any]) -> list[Drawn]:
    """Return the rank IC summed up and what each fifth of the ranking earned; empty without a signal."""
    found = report.get("signal")
    if not found:
        return []
    figures, curve = found["figures"], found["curve"]
    days = [_day(text) for text in curve["times"]]
    ranked = _("Rank IC %(mean)s a bar, above zero on %(share)s of them") % {
        "mean": shown(figures["rank_ic"], "fine_ratio"), "share": shown(figures["ic_hits"], "percent"),
    }  # fmt: skip
    summed = _half([Series("", days, curve["rank_ic"])], ranked, base=0, digits=1)
    low, high = found["groups"][0]["total_return"], found["groups"][-1]["total_return"]
    split = _("The highest fifth came to %(high)s, the lowest to %(low)s") % {
        "high": numbers.percent(high, 0, sign=True), "low": numbers.percent(low, 0, sign=True),
    }  # fmt: skip
    last = len(curve["groups"])
    names = [_("lowest"), *[""] * (last - 2), _("highest")]
    series = [
        Series(name, days, _percents(row), style)
        for name, row, style in zip(names, curve["groups"], GROUP_STYLES, strict=True)
    ]
    after = _("Summed over the bars; signal at the close, return from the next open to the one after")
    fifths = _("Percent, without costs: fifths of the ranking, formed anew each bar")
    return [_drawn(summed, ranked, after), _drawn(_half(series, split, base=0), split, fifths)]


def membership(report: Mapping[str, Any]) -> Drawn | None:
    """Return how the universe moved on; None without a dated universe."""
    found = report.get("membership")
    if not found:
        return None
    figures = report["metrics"]
    title = _("%(share)s of the first day's members had left by the last") % {
        "share": shown(figures["members_exchanged"], "percent")
    }
    days = [_day(text) for text in report["curves"]["times"]]
    series = [
        Series(_("still in"), days, _percents(found["still"])),
        Series(_("held outside"), days, _percents(found["outside"]), "bench"),
    ]
    subtitle = _("Percent of the first day's members of %(universe)s; percent of equity in what does not belong") % {
        "universe": found["universe"]
    }
    facts = [
        (_("Members on the first and the last day"),
         f"{numbers.number(found['first'])} – {numbers.number(found['last'])}"),
        (_("Held outside the universe, mean and most"),
         f"{shown(figures['outside_weight'], 'percent')}, {shown(found['outside_most'], 'percent')}"),
        (_("Instruments held on after they left"), numbers.number(found["held_on"])),
        (_("Bars held on, mean and most"),
         f"{shown(figures['outside_bars'], 'bars')}, {numbers.number(found['longest'])}"),
        (_("Members of the day in equal parts"), numbers.percent(found["dated_return"], 1, sign=True)),
        (_("Members of the first day in equal parts"), numbers.percent(found["frozen_return"], 1, sign=True)),
    ]  # fmt: skip
    years = [{**row, "exchanged": shown(row["exchanged"], "percent")} for row in found["years"]]
    return {**_drawn(_half(series, title, base=0), title, subtitle), "facts": facts, "years": years}


def year_rows(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            **row, "own": _signed(row["total_return"]), "bench": _signed(row["benchmark_return"]),
            "ratio": shown(row["sharpe"], "ratio"), "fall": shown(row["max_drawdown"], "percent"),
            "turned": shown(row["turnover"], "ratio"),
        }
        for row in report.get("by_year") or []
    ]  # fmt: skip


def side_rows(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return long and short trades; empty where only one side was traded."""
    rows = report.get("by_side") or []
    if len(rows) < 2:
        return []
    return [
        {**row, "name": _(SIDES.get(row["name"], row["name"])), "average": _signed(row["average"]),
         "bars": numbers.number(row["bars"], 1)}
        for row in rows
    ]  # fmt: skip


def quantile_rows(report: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    return [
        (_(SPANS.get(row["name"], row["name"])), [_signed(row[level]) for level in LEVELS])
        for row in report.get("quantiles") or []
    ]


def _signed(value: float | None) -> str:
    return numbers.NONE if value is None else numbers.percent(value, 1, sign=True)


def more(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything that ``report/more.html`` shows."""
    charts = [
        invested_chart(report), turnover_chart(report), volatility_chart(report), returns_chart(report, "bar"),
        returns_chart(report, "trade"), *signal_charts(report),
    ]  # fmt: skip
    return {
        "benchmark": benchmark_label(report), "charts": [chart for chart in charts if chart],
        "membership": membership(report), "years": year_rows(report), "sides": side_rows(report),
        "quantiles": quantile_rows(report),
    }  # fmt: skip
