"""API of this room: sessions, their curves, log and commands."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from django.core.paginator import Paginator
from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from apps.accounts.models import User
from apps.sessions import comparing
from apps.sessions.api_documents import (
    event_document,
    full_document,
    metrics_document,
    session_document,
    status_document,
)
from apps.sessions.archive import events_behind
from apps.sessions.engine.states import Command
from apps.sessions.live.curves import curves_of
from apps.sessions.logs import LogLines, log_path
from apps.sessions.models import Session
from apps.sessions.notices import flag_message
from apps.sessions.selectors import session_for_user, sessions_listed
from apps.sessions.services.commands import give
from apps.sessions.services.sessions import session_clone
from apps.sessions.waiting import queue_of
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

router = Router(tags=["sessions"])
MOST_POINTS = 10_000
Document = dict[str, Any]
Limit = Annotated[int, Query(ge=1, le=MOST_POINTS)]
Cursor = Annotated[int, Query(ge=0, le=2**62)]


class ListQuery(Schema):
    """Filters of the list; ``sort`` as in the page's address, ``-`` for descending."""

    status: str = ""
    kind: str = ""
    strategy: Annotated[int | None, Field(ge=0, le=2**62)] = None
    search: Annotated[str, Field(max_length=100)] = ""
    tag: Annotated[str, Field(max_length=32)] = ""
    sort: str = "-id"
    page: Annotated[int, Field(ge=1)] = 1
    page_size: Annotated[int, Field(ge=1, le=200)] = 25


class ResumeIn(Schema):
    """``time_limit`` in seconds and ``memory_limit_mb`` (0: the installation's) replace the session's limits."""

    time_limit: Annotated[int | None, Field(ge=1, le=30 * 86_400)] = None
    memory_limit_mb: Annotated[int | None, Field(ge=0, le=2**24)] = None


class CloneIn(Schema):
    """Fields of the configuration that the new session changes."""

    overrides: dict[str, Any] = {}


def caller(request: HttpRequest) -> User:
    """Return who calls; the API lets nobody else in."""
    user = request.user
    if not isinstance(user, User):
        raise TypeError("the API was reached without a user")
    return user


def owned(request: HttpRequest, session_id: int, *, write: bool = False) -> Session:
    if session_id >= 2**63:
        session_id = 0  # No database holds such a number: answer 404 as for any other unknown one.
    return session_for_user(caller(request), session_id, write=write)


@router.get("/", summary="Sessions, newest first")
def sessions(request: HttpRequest, query: Query[ListQuery]) -> Document:
    filters = query.dict(exclude={"page", "page_size"})
    page = Paginator(sessions_listed(caller(request), **filters), query.page_size).get_page(query.page)
    queue = queue_of(page.object_list)
    return {
        "items": [session_document(session, queue) for session in page.object_list],
        "total": page.paginator.count,
        "page": page.number,
        "pages": page.paginator.num_pages,
    }


@router.get("/compare", summary="Curves, differing configuration and figures of several sessions")
def compare(
    request: HttpRequest,
    ids: Annotated[str, Query(max_length=200, description="Numbers, separated by commas")],
    align: Literal["step", "time"] = "step",
    smoothing: Literal["none", "light", "strong"] = "none",
) -> Document:
    choice = comparing.choice_of(ids.split(","), align, smoothing)
    return comparing.document(comparing.chosen_sessions(caller(request), choice.ids), choice)


@router.get("/{int:session_id}", summary="One session with configuration, checkpoints and attempts")
def session(request: HttpRequest, session_id: int) -> Document:
    return full_document(owned(request, session_id))


@router.get("/{int:session_id}/status", summary="State and progress")
def status(request: HttpRequest, session_id: int) -> Document:
    row = owned(request, session_id)
    return status_document(row, queue_of([row]))


