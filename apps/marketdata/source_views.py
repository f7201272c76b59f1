"""Pages of sources: the list, one with its history, the form, and what can be done with it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.accounts.identity import signed_in
from apps.accounts.models import User
from apps.marketdata.adapters.source_probe import source_symbols, source_test
from apps.marketdata.engine.sources.registry import kinds
from apps.marketdata.forms import import_folder
from apps.marketdata.models import Source
from apps.marketdata.services.sources import source_create, source_delete, source_pause, source_update
from apps.marketdata.services.syncing import sync_request, sync_stop
from apps.marketdata.source_forms import SourceForm, source_rows
from apps.marketdata.source_pages import kind_document, kind_label, reason_text
from apps.marketdata.source_selectors import (
    held_dataset,
    may_edit,
    may_run,
    run_active,
    run_list,
    source_for_user,
    source_list,
)
from apps.ui.config_forms import posted_values
from apps.ui.engine.config import InvalidConfig
from apps.ui.engine.refusal import Refusal
from apps.ui.refusals import refusal_text

PAGE_SIZE = 25
SYMBOLS_PAGE = 200


@require_safe
@login_required
def sources(request: HttpRequest) -> HttpResponse:
    """The sources one may see, by name; filtered by the URL."""
    filters = {name: request.GET.get(name, "").strip()[:64] for name in ("search", "kind")}
    page = Paginator(source_list(signed_in(request), **filters), PAGE_SIZE).get_page(request.GET.get("page"))
    labels = {kind.key: kind_label(kind.key) for kind in kinds()}
    rows = [(source, labels.get(source.kind, source.kind)) for source in page.object_list]
    context = {
        "page": page, "rows": rows, "filters": filters, "kinds": list(labels.items()),
        "filtered": any(filters.values()),
    }  # fmt: skip
    return render(request, "marketdata/sources.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def source_new(request: HttpRequest) -> HttpResponse:
    """Choose a kind (``?kind=``), then fill in its form."""
    user, kind = signed_in(request), request.POST.get("kind") or request.GET.get("kind", "")
    if not kind:
        documents = [kind_document(kind) for kind in kinds()]
        return render(request, "marketdata/source_kinds.html", {"kinds": documents})
    name = request.POST.get("name", "").replace("\x00", "")[:64]
    form = SourceForm(kind, owner=user)
    context: dict[str, Any] = {"form": form, "name": name, "label": kind_label(kind), "folder": import_folder()}
    if request.method != "POST":
        return render(request, "marketdata/source_form.html", context)
    values = posted_values(form.config, request.POST)
    form.values = values
    try:
        made = source_create(owner=user, name=name, kind=kind, values=values)
    except InvalidConfig as invalid:
        form.add_errors(invalid)
        return render(request, "marketdata/source_form.html", context, status=422)
    except Refusal as refusal:
        if refusal.field != "name":
            raise
        context["name_error"] = refusal_text(refusal)
        return render(request, "marketdata/source_form.html", context, status=refusal.status)
    messages.success(request, _("The source %(source)s is written down.") % {"source": made.name})
    return redirect("marketdata:source", pk=made.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def source_edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Change the configuration; for its owner and, where no secret is in it, administrators."""
    user = signed_in(request)
    source = source_for_user(user, pk, edit=True)
    form = SourceForm(source.kind, source.config, owner=source.owner, base=source.config)
    context: dict[str, Any] = {
        "form": form, "source": source, "label": kind_label(source.kind), "folder": import_folder(),
    }  # fmt: skip
    if request.method != "POST":
        return render(request, "marketdata/source_form.html", context)
    form.values = posted_values(form.config, request.POST)
    try:
        source_update(source, actor=user, values=form.values)
    except InvalidConfig as invalid:
        form.add_errors(invalid)
        return render(request, "marketdata/source_form.html", context, status=422)
    except Refusal as refusal:
        context["refusal"] = refusal_text(refusal)
        return render(request, "marketdata/source_form.html", context, status=refusal.status)
    messages.success(request, _("Saved. The next sync follows the new configuration."))
    return redirect("marketdata:source", pk=pk)


