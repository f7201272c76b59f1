"""The quality report as a page, as one HTML file and as CSV."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from apps.marketdata.quality_report import quality_report, report_csv
from apps.marketdata.words import check_word
from apps.ui.standalone import style_tag

PERIODS = (7, 30, 90, 365)
PAGE_SIZE = 50


@require_safe
@login_required
def quality(request: HttpRequest) -> HttpResponse:
    """The report of the last ``?days=``; ``?format=`` csv or html gives a file."""
    user: Any = request.user
    text = request.GET.get("days", "")
    days = int(text) if text.isdecimal() and len(text) < 4 else 30
    report = quality_report(user, days=days)
    kind = request.GET.get("format", "")
    if kind == "csv":
        return _file(report_csv(report), "text/csv", "csv")
    context = {"report": report, "days": days, "periods": PERIODS, "counts": dict(report.counts)}
    context["kinds"] = [{**kind, "words": check_word(str(kind["check_name"]))} for kind in report.kinds]
    if kind == "html":
        context |= {"lines": report.lines, "style": style_tag()}
        return _file(render_to_string("marketdata/quality_file.html", context, request), "text/html", "html")
    page = Paginator(report.lines, PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "marketdata/quality.html", {**context, "page": page, "lines": page.object_list})


def _file(text: str, kind: str, ending: str) -> HttpResponse:
    response = HttpResponse(text, content_type=f"{kind}; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="data-quality.{ending}"'
    return response
