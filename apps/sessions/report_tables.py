"""Every table of a report as rows, and several reports side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import Http404
from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.sessions.models import Kind, Session, Status
from apps.sessions.reports import _day, report_of, shown
from apps.sessions.selectors import session_visible
from apps.trading.engine.glossary import GLOSSARY
from apps.ui.engine.charts import Chart, Series, line_chart
from apps.ui.engine.charts.model import Style
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

MOST = 8
Rows = list[dict[str, Any]]
COMPARED = (
    "total_return", "cagr", "ann_vol", "sharpe", "deflated_sharpe", "psr", "sortino", "calmar", "max_drawdown",
    "max_drawdown_duration", "beta", "alpha", "information_ratio", "trades", "trade_win_rate", "trade_profit_factor",
    "turnover", "exposure", "fees", "break_even",
)  # fmt: skip


#: What each table holds; the name is that of its file and its address.
TITLES = {
    "metrics": N_("All metrics"), "gates": N_("Gates of the verdict"), "trades": N_("Trades"),
    "open_positions": N_("Open on the last bar"), "monthly": N_("Monthly returns"), "stress": N_("Costs and stress"),
    "baselines": N_("Beside the baselines"), "cost_curve": N_("Net return by cost, bp a side"),
    "drawdowns": N_("Deepest drawdowns"), "luck": N_("Luck and trials"), "leak_tests": N_("Leak check"),
    "leaks": N_("Leaks found"), "percentiles": N_("If chance had dealt otherwise"),
    "regimes": N_("By market regime"), "crises": N_("In known crises"),
    "participation": N_("Share of the bar's volume"), "by_symbol": N_("By instrument"),
    "holdings": N_("Holdings over time"), "cone": N_("The cone of chance"),
    "by_reason": N_("By what ended the trade"), "by_side": N_("Long and short"), "by_year": N_("Year by year"),
    "by_month": N_("Month by month"), "quantiles": N_("Quantiles of the returns"), "refused": N_("Orders not filled"),
    "signal": N_("Information coefficient by bar"), "signal_groups": N_("Return by rank of the signal"),
    "membership": N_("Members of the universe"), "walk_forward": N_("Windows of the walk-forward"),
    "sweep": N_("Points of the sweep"),
}  # fmt: skip


def tables_of(document: Mapping[str, Any]) -> dict[str, Rows]:
    """Return the tables the report holds, by name, each a list of flat rows."""
    robust, walk, sweep = (document.get(name) or {} for name in ("robustness", "walk_forward", "sweep"))
    leaks, own, bench = document.get("leaks") or {}, document["metrics"], document["benchmark_metrics"]
    found: dict[str, Rows] = {
        "metrics": [{"metric": name, "strategy": own[name], "benchmark": bench.get(name)} for name in own],
        "gates": document["verdict"]["gates"],
        "trades": document["trades"],
        "open_positions": document["open_positions"],
        "monthly": [_month_row(row) for row in document["monthly"]],
        "stress": document["stress"],
        "baselines": [{"name": name, **item["metrics"]} for name, item in document["baselines"].items()],
        "cost_curve": document.get("cost_curve") or [],
        "drawdowns": document.get("drawdowns") or [],
        "luck": [document["luck"]] if document.get("luck") else [],
        "leak_tests": leaks.get("tests", []),
        "leaks": leaks.get("leaks", []),
        "percentiles": _percentile_rows(robust),
        "regimes": robust.get("regimes") or [],
        "crises": robust.get("crises") or [],
        "participation": robust.get("participation") or [],
        "by_symbol": document.get("by_symbol") or [],
        "holdings": _holding_rows(document.get("holdings")),
        "cone": _cone_rows(document),
        "by_reason": document.get("by_reason") or [],
        "by_side": document.get("by_side") or [],
        "by_year": document.get("by_year") or [],
        "by_month": document.get("by_month") or [],
        "quantiles": document.get("quantiles") or [],
        "refused": [{"reason": reason, "count": count} for reason, count in document["refused"].items()],
        "signal": _signal_rows(document),
        "signal_groups": (document.get("signal") or {}).get("groups", []),
        "membership": (document.get("membership") or {}).get("years", []),
        "walk_forward": [
            {**{k: v for k, v in row.items() if k != "params"}, **row["params"]} for row in walk.get("windows", [])
        ],
        "sweep": _sweep_rows(sweep),
    }  # fmt: skip
    return {name: rows for name, rows in found.items() if rows}


def title_of(name: str) -> str:
    """Return what a table holds, in words."""
    return _(TITLES[name])


def _month_row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"year": row["year"], **{str(i): v for i, v in enumerate(row["months"], 1)}, "total": row["total"]}


def _holding_rows(found: Mapping[str, Any] | None) -> Rows:
    if not found:
        return []
    columns = dict(zip(found["names"], found["weights"], strict=True))
    return [
        {
            "time": time,
            "held": found["count"][i],
            **{name: row[i] for name, row in columns.items()},
            "rest": found["rest"][i],
        }
        for i, time in enumerate(found["times"])
    ]


def _cone_rows(document: Mapping[str, Any]) -> Rows:
    """Return the cone in money, from the first bar it covers."""
    found, curves = document.get("cone"), document["curves"]
    if not found:
        return []
    keys, base = ("5", "25", "50", "75", "95"), cone_base(document)
    return [
        {"time": time, "equity": curves["equity"][i], **{key: found[key][i] * base for key in keys}}
        for i, time in enumerate(curves["times"])
        if found["50"][i] is not None
    ]


def cone_base(document: Mapping[str, Any]) -> float:
    """Return the money from which the cone grows: the capital, or what the seen part left."""
    found = document["cone"]
    return float(document["series"]["equity"][found["from"] - 1] if found["from"] else document["capital"])


def _signal_rows(document: Mapping[str, Any]) -> Rows:
    """Return IC and rank IC of each bar."""
    found = document.get("signal")
    if not found:
        return []
    return [
        {"time": time, "ic": plain, "rank_ic": ranked}
        for time, plain, ranked in zip(
            document["series"]["times"], found["series"]["ic"], found["series"]["rank_ic"], strict=True
        )
    ]  # fmt: skip


def _percentile_rows(robust: Mapping[str, Any]) -> Rows:
    return [
        {"draw": draw, "figure": figure, **robust[draw][figure]}
        for draw in ("monte_carlo", "bootstrap")
        for figure in ("return", "sharpe", "drawdown")
        if robust.get(draw) and figure in robust[draw]
    ]


def _sweep_rows(sweep: Mapping[str, Any]) -> Rows:
    if not sweep:
        return []
    return [
        {sweep["x"]: x, sweep["y"]: y, "sharpe": sweep["sharpe"][j][i], "total_return": sweep["total_return"][j][i]}
        for j, y in enumerate(sweep["ys"])
        for i, x in enumerate(sweep["xs"])
    ]


def table(document: Mapping[str, Any], name: str) -> Rows:
    """Return the rows of one table, or 404 where the report has none of that name."""
    try:
        return tables_of(document)[name]
    except KeyError:
        raise Http404 from None


@dataclass(frozen=True)
class Compared:
    """One run of a comparison."""

    session: Session
    report: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{self.session.pk} {self.session.title}"


def compared(user: User | None, text: str) -> list[Compared]:
    """Return the completed backtests that ``text`` (numbers with commas) names and ``user`` may see, eight at most."""
    words = [word for word in text.replace(" ", ",").split(",") if word.isdecimal() and len(word) < 18]
    wanted = list(dict.fromkeys(int(word) for word in words))[:MOST]
    rows = session_visible(user).filter(pk__in=wanted, kind=Kind.BACKTEST, status=Status.COMPLETED)
    found = {row.pk: row for row in rows}
    runs = []
    for pk in wanted:
        if pk in found:
            try:
                runs.append(Compared(found[pk], report_of(found[pk])))
            except Refusal:
                continue  # Its file is gone: the others can still be compared.
    return runs


def comparison(runs: Sequence[Compared]) -> list[dict[str, Any]]:
    """Return a row a metric, the best of each marked where more or less is better.

    Money of several currencies has no best.
    """
    rows, mixed = [], len({run.report["currency"] for run in runs}) > 1
    for name in COMPARED if runs else ():
        term, values = GLOSSARY[name], [run.report["metrics"].get(name) for run in runs]
        known = [value for value in values if value is not None]
        untold = not term.better or len(known) < 2 or (mixed and term.unit == "money")
        best = None if untold else max(known) if term.better > 0 else min(known)
        cells = [
            {"text": shown(value, term.unit, run.report["currency"]), "best": value is not None and value == best}
            for run, value in zip(runs, values, strict=True)
        ]
        rows.append({"name": name, "title": _(term.title), "values": values, "cells": cells})
    return rows


def comparison_chart(runs: Sequence[Compared]) -> Chart | None:
    """Return the equity of every run from 100, over the days of all."""
    if not runs:
        return None
    styles: list[Style] = ["own", "bench", "dash", "dot", "up", "down", "thread", "bench"]
    series = []
    for run, style in zip(runs, styles, strict=False):
        curves, base = run.report["curves"], run.report["capital"] / 100.0
        days = [_day(text) for text in curves["times"]]
        equity = [None if value is None else value / base for value in curves["equity"]]
        series.append(Series(run.name, days, equity, style, short=str(run.session.pk)))
    return line_chart(series, label=_("Equity after costs, start = 100"), base=100, right=150, height=260)
