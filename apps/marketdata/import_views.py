"""The import wizard: choose a file, look at its first rows and columns, import."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from apps.marketdata.engine.readers.columns import meanings
from apps.marketdata.engine.readers.preview import MEANINGS, Preview, preview
from apps.marketdata.forms import ImportForm, import_folder
from apps.marketdata.models import Dataset
from apps.marketdata.services import dataset_import_path
from apps.marketdata.staging import remember_mapping, remembered_mapping, stage, staged, unstage
from apps.ui.engine.refusal import Refusal
from apps.ui.refusals import refusal_text


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def import_page(request: HttpRequest) -> HttpResponse:
    """Import a file, on request after a look at it; a refusal stands at its field and nothing was imported."""
    user: Any = request.user
    token = request.POST.get("staged", "")
    form = ImportForm(request.POST or None, request.FILES or None, kept=staged(user, token))
    context: dict[str, Any] = {"form": form, "folder": import_folder()}
    if request.method != "POST":
        return render(request, "marketdata/import.html", context)
    if not form.is_valid():
        return render(request, "marketdata/import.html", context, status=422)
    path, token = _kept_path(form, user, token)
    context |= {"staged": token, "source_name": path.name}
    try:
        look = preview(path, form.options)
        mapping = _mapping(request.POST, look) or (remembered_mapping(user, look.fingerprint) if look else {})
        if "preview" in request.POST:
            return render(request, "marketdata/import.html", {**context, **_look(look, mapping)})
        made = _import(form, path, user, mapping)
    except Refusal as refusal:
        _show_at_field(form, refusal)
        return render(request, "marketdata/import.html", context, status=refusal.status)
    if look and "col_0" in request.POST:
        remember_mapping(user, look.fingerprint, mapping)
    unstage(user, token)
    messages.success(request, _("%(dataset)s was imported and checked.") % {"dataset": made})
    return redirect("marketdata:detail", pk=made.pk)


def _kept_path(form: ImportForm, user: Any, token: str) -> tuple[Path, str]:
    """Return the file to read; an upload is kept, so that it need not be sent again."""
    source = form.source
    if isinstance(source, UploadedFile):
        token = stage(user, source)
        kept = staged(user, token)
        return kept or Path(str(source.name)), token
    return source, token


def _mapping(post: QueryDict, look: Preview | None) -> dict[str, str]:
    """Return the meanings chosen in the preview that differ from what the names say by themselves."""
    if look is None or "col_0" not in post:
        return {}
    plain = {look.header[at]: name for name, at in meanings(look.header).items()}
    chosen = {name: post.get(f"col_{at}", "") for at, name in enumerate(look.header)}
    return {
        name: meaning
        for name, meaning in chosen.items()
        if meaning != plain.get(name, "") and meaning in ("", *MEANINGS)
    }


def _look(look: Preview | None, mapping: dict[str, str]) -> dict[str, Any]:
    if look is None:
        return {"looked": True}
    columns = [
        {"name": name, "field": f"col_{at}", "meaning": mapping.get(name, look.meanings.get(name, ""))}
        for at, name in enumerate(look.header)
    ]
    return {"looked": True, "columns": columns, "rows": look.rows, "meanings": MEANINGS, "remembered": bool(mapping)}


def _import(form: ImportForm, path: Path, user: Any, mapping: dict[str, str]) -> Dataset:
    data = form.cleaned_data
    return dataset_import_path(
        path, name=data["name"], options=replace(form.options, mapping=mapping), owner=user,
        adjustment=data["adjustment"], calendar=data["calendar"], licence=data["licence"], tags=data["tags"].split(","),
    )  # fmt: skip


def _show_at_field(form: ImportForm, refusal: Refusal) -> None:
    field = refusal.field or ""
    if field == "file":
        field = "on_server" if form.cleaned_data.get("on_server") else "upload"
    form.add_error(field if field in form.fields else None, refusal_text(refusal))
