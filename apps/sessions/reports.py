"""A backtest's report made ready to be read: figures with their words, charts, tables."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from apps.sessions.models import Kind, Session, Status
from apps.sessions.selectors import session_folder
from apps.trading.engine.glossary import GLOSSARY
from apps.trading.engine.report import BASELINES, GATES, REASONS, REFUSED, STRESS, VERDICTS, text
from apps.trading.engine.report.verdict import MERIT
from apps.ui.engine import numbers
from apps.ui.engine.charts import HALF, Chart, HeatTable, Marker, Series, drawdown_chart, heat_table, line_chart
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

MONTHS = [
    N_("Jan"), N_("Feb"), N_("Mar"), N_("Apr"), N_("May"), N_("Jun"),
    N_("Jul"), N_("Aug"), N_("Sep"), N_("Oct"), N_("Nov"), N_("Dec"),
]  # fmt: skip
#: More triangles than this hide the line they stand on.
MOST_MARKERS = 120
SHAPES = {"pass": "pass", "not_yet": "notyet", "fail": "fail"}
#: Schema of the documents this page reads.
SCHEMA = 1
#: Why there is no break-even cost, beside the dash.
NO_BREAK_EVEN = {
    "never": N_("loses even without costs"),
    "above": N_("earns even at %(highest)s bp a side"),
}


def report_of(session: Session) -> dict[str, Any]:
    """Return the report document of a completed backtest, or refuse with what to do."""
    return document_of(session, report_content(session))


def report_content(session: Session) -> bytes:
    """Return the bytes of the report file, or refuse with what to do."""
    try:
        return (session_folder(session.pk) / "report.json").read_bytes()
    except FileNotFoundError:
        raise Refusal("no_report", _absence(session), status=404, session=session.pk) from None
    except OSError:
        return b""  # which is no document


def content_key(content: bytes) -> str:
    """Return what a fragment drawn in the reader's language from this content, and from nothing else, is kept under."""
    return f"{hashlib.blake2b(content, digest_size=16).hexdigest()}.{get_language()}"


def document_of(session: Session, content: bytes) -> dict[str, Any]:
    """Return the document in the bytes of a report file."""
    try:
        document = json.loads(content)
        if document["schema"] != SCHEMA:
            raise ValueError(document["schema"])
    except (ValueError, KeyError, TypeError):
        raise Refusal(
            "report_damaged",
            N_(
                "The report file of session %(session)s cannot be read. "
                "Run the backtest again: it gives the same report."
            ),
            status=409,
            session=session.pk,
        ) from None
    found: dict[str, Any] = document
    return found


def _absence(session: Session) -> str:
    """Return the sentence that says why there is no report and what to do."""
    if session.kind == Kind.TRAINING:
        return N_("Session %(session)s is a training. Backtest its checkpoint on the strategy's page to get a report.")
    if session.status == Status.COMPLETED:
        return N_("The report file of session %(session)s is gone. Run the backtest again: it gives the same report.")
    return N_("Session %(session)s has no report yet. It is written when a backtest has finished.")


def shown(value: Any, unit: str, currency: str = "") -> str:
    """Return a figure in its unit; undefined is a dash."""
    if value is None:
        return numbers.NONE
    if unit == "percent":
        return numbers.percent(value, 1)
    if unit == "fine":
        return numbers.percent(value, 3)
    if unit == "years":
        return _("%(years)s y") % {"years": numbers.number(value, 1)}
    if unit in {"bars", "count"}:
        return numbers.number(value, 0)
    if unit == "money":
        return f"{currency} {numbers.number(value, 0)}".strip()
    if unit == "bp":
        return f"{numbers.number(value, 1)} {_('bp')}"
    return numbers.number(value, 4 if unit == "fine_ratio" else 2)


@dataclass(frozen=True)
class Figure:
    """One cell of the strip on top."""

    label: str
    value: str
    note: str
    tone: str = ""
    shape: str = ""


