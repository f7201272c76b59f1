"""Pages of the catalogue: list, dataset, import; and the data their charts ask for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.identity import signed_in
from apps.marketdata import pages, tape_pages
from apps.marketdata.engine.window import Window
from apps.marketdata.exports import TYPES, chosen_mode, export_bytes, export_table
from apps.marketdata.historical import chart_window
from apps.marketdata.models import Content, Dataset, Frequency, Verdict
from apps.marketdata.presenters import moment_text
from apps.marketdata.selectors import (
    SORTS,
    check_latest,
    dataset_editable,
    dataset_events,
    dataset_for_user,
    dataset_list,
    dataset_versions,
    datasets_listed,
    finding_list,
    tags_in_use,
    with_gaps,
)
from apps.marketdata.services import (
    dataset_adjust,
    dataset_bars,
    dataset_check,
    dataset_diff,
    dataset_fix,
    dataset_label,
)
from apps.marketdata.services.labels import split_tags
from apps.marketdata.source_selectors import sources_into
from apps.marketdata.tape_exports import tape_bytes
from apps.marketdata.times import as_datetime, as_datetime64
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_
from apps.ui.npm_finder import available
from apps.ui.refusals import refusal_text
from apps.ui.tables import MOST_ROWS, csv_file

PAGE_SIZE = 25
#: Findings whose words lie beside each other over a chart.
WORDS_IN_A_ROW = 6
DOWNLOAD_ROWS = 500_000
DERIVE_ROWS = 5_000_000
TOO_MANY_EVENTS = N_("%(dataset)s has %(rows)s events. Make the bars with the command manage.py derive_bars.")
TOO_MANY_ROWS = N_("%(dataset)s has %(rows)s rows. Choose a symbol, or use the file bars.parquet of the dataset.")


@require_safe
@login_required
def datasets(request: HttpRequest) -> HttpResponse:
    """The catalogue: searched, filtered and sorted by the URL; ``?format=csv`` gives the same rows as a file."""
    query = request.GET
    filters: dict[str, Any] = {
        name: query.get(name, "").strip()[:64] for name in ("search", "verdict", "frequency", "tag", "sort")
    }
    if filters["sort"].lstrip("-") not in SORTS:
        filters["sort"] = "name"
    if query.get("format") == "csv":
        return _csv(with_gaps(dataset_list(signed_in(request), **filters)))
    page = Paginator(datasets_listed(signed_in(request), **filters), PAGE_SIZE).get_page(query.get("page"))
    context = {
        "page": page, "filters": filters, "verdicts": Verdict.choices, "frequencies": Frequency.choices,
        "tags": tags_in_use(signed_in(request)),
        "filtered": any(filters[name] for name in ("search", "verdict", "frequency", "tag")),
    }  # fmt: skip
    return render(request, "marketdata/list.html", context)


def _csv(rows: QuerySet[Any]) -> HttpResponse:
    header = (
        "id", "name", "version", "title", "content", "verdict", "rows", "symbols", "start", "end", "frequency",
        "adjustment", "currency", "source", "licence", "content_hash", "owner", "tags", "gaps",
    )  # fmt: skip
    lines = (
        (row.pk, row.name, row.version, row.title, row.content, row.verdict, row.rows, row.symbol_count, row.start,
         row.end, row.frequency, row.adjustment, row.currency, row.source, row.licence, row.content_hash, row.owner,
         row.tags, row.gaps if row.checked_at else None)
        for row in rows[:MOST_ROWS]
    )  # fmt: skip
    return csv_file("datasets.csv", header, lines)


@require_safe
@login_required
def dataset(request: HttpRequest, pk: int) -> HttpResponse:
    """One dataset: verdict, candles (or book and trades), findings with the row at fault, symbols, lineage, history."""
    found = dataset_for_user(signed_in(request), pk)
    if found.content != Content.BARS:
        shown = {**tape_pages.detail(found, request.GET), "editable": _editable(request, pk)}
        return render(request, "marketdata/tape.html", shown)
    context = pages.detail(found, request.GET)
    context["editable"] = _editable(request, pk)
    context["sources"] = list(sources_into(signed_in(request), found)[:10])
    return render(request, "marketdata/detail.html", {**context, "candles": available()})


def _editable(request: HttpRequest, pk: int) -> bool:
    return dataset_editable(signed_in(request), pk)


@require_POST
@login_required
def check(request: HttpRequest, pk: int) -> HttpResponse:
    """Check the data again and go back to it."""
    found = dataset_for_user(signed_in(request), pk)
    try:
        result = dataset_check(found, actor=signed_in(request))
    except Refusal as refusal:
        messages.error(request, refusal_text(refusal))
    else:
        text = _("Checked: %(errors)s block runs, %(warnings)s to look at.")
        messages.success(request, text % {"errors": result.errors, "warnings": result.warnings})
    return redirect("marketdata:detail", pk=pk)


@require_safe
@login_required
def bars(request: HttpRequest, pk: int) -> HttpResponse:
    """Bars of one symbol for a chart, at most 2,000: ``?symbol=&start=&end=``."""
    found = dataset_for_user(signed_in(request), pk)
    query = request.GET
    try:
        shown = chart_window(
            found,
            query.get("symbol", ""),
            query.get("start", ""),
            query.get("end", ""),
            chosen_mode(query.get("prices", "")),
        )
    except Refusal as refusal:
        return JsonResponse({"code": refusal.code, "detail": refusal_text(refusal)}, status=refusal.status)
    return JsonResponse(bars_document(found, query.get("symbol", ""), shown, chosen_mode(query.get("prices", ""))))


def bars_document(dataset: Dataset, symbol: str, shown: Window, mode: str) -> dict[str, Any]:
    """Return bars as Lightweight Charts wants them: time as a day, or as seconds since 1970 (UTC)."""
    daily = dataset.frequency in (Frequency.DAY, Frequency.WEEK)
    times = shown.time.astype("datetime64[D]").astype(str) if daily else shown.time.astype("datetime64[s]").astype(int)
    columns = (times, shown.open, shown.high, shown.low, shown.close, shown.volume)
    names = ("time", "open", "high", "low", "close", "volume")
    rows = [dict(zip(names, values, strict=True)) for values in zip(*(c.tolist() for c in columns), strict=True)]
    for row in rows:
        if np.isnan(row["volume"]):
            row["volume"] = None
    return {
        "symbol": symbol, "dataset": str(dataset), "frequency": dataset.frequency, "currency": dataset.currency,
        "joined": shown.joined, "bars": rows, "events": _events(dataset, symbol, shown, times.tolist()),
        "actions": _actions(dataset, symbol, shown, times.tolist()),
        "subtitle": pages.subtitle(dataset, symbol, shown.joined, mode),
    }  # fmt: skip


def _events(dataset: Dataset, symbol: str, shown: Window, times: list[Any]) -> list[dict[str, Any]]:
    """Return the newest check's findings on the bars shown; one close behind another has no words."""
    found: Any = finding_list(check_latest(dataset), symbol=symbol).exclude(time=None)[:200] if times else []
    at: dict[int, str] = {}
    for finding in found:
        moment = as_datetime64(finding.time)
        bar = int((shown.time <= moment).sum()) - 1
        if bar >= 0 and moment <= shown.time[-1]:
            at.setdefault(bar, finding.get_severity_display())
    events, free = [], 0
    for bar, text in sorted(at.items()):
        events.append({"time": times[bar], "text": text if bar >= free else ""})
        free = bar + max(1, len(times) // WORDS_IN_A_ROW) if bar >= free else free
    return events


def _actions(dataset: Dataset, symbol: str, shown: Window, times: list[Any]) -> list[dict[str, Any]]:
    """Return the splits, payouts and adjustments in the window, on the bar of their day; words where there is room."""
    actions = dataset_events(dataset, symbol)
    words = {mark.x: mark.text for mark in pages.action_marks(actions, shown)}
    daily = dataset.frequency in (Frequency.DAY, Frequency.WEEK)
    found = []
    for action in pages.actions_within(actions, shown):
        day = action.day.astype("datetime64[ns]")
        # A bar of a day or of several begins with its time, a shorter one ends with it.
        at = int(np.searchsorted(shown.time, day, "right")) - 1 if daily else int(np.searchsorted(shown.time, day))
        found.append({"time": times[at], "text": words.get(as_datetime(day), "")})
    return found


@require_safe
@login_required
def download(request: HttpRequest, pk: int) -> HttpResponse:
    """The bars as ``?format=`` csv, parquet or arrow, of one ``symbol`` or all, as traded or adjusted (``prices``).

    Of trades and books the events from ``start`` to ``end``.
    """
    found = dataset_for_user(signed_in(request), pk)
    query = request.GET
    symbol, kind = query.get("symbol", ""), query.get("format", "csv")
    if found.content != Content.BARS:
        start, end = query.get("start", ""), query.get("end", "")
        data = tape_bytes(found, kind, symbol=symbol, start=start, end=end)
        return _file(found, symbol, kind, data)
    if not symbol and found.rows > DOWNLOAD_ROWS:
        raise Refusal("too_many_rows", TOO_MANY_ROWS, status=413, dataset=str(found), rows=f"{found.rows:,}")
    table = export_table(found, symbol=symbol, mode=chosen_mode(query.get("prices", "")))
    return _file(found, symbol, kind, export_bytes(table, kind))


def _file(found: Dataset, symbol: str, kind: str, data: bytes) -> HttpResponse:
    response = HttpResponse(data, content_type=TYPES[kind])
    name = "".join(char if char.isalnum() or char in "-_" else "_" for char in symbol)
    filename = f"{found.name}-{found.version}{'-' + name if name else ''}.{kind}"
    response["Content-Disposition"] = f'attachment; filename="{filename}"'
    return response


@require_POST
@login_required
def fix(request: HttpRequest, pk: int) -> HttpResponse:
    """Mend one finding (``finding``, ``fix``) or all that block, as a new version; go there."""
    found = dataset_for_user(signed_in(request), pk)
    wanted = request.POST.get("finding", "")
    choices = {int(wanted): request.POST.get("fix", "")} if wanted.isdecimal() and len(wanted) < 18 else None
    return _made(request, found, lambda: dataset_fix(found, actor=signed_in(request), choices=choices))


@require_POST
@login_required
def adjust(request: HttpRequest, pk: int) -> HttpResponse:
    """Make a dataset of adjusted prices (``mode``) and go there."""
    found = dataset_for_user(signed_in(request), pk)
    mode = chosen_mode(request.POST.get("mode", "forward"))
    return _made(request, found, lambda: dataset_adjust(found, mode=mode, actor=signed_in(request)))


@require_POST
@login_required
def labels(request: HttpRequest, pk: int) -> HttpResponse:
    """Replace the tags and the licence note, and go back."""
    found = dataset_for_user(signed_in(request), pk, write=True)
    given = request.POST
    try:
        dataset_label(
            found, actor=signed_in(request), tags=split_tags(given.get("tags", "")), licence=given.get("licence", "")
        )
    except Refusal as refusal:
        messages.error(request, refusal_text(refusal))
    else:
        messages.success(request, _("Tags and licence are saved."))
    return redirect("marketdata:detail", pk=pk)


def _made(request: HttpRequest, before: Dataset, make: Callable[[], Dataset]) -> HttpResponse:
    try:
        made = make()
    except Refusal as refusal:
        messages.error(request, refusal_text(refusal))
        return redirect("marketdata:detail", pk=before.pk)
    messages.success(request, _("%(dataset)s was made from %(before)s.") % {"dataset": made, "before": before})
    return redirect("marketdata:detail", pk=made.pk)


@require_POST
@login_required
def derive(request: HttpRequest, pk: int) -> HttpResponse:
    """Make bars of trades or a book (``rule``, ``size``) and go there."""
    found = dataset_for_user(signed_in(request), pk)
    if found.rows > DERIVE_ROWS:
        words = {"dataset": str(found), "rows": f"{found.rows:,}"}
        raise Refusal("too_many_rows", TOO_MANY_EVENTS, status=413, **words)
    rule, size = request.POST.get("rule", ""), request.POST.get("size", "") or request.POST.get("step", "")
    return _made(request, found, lambda: dataset_bars(found, rule=rule, size=size, actor=signed_in(request)))


@require_safe
@login_required
def difference(request: HttpRequest, pk: int) -> HttpResponse:
    """What differs between this dataset and ``?with=``, by default the version it was made from."""
    found = dataset_for_user(signed_in(request), pk)
    wanted = request.GET.get("with", "")
    other = int(wanted) if wanted.isdecimal() and len(wanted) < 18 else found.parent_id
    before = dataset_for_user(signed_in(request), other) if other else None
    versions = dataset_versions(signed_in(request), found)
    context = {"dataset": found, "before": before, "versions": versions}
    if before is None:
        return render(request, "marketdata/diff.html", context)
    result = dataset_diff(before, found)
    page = Paginator(result.changes, PAGE_SIZE).get_page(request.GET.get("page"))
    rows = [(moment_text(change.time), change) for change in page.object_list]
    return render(request, "marketdata/diff.html", {**context, "diff": result, "page": page, "rows": rows})
