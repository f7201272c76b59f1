"""API of administrators: workers and live connections."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema, Status

from apps.accounts.identity import signed_in
from apps.accounts.permissions import require_permission
from apps.monitoring.selectors.workers import WorkerRow, worker_list, worker_rows
from apps.sessions.live.registry import connection_close, connection_list, connection_rows, live_figures
from apps.sessions.services.workers import worker_drain

router = Router(tags=["monitoring"])
Page = Annotated[int, Query(ge=1)]
PageSize = Annotated[int, Query(ge=1, le=200)]


class SlotOut(Schema):
    """A session in a slot: its memory in bytes, the age of its lease and what is left of it in seconds."""

    slot: int
    session_id: int
    title: str
    owner: str
    status: str
    rss_bytes: int | None
    lease_renewed_s: float | None
    lease_left_s: float | None


class WorkerOut(Schema):
    """``state``: answers, silent, draining (still runs something) or drained."""

    id: int
    name: str
    host: str
    pid: int
    slots: int
    state: str
    draining: bool
    started_at: datetime
    last_beat: datetime
    sessions: list[SlotOut]


class WorkersOut(Schema):
    items: list[WorkerOut]
    total: int
    page: int
    pages: int


class ConnectionOut(Schema):
    id: str
    user: str
    user_id: int
    address: str
    agent: str
    protocol: str
    sessions: list[int]
    opened: datetime
    activity: datetime
    sent: int
    waiting: int
    overflows: int


class LiveOut(Schema):
    """Of all web processes; ``per_second`` counts messages over the last minute."""

    connections: int
    people: int
    sessions: int
    per_second: float
    messages: int
    opened: int
    overflows: int


class ConnectionsOut(Schema):
    statistics: LiveOut
    items: list[ConnectionOut]
    total: int
    page: int
    pages: int


def worker_document(row: WorkerRow) -> dict[str, Any]:
    """Return a worker and its sessions as the API and the command line show them."""
    names = ("id", "name", "host", "pid", "slots", "draining", "started_at", "last_beat")
    slots = [
        {
            "slot": slot.slot, "session_id": slot.session.pk, "title": slot.session.title,
            "owner": slot.session.owner.username, "status": slot.session.status, "rss_bytes": slot.rss_bytes,
            "lease_renewed_s": slot.renewed, "lease_left_s": slot.left,
        }
        for slot in row.sessions
    ]  # fmt: skip
    return {**{name: getattr(row.worker, name) for name in names}, "state": row.state, "sessions": slots}


@router.get("/workers", response=WorkersOut, summary="Workers and what runs in their slots")
def workers(request: HttpRequest, page: Page = 1, page_size: PageSize = 50) -> dict[str, Any]:
    found = Paginator(worker_list(signed_in(request)), page_size)
    shown = found.get_page(page)
    items = [worker_document(row) for row in worker_rows(list(shown.object_list))]
    return {"items": items, "total": found.count, "page": shown.number, "pages": found.num_pages}


@router.post("/workers/{worker_id}/drain", response=WorkerOut, summary="Finish what runs, take nothing new")
def drain(request: HttpRequest, worker_id: int) -> dict[str, Any]:
    return _drained(request, worker_id, draining=True)


@router.post("/workers/{worker_id}/undrain", response=WorkerOut, summary="Take sessions again")
def undrain(request: HttpRequest, worker_id: int) -> dict[str, Any]:
    return _drained(request, worker_id, draining=False)


def _drained(request: HttpRequest, worker_id: int, *, draining: bool) -> dict[str, Any]:
    user = signed_in(request)
    worker = get_object_or_404(worker_list(user), pk=worker_id if 0 <= worker_id < 2**63 else 0)
    return worker_document(worker_rows([worker_drain(worker=worker, actor=user, draining=draining)])[0])


@router.get("/connections", response=ConnectionsOut, summary="Live connections")
def connections(request: HttpRequest, sort: str = "", page: Page = 1, page_size: PageSize = 50) -> dict[str, Any]:
    require_permission(signed_in(request), "user.admin")
    found = Paginator(connection_list(sort), page_size)
    shown = found.get_page(page)
    return {
        "statistics": vars(live_figures()), "items": [vars(row) for row in connection_rows(shown.object_list)],
        "total": found.count, "page": shown.number, "pages": found.num_pages,
    }  # fmt: skip


@router.delete("/connections/{connection_id}", response={204: None}, summary="Close a live connection")
def close(request: HttpRequest, connection_id: str) -> Any:
    if not connection_close(actor=signed_in(request), connection_id=connection_id):
        raise Http404
    return Status(204, None)
