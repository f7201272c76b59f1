"""API of sources: kinds, sources, syncs with their provenance."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Query, Router, Schema

from apps.marketdata.adapters.source_probe import source_symbols, source_test
from apps.marketdata.engine.sources.registry import kinds
from apps.marketdata.services.sources import source_create, source_delete, source_pause, source_update
from apps.marketdata.services.syncing import sync_request, sync_stop
from apps.marketdata.source_pages import kind_document, run_document, source_document
from apps.marketdata.source_selectors import run_active, run_list, source_for_user, source_list

router = Router(tags=["sources"])
MOST = 500


def _user(request: HttpRequest) -> Any:
    return request.user


@router.get("/data/sources/kinds", summary="Kinds of source, each with the schema of its configuration")
def source_kinds(request: HttpRequest) -> dict[str, Any]:
    """Built-in ones and those of installed packages; ``missing`` names a package to install first."""
    return {"kinds": [kind_document(kind) for kind in kinds()]}


@router.get("/data/sources", summary="Sources you may see")
def sources(
    request: HttpRequest,
    search: str = "",
    kind: str = "",
    offset: int = Query(0, ge=0, lt=2**31),
    limit: int = Query(100, ge=1, le=MOST),
) -> dict[str, Any]:
    rows = source_list(_user(request), search=search[:64], kind=kind[:40])
    return {"sources": [source_document(one) for one in rows[offset : offset + limit]], "total": rows.count()}


class SourceBody(Schema):
    """A new source: its name, its kind, and what the kind's schema asks."""

    name: str
    kind: str
    config: dict[str, Any] = {}


@router.post("/data/sources", summary="Write a source down")
def create(request: HttpRequest, body: SourceBody) -> dict[str, Any]:
    made = source_create(owner=_user(request), name=body.name, kind=body.kind, values=body.config)
    return source_document(made)


@router.get("/data/sources/{int:source_id}", summary="One source, with the sync that waits or runs")
def source(request: HttpRequest, source_id: int) -> dict[str, Any]:
    found = source_for_user(_user(request), source_id)
    active = run_active(found)
    return {**source_document(found), "active": run_document(active) if active else None}


class ConfigBody(Schema):
    """The whole new configuration of a source."""

    config: dict[str, Any]


@router.put("/data/sources/{int:source_id}", summary="Replace the configuration of a source of yours")
def update(request: HttpRequest, source_id: int, body: ConfigBody) -> dict[str, Any]:
    found = source_for_user(_user(request), source_id, edit=True)
    return source_document(source_update(found, actor=_user(request), values=body.config))


@router.delete("/data/sources/{int:source_id}", summary="Forget a source and its history; the datasets stay")
def delete(request: HttpRequest, source_id: int) -> dict[str, Any]:
    found = source_for_user(_user(request), source_id, edit=True)
    source_delete(found, actor=_user(request))
    return {"deleted": source_id}


class SyncBody(Schema):
    """``whole``: everything again, not only what came since the newest bar."""

    whole: bool = False


@router.post("/data/sources/{int:source_id}/sync", summary="Ask the source now")
def sync(request: HttpRequest, source_id: int, body: SyncBody | None = None) -> dict[str, Any]:
    found = source_for_user(_user(request), source_id, run=True)
    return run_document(sync_request(found, actor=_user(request), whole=bool(body and body.whole)))


@router.post("/data/sources/{int:source_id}/stop", summary="Stop the sync that waits or runs")
def stop(request: HttpRequest, source_id: int) -> dict[str, Any]:
    found = source_for_user(_user(request), source_id, run=True)
    run = run_active(found)
    return {"stopping": bool(run and sync_stop(run, actor=_user(request)))}


@router.post("/data/sources/{int:source_id}/pause", summary="Take the source off its schedule")
def pause(request: HttpRequest, source_id: int) -> dict[str, Any]:
    found = source_for_user(_user(request), source_id, run=True)
    return source_document(source_pause(found, actor=_user(request), paused=True))


@router.post("/data/sources/{int:source_id}/resume", summary="Put the source back on its schedule")
def resume(request: HttpRequest, source_id: int) -> dict[str, Any]:
    found = source_for_user(_user(request), source_id, run=True)
    return source_document(source_pause(found, actor=_user(request), paused=False))


@router.post("/data/sources/{int:source_id}/test", summary="Reach the source and say what is there")
def test(request: HttpRequest, source_id: int) -> dict[str, Any]:
    return {"said": source_test(source_for_user(_user(request), source_id, run=True))}


@router.get("/data/sources/{int:source_id}/symbols", summary="Symbols that can be asked for")
def symbols(request: HttpRequest, source_id: int) -> dict[str, Any]:
    found = source_symbols(source_for_user(_user(request), source_id, run=True))
    return {"symbols": found, "total": len(found)}


@router.get("/data/sources/{int:source_id}/runs", summary="Syncs of a source with what each brought")
def runs(
    request: HttpRequest,
    source_id: int,
    offset: int = Query(0, ge=0, lt=2**31),
    limit: int = Query(50, ge=1, le=MOST),
) -> dict[str, Any]:
    rows = run_list(source_for_user(_user(request), source_id))
    return {"runs": [run_document(run) for run in rows[offset : offset + limit]], "total": rows.count()}
