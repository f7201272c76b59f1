"""API: the run capsule of a session, and running it again to compare."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Router

from apps.sessions.api import caller, owned
from apps.sessions.capsules import capsule_of
from apps.sessions.services.verifying import session_verify
from apps.sessions.verdicts import verification_document

router = Router(tags=["sessions"])


@router.get("/{int:session_id}/capsule", summary="All that the result depends on: code, data, libraries, device")
def capsule(request: HttpRequest, session_id: int) -> dict[str, Any]:
    row = owned(request, session_id)
    return {"session_id": row.pk, "sha256": row.capsule_hash, "capsule": capsule_of(row)}


@router.post("/{int:session_id}/verify", summary="Run it again and compare", response={201: dict[str, Any]})
def verify(request: HttpRequest, session_id: int) -> tuple[int, dict[str, Any]]:
    """Queue a session that repeats this one; ``verdict`` is there when it has completed."""
    run = session_verify(session=owned(request, session_id), actor=caller(request))
    return 201, verification_document(run)


@router.get("/{int:session_id}/verifications", summary="The verifications of a session, newest first")
def verifications(request: HttpRequest, session_id: int) -> dict[str, Any]:
    """At most 100; asked for a verification itself, it alone."""
    row = owned(request, session_id)
    runs = [row] if row.verifies_id is not None else row.verifications.order_by("-id")[:100]
    return {"session_id": row.pk, "items": [verification_document(run) for run in runs]}
