"""The feature explorer: a form, and what the feature is worth."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apps.marketdata.feature_pages import EXAMPLES, shown
from apps.marketdata.features import HORIZONS, analysis, analysis_known, analysis_question
from apps.marketdata.models import Content
from apps.marketdata.selectors import dataset_by_name, dataset_list
from apps.ui.engine.refusal import Refusal
from apps.ui.refusals import refusal_text

FIELDS = ("dataset", "expression", "start", "end", "horizons", "groups")


def _user(request: HttpRequest) -> Any:
    return request.user


def _asked(request: HttpRequest) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the fields of the form and the question, if one is asked; raises ``Refusal``."""
    fields = {name: request.GET.get(name, "")[:4000].strip() for name in FIELDS}
    if not fields["expression"] or not fields["dataset"]:
        return fields, {}
    dataset = dataset_by_name(_user(request), fields["dataset"])
    wanted = {name: fields[name] for name in ("start", "end", "horizons", "groups")}
    return fields, analysis_question(dataset, fields["expression"], **wanted)


@require_safe
@login_required
def explorer(request: HttpRequest) -> HttpResponse:
    """The page: an answer that is known is shown at once, another is fetched (with ``wait=1``: awaited)."""
    context: dict[str, Any] = {
        "datasets": list(dataset_list(_user(request), content=Content.BARS)[:200]), "examples": EXAMPLES,
        "horizons": ",".join(str(h) for h in HORIZONS),
    }  # fmt: skip
    try:
        fields, question = _asked(request)
        context["fields"] = fields
        if question:
            known = analysis(question) if request.GET.get("wait") else analysis_known(question)
            context |= shown(known) if known else {"pending": True}
    except Refusal as refusal:
        context |= {"fields": request.GET, "refusal": refusal_text(refusal), "refused_field": refusal.field}
    named = context["fields"].get("dataset", "")
    # A version, or one beyond those offered, stays what was asked about.
    context["other"] = named if named not in {dataset.name for dataset in context["datasets"]} else ""
    return render(request, "marketdata/features.html", context)


@require_safe
@login_required
def result(request: HttpRequest) -> HttpResponse:
    """The result alone, for htmx: computed now where it is not known."""
    try:
        _, question = _asked(request)
        context = shown(analysis(question)) if question else {}
    except Refusal as refusal:
        context = {"refusal": refusal_text(refusal)}
    return render(request, "marketdata/partials/feature_result.html", context)