@router.get("/{int:session_id}/metrics", summary="Curves")
def metrics(
    request: HttpRequest,
    session_id: int,
    name: str = "",
    after: float | None = None,
    limit: Limit = 100,
    resolution: Annotated[int, Query(ge=0, le=MOST_POINTS)] = 0,
) -> Document:
    """Values of ``name`` (comma separated; empty means all) behind the step ``after``, or the newest.

    ``resolution`` down-samples each series to that many points (at least 3), keeping its shape.
    """
    row = owned(request, session_id)
    curves = curves_of(row.pk, row.last_seq)
    wanted = [one for one in name.split(",") if one]
    known = curves.names()
    unknown = [one for one in wanted if one not in known]
    if unknown and known:
        raise Refusal(
            "unknown_metric", N_("This session does not report %(name)s. It reports %(known)s."),
            status=404, field="name", name=", ".join(unknown), known=", ".join(known),
        )  # fmt: skip
    thin = max(3, resolution) if resolution else 0
    return metrics_document(row, curves, [one for one in wanted or known if one in known], after, limit, thin)


@router.get("/{int:session_id}/resources", summary="What the run used, its peaks and its flags")
def resources(request: HttpRequest, session_id: int) -> Document:
    """Samples of the run's processes, the newest in full and older ones thinned; peaks are of all."""
    row = owned(request, session_id)
    curves = curves_of(row.pk, row.last_seq)
    flags = [{**flag, "message": flag_message(flag)} for flag in curves.flags]
    return {
        "session_id": row.pk, "samples": curves.usage.samples, "peaks": curves.usage.peaks, "flags": flags,
        "last_seq": curves.seq,
    }  # fmt: skip


@router.get("/{int:session_id}/events", summary="The live log behind a sequence number")
def events(request: HttpRequest, session_id: int, after: Cursor = 0, limit: Limit = 100) -> Document:
    row = owned(request, session_id)
    found = events_behind(row, after, limit)
    return {"session_id": row.pk, "events": [event_document(event) for event in found], "last_seq": row.last_seq}


@router.get("/{int:session_id}/log", summary="Lines of the log file")
def log(request: HttpRequest, session_id: int, after: Cursor = 0, limit: Limit = 200) -> Document:
    row = owned(request, session_id)
    lines = LogLines(log_path(row.pk))
    return {"session_id": row.pk, "lines": lines[after : after + limit], "total": len(lines)}


@router.post("/{int:session_id}/clone", summary="A new session like this one", response={201: Document})
def clone(request: HttpRequest, session_id: int, body: CloneIn | None = None) -> tuple[int, Document]:
    overrides = body.overrides if body else {}
    made = session_clone(session=owned(request, session_id), actor=caller(request), overrides=overrides)
    return 201, full_document(made)


# One route a command: a placeholder would swallow the GET routes of other routers under the same prefix.


@router.post("/{int:session_id}/pause", summary="Save a checkpoint and free the slot")
def pause(request: HttpRequest, session_id: int) -> Document:
    return _give(request, session_id, Command.PAUSE)


@router.post("/{int:session_id}/resume", summary="Go on from the last checkpoint")
def resume(request: HttpRequest, session_id: int, body: ResumeIn | None = None) -> Document:
    return _give(request, session_id, Command.RESUME, body)


@router.post("/{int:session_id}/retry", summary="Try again what failed, was cancelled or interrupted")
def retry(request: HttpRequest, session_id: int, body: ResumeIn | None = None) -> Document:
    return _give(request, session_id, Command.RETRY, body)


@router.post("/{int:session_id}/cancel", summary="Stop for good")
def cancel(request: HttpRequest, session_id: int) -> Document:
    return _give(request, session_id, Command.CANCEL)


@router.post("/{int:session_id}/stop", summary="The same as cancel")
def stop(request: HttpRequest, session_id: int) -> Document:
    return _give(request, session_id, Command.CANCEL)


def _give(request: HttpRequest, session_id: int, command: Command, limits: ResumeIn | None = None) -> Document:
    row = owned(request, session_id, write=True)
    changed = limits.dict() if limits else {}
    return status_document(give(session=row, command=command, actor=caller(request), **changed))
