"""The report page of a backtest and its downloads."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.functional import SimpleLazyObject
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from apps.accounts.identity import signed_in
from apps.sessions import report_honesty, report_tables, reports
from apps.sessions.capsule_pages import capsule_context
from apps.sessions.report_exposure import exposure
from apps.sessions.report_market import benchmark_notes, market_rows
from apps.sessions.report_more import more
from apps.sessions.selectors import session_for_user, session_list
from apps.strategies.engine.config_allocation import PERIODIC
from apps.strategies.forms import config_rows
from apps.ui.standalone import style_tag
from apps.ui.tables import csv_file

PAGE = 25
#: Type of strategy -> (field, values) whose parameters can be swept and walked forward.
STUDIED: dict[str, tuple[str, tuple[str, ...]]] = {
    "rule": ("rule", ("sma_cross", "rsi_reversal")), "allocation": ("method", PERIODIC),
}  # fmt: skip
TRADE_COLUMNS = (
    "symbol", "side", "quantity", "entry_time", "entry_price", "exit_time", "exit_price",
    "bars", "pnl", "return", "fees", "reason",
)  # fmt: skip


def _load(request: HttpRequest, pk: int) -> tuple[Any, dict[str, Any]]:
    session = session_for_user(signed_in(request), pk)
    return session, reports.report_of(session)


def _load_kept(request: HttpRequest, pk: int) -> tuple[Any, dict[str, Any], str]:
    """Return also the key of what is drawn from the document alone."""
    session = session_for_user(signed_in(request), pk)
    content = reports.report_content(session)
    return session, reports.document_of(session, content), reports.content_key(content)


def _can_study(session: Any) -> bool:
    field, values = STUDIED.get(session.version.strategy.type, ("", ()))
    return session.config.get(field) in values


def _halves(rows: list[Any]) -> tuple[list[Any], list[Any]]:
    middle = (len(rows) + 1) // 2
    return rows[:middle], rows[middle:]


def _context(
    session: Any, document: dict[str, Any], kept: str, page: str | None, open_page: str | None
) -> dict[str, Any]:
    """Return what the body of a report shows; ``page`` None means every row (a file has no pages).

    What is drawn from the document alone is kept by the template under ``kept``, the hash of its content, and the
    language: lazy here, it is worked out only where it is not there yet.
    """
    name = _("This run")
    trades = [
        {**trade, "number": i, "because": reports.trade_reason(trade["reason"])}
        for i, trade in enumerate(document["trades"], 1)
    ]
    per_page = PAGE if page is not None else max(len(trades), 1)
    positions = reports.open_positions(document)
    return {
        "session": session,
        "report": document,
        "name": name,
        "figures": reports.headline(document),
        "gates": SimpleLazyObject(lambda: reports.gates(document)),
        "sentence": reports.verdict_sentence(document),
        "notes": SimpleLazyObject(lambda: reports.notes(document)),
        "kept": kept,
        "charts": SimpleLazyObject(lambda: reports.charts(document, name)),
        "months": SimpleLazyObject(lambda: reports.months(document)),
        "more": SimpleLazyObject(lambda: more(document)),
        "exposure": SimpleLazyObject(lambda: exposure(document, name)),
        "metrics": SimpleLazyObject(lambda: _halves(reports.metric_rows(document))),
        "baselines": SimpleLazyObject(lambda: reports.baseline_rows(document, name)),
        "stress": SimpleLazyObject(lambda: reports.stress_rows(document)),
        "refused": SimpleLazyObject(lambda: reports.refused_rows(document)),
        "market": SimpleLazyObject(lambda: market_rows(document)),
        "benchmark": reports.benchmark_name(document),
        "benchmark_notes": benchmark_notes(document),
        "open": Paginator(positions, PAGE if page is not None else max(len(positions), 1)).get_page(open_page),
        "trades": Paginator(trades[::-1], per_page).get_page(page),
        "groups": config_rows(session.version.strategy.type, session.config),
        "honest": report_honesty.context(document),
        "tables": [(name, report_tables.title_of(name)) for name in report_tables.tables_of(document)],
        **capsule_context(session),
        "can_study": _can_study(session),
    }


@require_safe
@login_required
def report(request: HttpRequest, pk: int) -> HttpResponse:
    """Verdict first, then curves, tables, trades and the configuration."""
    session, document, kept = _load_kept(request, pk)
    pages = request.GET.get("page", ""), request.GET.get("open")
    return render(request, "sessions/report.html", _context(session, document, kept, *pages))


@require_safe
@login_required
def report_file(request: HttpRequest, pk: int) -> HttpResponse:
    """The report as one HTML file that needs nothing else: styles inside, every trade listed."""
    session, document, kept = _load_kept(request, pk)
    context = _context(session, document, kept, None, None)
    context |= {
        "style": style_tag(),
        "standalone": True,
        "up": "red" if get_language() == "zh-hans" else "green",
    }
    answer = render(request, "sessions/report/file.html", context)
    answer["Content-Disposition"] = f'attachment; filename="session-{pk}-report.html"'
    return answer


@require_safe
@login_required
def report_table(request: HttpRequest, pk: int, name: str, form: str) -> HttpResponse:
    """One table of the report as CSV or JSON."""
    _session, document = _load(request, pk)
    rows = report_tables.table(document, name)
    if form == "json":
        return JsonResponse({"name": name, "rows": rows})
    header = list(dict.fromkeys(key for row in rows for key in row))
    return csv_file(f"session-{pk}-{name}.csv", header, ([row.get(key) for key in header] for row in rows))


@require_safe
@login_required
def report_compare(request: HttpRequest) -> HttpResponse:
    """Up to eight backtests side by side."""
    user: Any = request.user
    runs = report_tables.compared(user, request.GET.get("ids", ""))
    others = session_list(user, kind="backtest", status="completed")
    context = {
        "runs": runs,
        "rows": report_tables.comparison(runs),
        "chart": report_tables.comparison_chart(runs),
        "given": ",".join(str(run.session.pk) for run in runs),
        "others": Paginator(others, PAGE).get_page(request.GET.get("page")),
    }
    return render(request, "sessions/report_compare.html", context)


@require_safe
@login_required
def trades_csv(request: HttpRequest, pk: int) -> HttpResponse:
    _session, document = _load(request, pk)
    rows = ([trade[column] for column in TRADE_COLUMNS] for trade in document["trades"])
    return csv_file(f"session-{pk}-trades.csv", TRADE_COLUMNS, rows)


@require_safe
@login_required
def equity_csv(request: HttpRequest, pk: int) -> HttpResponse:
    _session, document = _load(request, pk)
    series = document["series"]
    columns = ("times", "equity", "benchmark", "cash")
    rows = zip(*(series[column] for column in columns), strict=True)
    return csv_file(f"session-{pk}-equity.csv", ("time", *columns[1:]), rows)


@require_safe
@login_required
def report_json(request: HttpRequest, pk: int) -> HttpResponse:
    _session, document = _load(request, pk)
    answer = JsonResponse(document)
    answer["Content-Disposition"] = f'attachment; filename="session-{pk}-report.json"'
    return answer