def headline(report: Mapping[str, Any]) -> list[Figure]:
    """Return the strip: each figure beside what it is to be compared with."""
    own, bench = report["metrics"], report["benchmark_metrics"]
    name, verdict = benchmark_label(report), report["verdict"]
    passed = sum(gate["passed"] for gate in verdict["gates"])
    words = {"pass": _("Pass"), "not_yet": _("Not yet"), "fail": _("Fail")}
    gates = _("%(passed)s of %(all)s gates") % {"passed": passed, "all": len(verdict["gates"])}
    found = [Figure(_("Verdict"), words[verdict["word"]], gates, shape=SHAPES[verdict["word"]])]
    for key, label in (
        ("total_return", _("Net return")),
        ("sharpe", _("Sharpe ratio")),
        ("max_drawdown", _("Max drawdown")),
    ):
        unit = GLOSSARY[key].unit
        text_ = numbers.percent(own[key], 1, sign=True) if key == "total_return" else shown(own[key], unit)
        tone = ("up" if own[key] > 0 else "down") if key == "total_return" and own[key] else ""
        beside = f"{shown(bench.get(key), unit)} {name}"
        if key == "sharpe" and own.get("deflated_sharpe") is not None:
            deflated = _("deflated %(value)s") % {"value": shown(own["deflated_sharpe"], "ratio")}
            beside = f"{deflated} · {beside}"
        found.append(Figure(label, text_, beside, tone))
    found.append(Figure(_("Break-even cost"), *_break_even(report)))
    if report.get("leaks"):
        return [*found, _leak_figure(report["leaks"])]
    trades = report["headline"]["closed_trades"]
    found.append(Figure(_("Closed trades"), numbers.number(trades), _("%(fills)s fills") % {"fills": report["fills"]}))
    return found


def _leak_figure(found: Mapping[str, Any]) -> Figure:
    passed = sum(not test["found"] for test in found["tests"])
    note = _("%(passed)s of %(all)s tests") % {"passed": passed, "all": len(found["tests"])}
    clean = found["clean"]
    return Figure(_("Leak check"), _("No leaks") if clean else _("Leaks"), note, shape="pass" if clean else "fail")


def _break_even(report: Mapping[str, Any]) -> tuple[str, str]:
    even = report["break_even"]
    if even["state"] in NO_BREAK_EVEN:
        highest = numbers.number(even["highest_bp"], 0)
        return numbers.NONE, _(NO_BREAK_EVEN[even["state"]]) % {"highest": highest}
    paid = _("%(cost)s bp a side paid") % {"cost": numbers.number(report["costs"]["rate"] * 10_000, 1)}
    return shown(even["bp"], "bp"), paid


def benchmark_name(report: Mapping[str, Any]) -> str:
    bench = report["benchmark"]
    if bench.get("dataset"):
        return str(bench["name"])
    return bench["symbol"] or _(BASELINES.get(bench["name"], bench["name"]))


def benchmark_label(report: Mapping[str, Any]) -> str:
    """Return the name without the data it comes from: what fits beside a curve and under a figure."""
    return benchmark_name(report).partition(" (")[0]


def finding(report: Mapping[str, Any], place: str, default: str) -> str:
    """Return the sentence a rule found for a place, or the measure's name."""
    return next((text(item, _) for item in report["findings"] if item["place"] == place), default)


def notes(report: Mapping[str, Any]) -> list[str]:
    """Return the findings that head no chart."""
    return [
        text(item, _)
        for item in report["findings"]
        if item["place"] not in {"equity", "drawdown", "rolling", "monthly"}
    ]


