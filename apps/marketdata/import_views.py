"""The import wizard: choose a file, look at its first rows and columns, have it imported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from apps.accounts.identity import signed_in
from apps.marketdata.engine.import_states import ImportOrder, allowed
from apps.marketdata.engine.readers.columns import meanings
from apps.marketdata.engine.readers.preview import MEANINGS, Preview, check_head, preview
from apps.marketdata.forms import ImportForm, import_folder
from apps.marketdata.models import ImportJob, ImportOrigin
from apps.marketdata.selectors import import_visible
from apps.marketdata.services.import_jobs import import_order, import_start
from apps.marketdata.services.labels import split_tags
from apps.marketdata.staging import remember_mapping, remembered_mapping, stage, staged, unstage
from apps.marketdata.words import event_words, field_words
from apps.ui.engine.refusal import Refusal
from apps.ui.refusals import refusal_text

#: Columns of events whose cells are codes.
CODED = ("kind", "side")


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def import_page(request: HttpRequest) -> HttpResponse:
    """Queue the import of a file, on request after a look at it; a refusal stands at its field.

    ``?job=`` fills the form with what was asked of an import that failed, and keeps its upload.
    """
    user: Any = request.user
    token = request.POST.get("staged", "")
    before = _before(request)
    form = ImportForm(
        request.POST or None, request.FILES or None, kept=staged(user, token) or _upload_of(before),
        initial=_initial(before),
    )  # fmt: skip
    context: dict[str, Any] = {"form": form, "folder": import_folder(), "before": before}
    if request.method != "POST":
        return render(request, "marketdata/import.html", context)
    if not form.is_valid():
        return render(request, "marketdata/import.html", context, status=422)
    path, token = _kept_path(form, user, token)
    context |= {"staged": token, "source_name": path.name}
    try:
        look = preview(path, form.options)
        mapping = _mapping(request.POST, look) or (
            remembered_mapping(user, look.fingerprint) if look and _asks(look) else {}
        )
        if "preview" in request.POST:
            return render(request, "marketdata/import.html", {**context, **_look(look, mapping)})
        if _asks(look):
            check_head(path, replace(form.options, mapping=mapping))
        job = _start(form, path, user, mapping)
    except Refusal as refusal:
        _show_at_field(form, refusal)
        return render(request, "marketdata/import.html", context, status=refusal.status)
    if look and _asks(look) and "col_0" in request.POST:
        remember_mapping(user, look.fingerprint, mapping)
    unstage(user, token)
    if before and ImportOrder.DISCARD in allowed(before.state):
        import_order(job=before, order=ImportOrder.DISCARD, actor=user)
    return redirect("marketdata:import_job", pk=job.pk)


def _before(request: HttpRequest) -> ImportJob | None:
    """Return the import that is to be tried again with changes."""
    wanted = request.POST.get("job", "") or request.GET.get("job", "")
    if not wanted.isdecimal() or len(wanted) > 17:
        return None
    return import_visible(signed_in(request)).filter(pk=int(wanted)).first()


def _upload_of(job: ImportJob | None) -> Path | None:
    return Path(job.path) if job and job.uploaded and Path(job.path).exists() else None


def _initial(job: ImportJob | None) -> dict[str, Any]:
    if job is None:
        return {}
    labels = {**job.labels, "tags": ", ".join(job.labels.get("tags", []))}
    columns, unit = job.options.get("columns", []), job.options.get("volume_unit") or None
    options = {**job.options, "columns": ", ".join(columns), "volume_unit": unit}
    return {**options, **labels, "name": job.name, "on_server": _on_server(job)}


def _on_server(job: ImportJob) -> str:
    """Return how the form names what an import has read; empty for an upload, and for what lies elsewhere."""
    path = Path(job.path)
    inside = not job.uploaded and path.is_relative_to(import_folder())
    return path.relative_to(import_folder()).as_posix() if inside else ""


def _kept_path(form: ImportForm, user: Any, token: str) -> tuple[Path, str]:
    """Return the file to read; an upload is kept, so that it need not be sent again."""
    source = form.source
    if isinstance(source, UploadedFile):
        token = stage(user, source)
        kept = staged(user, token)
        return kept or Path(str(source.name)), token
    return source, token if form.kept and source == form.kept else ""


def _mapping(post: QueryDict, look: Preview | None) -> dict[str, str]:
    """Return the meanings chosen in the preview that differ from what the names say by themselves."""
    if look is None or look.fixed or "col_0" not in post:
        return {}
    plain = {look.header[at]: name for name, at in meanings(look.header).items()}
    chosen = {name: post.get(f"col_{at}", "") for at, name in enumerate(look.header)}
    return {
        name: meaning
        for name, meaning in chosen.items()
        if meaning != plain.get(name, "") and meaning in ("", *MEANINGS)
    }


def _asks(look: Preview | None) -> bool:
    """Tell whether a person may say what the columns mean: not where the format names them."""
    return look is not None and not look.fixed


def _look(look: Preview | None, mapping: dict[str, str]) -> dict[str, Any]:
    if look is None:
        return {"looked": True}
    words, rows = field_words(), look.rows
    if look.fixed:
        names = {**words, "time": words["datetime"]}
        events = event_words()
        rows = tuple(
            tuple(
                events.get(cell, cell) if name in CODED else cell for name, cell in zip(look.header, row, strict=True)
            )
            for row in rows
        )
    columns = [
        {
            "name": names.get(name, name) if look.fixed else name, "field": f"col_{at}",
            "meaning": mapping.get(name, look.meanings.get(name, "")),
        }
        for at, name in enumerate(look.header)
    ]  # fmt: skip
    return {
        "looked": True, "columns": columns, "rows": rows, "remembered": bool(mapping), "fixed": look.fixed,
        "meanings": [(name, words.get(name, name)) for name in MEANINGS], "first_file": look.file,
    }  # fmt: skip


def _start(form: ImportForm, path: Path, user: Any, mapping: dict[str, str]) -> ImportJob:
    data = form.cleaned_data
    return import_start(
        path=path, name=data["name"], options=replace(form.options, mapping=mapping), owner=user,
        origin=ImportOrigin.PAGE, title=data["title"], adjustment=data["adjustment"], calendar=data["calendar"],
        licence=data["licence"], tags=split_tags(data["tags"]), uploaded=not path.is_relative_to(import_folder()),
    )  # fmt: skip


def _show_at_field(form: ImportForm, refusal: Refusal) -> None:
    field = refusal.field or ""
    if field == "file":
        field = "on_server" if form.cleaned_data.get("on_server") else "upload"
    form.add_error(field if field in form.fields else None, refusal_text(refusal))
