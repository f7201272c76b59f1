"""API: tags and notes, trying again with changes, deleting.

On the router of the sessions themselves: one address answers GET and DELETE.
"""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Schema
from pydantic import Field

from apps.sessions.api import caller, owned, router
from apps.sessions.api_documents import full_document
from apps.sessions.selectors import session_owned
from apps.sessions.services.deleting import attached, check_deletable, session_delete
from apps.sessions.services.labels import session_label
from apps.sessions.services.sessions import RUN_FIELDS, session_again
from apps.ui.engine.refusal import Refusal


class LabelsIn(Schema):
    """What is left out stays as it is; an empty list or text removes."""

    tags: Annotated[list[Annotated[str, Field(max_length=100)]] | None, Field(max_length=100)] = None
    notes: Annotated[str | None, Field(max_length=20_000)] = None


class AgainIn(Schema):
    """Fields of the configuration (``overrides``) and of a backtest's run (``params``: ``start``, ``end``,
    ``capital``, ``benchmark``, ``benchmark_dataset``, ``market_rules``, ``goal_pct``) that the new session changes;
    ``time_limit`` in seconds, ``memory_limit_mb``."""

    overrides: dict[str, Any] = {}
    params: dict[str, Any] = {}
    time_limit: Annotated[int | None, Field(ge=1, le=30 * 86_400)] = None
    memory_limit_mb: Annotated[int | None, Field(ge=0, le=2**24)] = None


@router.put("/{int:session_id}/labels", summary="Tags and notes")
def labels(request: HttpRequest, session_id: int, body: LabelsIn) -> dict[str, Any]:
    row = owned(request, session_id, write=True)
    session_label(session=row, actor=caller(request), tags=body.tags, notes=body.notes)
    return {"session_id": row.pk, "tags": [tag.name for tag in row.tags.all()], "notes": row.notes}


@router.post(
    "/{int:session_id}/again", summary="A new session that tries this one again", response={201: dict[str, Any]}
)
def again(request: HttpRequest, session_id: int, body: AgainIn | None = None) -> tuple[int, dict[str, Any]]:
    given = body or AgainIn()
    made = session_again(
        session=owned(request, session_id), actor=caller(request), overrides=given.overrides,
        params={name: given.params[name] for name in RUN_FIELDS if name in given.params},
        time_limit=given.time_limit, memory_limit_mb=given.memory_limit_mb,
    )  # fmt: skip
    return 201, full_document(made)


@router.get("/{int:session_id}/attached", summary="What deleting it would take along, and what would stay")
def what_hangs_on_it(request: HttpRequest, session_id: int) -> dict[str, Any]:
    row = session_owned(caller(request), session_id)
    try:
        check_deletable(row)
    except Refusal as refusal:
        return {"session_id": row.pk, "deletable": False, "reason_code": refusal.code, **attached(row).document()}
    return {"session_id": row.pk, "deletable": True, "reason_code": "", **attached(row).document()}


@router.delete("/{int:session_id}", summary="Delete it with everything that hangs on it")
def delete(request: HttpRequest, session_id: int) -> dict[str, Any]:
    """For its owner or an administrator; refused (409) while it, or a verification of it, waits or runs."""
    row = session_owned(caller(request), session_id)
    found = session_delete(session=row, actor=caller(request))
    return {"session_id": session_id, **found.document()}