def gates(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for gate in report["verdict"]["gates"]:
        sign = "≤" if gate.get("at_most") else ">" if gate["strict"] else "≥"
        need = f"{sign} {shown(gate['need'], gate['unit'])}"
        title = _(GATES[gate["name"]].title) if gate["name"] in GATES else gate["name"]
        rows.append(
            {
                "title": title,
                "value": shown(gate["value"], gate["unit"]),
                "need": need,
                "passed": gate["passed"],
                "shape": "pass" if gate["passed"] else "fail" if gate["kind"] == MERIT else "notyet",
            }
        )
    return rows


def _day(text: str) -> date:
    """Return the day of a daily bar, the moment of any other."""
    return date.fromisoformat(text) if len(text) == len("2011-01-03") else datetime.fromisoformat(text)


def charts(report: Mapping[str, Any], name: str) -> dict[str, dict[str, Any]]:
    """Return the charts with titles (a finding, or the measure's name) and subtitles."""
    curves, capital = report["curves"], report["capital"] / 100.0
    days, bench = [_day(item) for item in curves["times"]], benchmark_label(report)
    span: dict[str, Any] = {"x_start": days[0], "x_end": days[-1]}

    def scaled(values: Sequence[float | None]) -> list[float | None]:
        return [None if value is None else value / capital for value in values]

    equity = [Series(bench, days, scaled(curves["benchmark"]), "bench"), Series(name, days, scaled(curves["equity"]))]
    falls = [
        Series(bench, days, _underwater(curves["benchmark"]), "bench"),
        Series(name, days, curves["drawdown"]),
    ]
    titles = {
        "equity": finding(report, "equity", _("Equity against the benchmark")),
        "drawdown": finding(report, "drawdown", _("Drawdown from the peak")),
        "rolling": finding(report, "rolling", _("Rolling Sharpe ratio")),
    }
    own = scaled(curves["equity"])
    markers = _markers(report, days, own)
    rolling = [Series(name, days, curves["rolling_sharpe"])]
    drawn: dict[str, tuple[Chart, str]] = {
        "equity": (
            line_chart(equity, label=titles["equity"], base=100, markers=markers, **span),
            _("Equity after costs, start = 100; ▲ buy, ▼ sell") if markers else _("Equity after costs, start = 100"),
        ),
        "drawdown": (
            drawdown_chart(falls, label=titles["drawdown"], **span),
            _("Fall from the highest equity so far"),
        ),
        "rolling": (
            line_chart(rolling, label=titles["rolling"], base=0, width=HALF, **span),
            _("Sharpe ratio of the last 126 bars"),
        ),
    }
    return {key: {"chart": chart, "title": titles[key], "subtitle": sub} for key, (chart, sub) in drawn.items()}


def _underwater(values: Sequence[float]) -> list[float]:
    peak, result = 0.0, []
    for value in values:
        peak = max(peak, value)
        result.append(value / peak - 1.0 if peak > 0 else 0.0)
    return result


def _markers(report: Mapping[str, Any], days: Sequence[date], equity: Sequence[float | None]) -> list[Marker]:
    """Return a triangle at each fill of a closed trade; none where they would hide the line."""
    trades = report["trades"]
    if 2 * len(trades) > MOST_MARKERS:
        return []
    found = []
    for trade in trades:
        opens, closes = ("buy", "sell") if trade["side"] == "long" else ("sell", "buy")
        for key, kind in (("entry_time", opens), ("exit_time", closes)):
            day = _day(trade[key])
            place = bisect_right(days, day) - 1
            value = equity[place] if place >= 0 else None
            if value is not None:
                found.append(Marker(day, value, kind))  # type: ignore[arg-type]
    return found


def months(report: Mapping[str, Any]) -> HeatTable | None:
    """Return the monthly table in percent, or None where there is no whole month."""
    rows = {str(row["year"]): [None if v is None else v * 100 for v in row["months"]] for row in report["monthly"]}
    if not rows:
        return None
    totals = {str(row["year"]): None if row["total"] is None else row["total"] * 100 for row in report["monthly"]}
    return heat_table([_(month) for month in MONTHS], rows, corner=_("Year"), totals=totals, total_head=_("Year"))


def metric_rows(report: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return every metric with its definition, beside the benchmark's."""
    own, bench, currency = report["metrics"], report["benchmark_metrics"], report["currency"]
    rows = []
    for name, term in GLOSSARY.items():
        if name in own:
            rows.append({
                "title": _(term.title), "definition": _(term.definition),
                "own": shown(own[name], term.unit, currency),
                "bench": shown(bench.get(name), term.unit, currency) if name in bench else numbers.NONE,
            })  # fmt: skip
    return rows


def baseline_rows(report: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    columns = ("total_return", "sharpe", "max_drawdown", "ann_vol")
    rows = [(name, report["metrics"], True)]
    rows += [(_(BASELINES.get(key, key)), item["metrics"], False) for key, item in report["baselines"].items()]
    return [
        {"name": label, "own": own, "cells": [shown(m.get(c), GLOSSARY[c].unit) for c in columns]}
        for label, m, own in rows
    ]


def stress_rows(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (
            _(STRESS.get(row["name"], row["name"])),
            numbers.percent(row["total_return"], 1, sign=True),
            shown(row["sharpe"], "ratio"),
        )
        for row in report["stress"]
    ]


def refused_rows(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(_(REFUSED.get(code, code)), numbers.number(count)) for code, count in report["refused"].items()]


def trade_reason(code: str) -> str:
    return _(REASONS.get(code, code))


@dataclass
class Position:
    """What is still held of one instrument: shares of all lots, their average price, the first day."""

    symbol: str
    side: str
    quantity: float
    price: float
    since: str
    value: float


def open_positions(report: Mapping[str, Any]) -> list[Position]:
    """Return what the last bar leaves open, lots of one instrument together, largest at entry first."""
    found: dict[tuple[str, str], Position] = {}
    for lot in report["open_positions"]:
        key = lot["symbol"], lot["side"]
        row = found.setdefault(key, Position(*key, 0.0, 0.0, lot["entry_time"], 0.0))
        row.quantity += lot["quantity"]
        row.value += lot["quantity"] * lot["entry_price"]
        row.since = min(row.since, lot["entry_time"])
        row.price = row.value / row.quantity
    return sorted(found.values(), key=lambda row: -row.value)


def verdict_sentence(report: Mapping[str, Any]) -> str:
    return _(VERDICTS[report["verdict"]["word"]])
