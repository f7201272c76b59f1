"""API of feeds: how they do; set up, start, stop, remove."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from django.core.paginator import Paginator
from django.http import HttpRequest
from ninja import Query, Router, Schema, Status

from apps.accounts.identity import signed_in
from apps.marketdata.feeds import feed_document
from apps.marketdata.quotes import feed_for_user, feed_visible
from apps.marketdata.selectors import dataset_by_name
from apps.marketdata.services.feeds import feed_delete, feed_start, feed_stop, replay_create, source_create

router = Router(tags=["quotes"])
Page = Annotated[int, Query(ge=1)]
PageSize = Annotated[int, Query(ge=1, le=200)]


class ReplayBody(Schema):
    """A replay of ``dataset``: ``speed`` times faster than it happened, of all ``symbols`` unless some are named."""

    dataset: str
    speed: float = 60.0
    symbols: list[str] = []
    loop: bool = False
    name: str = ""
    everybody: bool = False
    start: bool = True


class SourceBody(Schema):
    """A live source for everybody; ``options`` as ``source_create`` says."""

    name: str
    kind: Literal["websocket", "qmt"]
    symbols: list[str] = []
    calendar: str = ""
    options: dict[str, Any] = {}
    start: bool = False


@router.get("", summary="Feeds and how they do")
def feeds(request: HttpRequest, page: Page = 1, page_size: PageSize = 50) -> dict[str, Any]:
    rows = feed_visible(signed_in(request)).select_related("owner", "dataset").order_by("name")
    found = Paginator(rows, page_size)
    shown = found.get_page(page)
    return {"feeds": [feed_document(feed) for feed in shown.object_list], "total": found.count, "page": shown.number,
            "pages": found.num_pages}  # fmt: skip


@router.post("/replays", response={201: dict[str, Any]}, summary="Replay a dataset as if it happened now")
def replay(request: HttpRequest, body: ReplayBody) -> Any:
    user = signed_in(request)
    feed = replay_create(
        actor=user, dataset=dataset_by_name(user, body.dataset), speed=body.speed, symbols=body.symbols,
        loop=body.loop, name=body.name, everybody=body.everybody,
    )  # fmt: skip
    return Status(201, feed_document(feed_start(feed=feed, actor=user) if body.start else feed))


@router.post("/sources", response={201: dict[str, Any]}, summary="Set up a live source (administrators)")
def source(request: HttpRequest, body: SourceBody) -> Any:
    user = signed_in(request)
    feed = source_create(
        actor=user, name=body.name, kind=body.kind, symbols=body.symbols, calendar=body.calendar, options=body.options
    )
    return Status(201, feed_document(feed_start(feed=feed, actor=user) if body.start else feed))


@router.get("/{int:feed_id}", summary="One feed")
def one(request: HttpRequest, feed_id: int) -> dict[str, Any]:
    return feed_document(feed_for_user(signed_in(request), feed_id))


@router.post("/{int:feed_id}/start", summary="Start a feed")
def start(request: HttpRequest, feed_id: int) -> dict[str, Any]:
    user = signed_in(request)
    return feed_document(feed_start(feed=feed_for_user(user, feed_id, write=True), actor=user))


@router.post("/{int:feed_id}/stop", summary="Stop a feed; a replay keeps its place")
def stop(request: HttpRequest, feed_id: int) -> dict[str, Any]:
    user = signed_in(request)
    return feed_document(feed_stop(feed=feed_for_user(user, feed_id, write=True), actor=user))


@router.delete("/{int:feed_id}", response={204: None}, summary="Remove a feed that is not running")
def delete(request: HttpRequest, feed_id: int) -> Any:
    user = signed_in(request)
    feed_delete(feed=feed_for_user(user, feed_id, write=True), actor=user)
    return Status(204, None)