@require_safe
@login_required
def source(request: HttpRequest, pk: int) -> HttpResponse:
    """One source: what it does, when it is asked next, what became of each sync."""
    user = signed_in(request)
    found = source_for_user(user, pk)
    context = _status(user, found)
    page = Paginator(run_list(found), PAGE_SIZE).get_page(request.GET.get("page"))
    try:
        context["groups"] = source_rows(found)
    except Refusal as refusal:
        context["broken"] = refusal_text(refusal)
    context |= {
        "page": page, "runs": [(run, reason_text(run.reason)) for run in page.object_list],
        "label": kind_label(found.kind), "dataset": held_dataset(found), "can_edit": may_edit(user, found),
    }  # fmt: skip
    return render(request, "marketdata/source.html", context)


def _status(user: User, source: Source) -> dict[str, Any]:
    return {
        "source": source, "active": run_active(source), "can_run": may_run(user, source),
        "problem": reason_text(source.schedule_problem),
    }  # fmt: skip


@require_safe
@login_required
def source_status(request: HttpRequest, pk: int) -> HttpResponse:
    """How far the running sync is, for htmx; the page is loaded again once it has ended."""
    user = signed_in(request)
    context = _status(user, source_for_user(user, pk))
    response = render(request, "marketdata/partials/sync_status.html", context)
    if context["active"] is None:
        response["HX-Refresh"] = "true"
    return response


@require_POST
@login_required
def source_sync(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask it now; with ``whole`` for everything again."""
    user = signed_in(request)
    found = source_for_user(user, pk, run=True)
    try:
        sync_request(found, actor=user, whole="whole" in request.POST)
    except Refusal as refusal:
        messages.error(request, refusal_text(refusal))
    return redirect("marketdata:source", pk=pk)


@require_POST
@login_required
def source_stop(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop the sync that waits or runs."""
    user = signed_in(request)
    found = source_for_user(user, pk, run=True)
    run = run_active(found)
    if run is not None and sync_stop(run, actor=user):
        messages.success(request, _("The sync ends at its next step; nothing of it is stored."))
    else:
        messages.info(request, _("No sync is running."))
    return redirect("marketdata:source", pk=pk)


@require_POST
@login_required
def source_schedule(request: HttpRequest, pk: int) -> HttpResponse:
    """Pause the schedule (``paused=1``) or go on with it."""
    user = signed_in(request)
    found = source_for_user(user, pk, run=True)
    source_pause(found, actor=user, paused=request.POST.get("paused") == "1")
    return redirect("marketdata:source", pk=pk)


@require_POST
@login_required
def source_check(request: HttpRequest, pk: int) -> HttpResponse:
    """Reach the source and say what is there; nothing is stored."""
    found = source_for_user(signed_in(request), pk, run=True)
    try:
        messages.success(request, source_test(found))
    except Refusal as refusal:
        messages.error(request, refusal_text(refusal))
    return redirect("marketdata:source", pk=pk)


@require_safe
@login_required
def source_names(request: HttpRequest, pk: int) -> HttpResponse:
    """The symbols that can be asked for."""
    found = source_for_user(signed_in(request), pk, run=True)
    context: dict[str, Any] = {"source": found}
    try:
        names = source_symbols(found)
    except Refusal as refusal:
        context["refusal"] = refusal_text(refusal)
    else:
        context["page"] = Paginator(names, SYMBOLS_PAGE).get_page(request.GET.get("page"))
    return render(request, "marketdata/source_symbols.html", context)


@require_POST
@login_required
def source_remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Forget the source and its history; the datasets stay."""
    user = signed_in(request)
    found = source_for_user(user, pk, edit=True)
    if request.POST.get("name") != found.name:
        messages.error(request, _("Nothing was deleted: write the name of the source to confirm."))
        return redirect("marketdata:source", pk=pk)
    try:
        source_delete(found, actor=user)
    except Refusal as refusal:
        messages.error(request, refusal_text(refusal))
        return redirect("marketdata:source", pk=pk)
    messages.success(request, _("The source %(source)s is deleted; its datasets stay.") % {"source": found.name})
    return redirect("marketdata:sources")
