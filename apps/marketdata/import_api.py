"""API of imports: ask for one, watch it, cancel, resume or discard it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import File, Form, Query, Router, Schema
from ninja.files import UploadedFile
from pydantic import Field

from apps.accounts.identity import signed_in
from apps.marketdata.engine.contents import HEAD, check_contents
from apps.marketdata.engine.import_states import ImportOrder, ImportState
from apps.marketdata.engine.readers import ReadOptions
from apps.marketdata.forms import UNPACKED_BYTES, files_on_server, import_folder, upload_limit
from apps.marketdata.import_pages import import_document
from apps.marketdata.models import ImportOrigin
from apps.marketdata.selectors import import_for_user, import_visible
from apps.marketdata.services.import_jobs import import_order, import_start
from apps.marketdata.services.labels import split_tags
from apps.marketdata.staging import stage, staged
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

router = Router(tags=["imports"])
MOST = 200
NOT_THERE = N_("There is no %(file)s in the folder for imports. It holds %(known)s.")
TOO_LARGE = N_("More than %(most)s MB: lay it into the folder for imports on the server and name it there.")
Short = Annotated[str, Field(max_length=120)]


class Reading(Schema):
    """How to read the file and what to write beside it; all of it may be left out.

    ``columns`` names the cells of a file without a header, separated by commas; ``volume_unit`` 0 is recognised.
    """

    dataset: Annotated[str, Field(max_length=64)]
    title: Short = ""
    adjustment: Literal["raw", "adjusted"] = "raw"
    currency: Annotated[str, Field(max_length=8)] = ""
    calendar: Annotated[str, Field(max_length=16)] = ""
    time_zone: Annotated[str, Field(max_length=64)] = "UTC"
    stamp: Literal["end", "start"] = "end"
    first_day: Annotated[str, Field(max_length=10)] = ""
    date_order: Literal["", "mdy", "dmy"] = ""
    symbol: Annotated[str, Field(max_length=32)] = ""
    format: Annotated[str, Field(max_length=16)] = "auto"
    levels: Annotated[int, Field(ge=1, le=1000)] = ReadOptions.levels
    include: Annotated[str, Field(max_length=120)] = ""
    columns: Annotated[str, Field(max_length=500)] = ""
    volume_unit: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    symbols: Literal["normal", "as_is"] = "normal"
    licence: Annotated[str, Field(max_length=1000)] = ""
    tags: Annotated[str, Field(max_length=1000)] = ""


class FromServer(Reading):
    """``file`` is the name of a file or folder in the server's folder for imports; ``mapping`` column → meaning."""

    file: Annotated[str, Field(max_length=255)]
    mapping: dict[Short, Short] = {}


def _start(request: HttpRequest, given: Reading, path: Path, *, uploaded: bool) -> dict[str, Any]:
    options = ReadOptions(
        format=given.format or "auto", currency=given.currency.upper(), time_zone=given.time_zone, symbol=given.symbol,
        date_order=given.date_order, stamp=given.stamp, first_day=given.first_day, include=given.include,
        levels=given.levels, volume_unit=given.volume_unit, symbols=given.symbols,
        columns=tuple(name.strip() for name in given.columns.split(",") if name.strip()),
        mapping=getattr(given, "mapping", {}), limit_bytes=UNPACKED_BYTES if uploaded else ReadOptions.limit_bytes,
    )  # fmt: skip
    job = import_start(
        path=path, name=given.dataset, options=options, owner=signed_in(request), origin=ImportOrigin.API,
        title=given.title, adjustment=given.adjustment, calendar=given.calendar, licence=given.licence,
        tags=split_tags(given.tags), uploaded=uploaded,
    )  # fmt: skip
    return import_document(job)


@router.post("/data/imports", summary="Import a file or folder that lies on the server", response={202: dict[str, Any]})
def start(request: HttpRequest, body: FromServer) -> tuple[int, dict[str, Any]]:
    known = files_on_server()
    if body.file not in known:
        named = ", ".join(known[:12]) or "–"
        raise Refusal("no_such_file", NOT_THERE, status=404, field="file", file=body.file[:80], known=named)
    return 202, _start(request, body, import_folder() / body.file, uploaded=False)


@router.post("/data/imports/upload", summary="Import a file sent with the request", response={202: dict[str, Any]})
def upload(request: HttpRequest, given: Form[Reading], file: File[UploadedFile]) -> tuple[int, dict[str, Any]]:
    if (file.size or 0) > upload_limit():
        raise Refusal("file_too_large", TOO_LARGE, status=413, field="file", most=upload_limit() // 1024**2)
    check_contents(str(file.name), file.read(HEAD))
    file.seek(0)
    user = signed_in(request)
    path = staged(user, stage(user, file))
    return 202, _start(request, given, path or Path(str(file.name)), uploaded=True)


@router.get("/data/imports", summary="Your imports, newest first")
def imports(
    request: HttpRequest,
    state: ImportState | None = None,
    offset: int = Query(0, ge=0),
    limit: int = Query(50, ge=1, le=MOST),
) -> dict[str, Any]:
    rows = import_visible(signed_in(request))
    if state is not None:
        rows = rows.filter(state=state)
    return {"imports": [import_document(job) for job in rows[offset : offset + limit]], "total": rows.count()}


@router.get("/data/imports/{int:import_id}", summary="One import: how far it is, why it was refused, what it became")
def one(request: HttpRequest, import_id: int) -> dict[str, Any]:
    return import_document(import_for_user(signed_in(request), import_id))


@router.post("/data/imports/{int:import_id}/{order}", summary="Cancel, resume or discard it")
def order(request: HttpRequest, import_id: int, order: Literal["cancel", "resume", "discard"]) -> dict[str, Any]:
    """``cancel`` stops at the next file or block and keeps what was read, ``discard`` forgets it."""
    job = import_for_user(signed_in(request), import_id)
    return import_document(import_order(job=job, order=ImportOrder(order), actor=signed_in(request)))
