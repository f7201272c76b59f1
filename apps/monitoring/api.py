"""Probes: ``/api/health`` says that the web answers, ``/api/ready`` that everything behind it does."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema, Status

from apps.monitoring import health

router = Router(tags=["monitoring"])


class Health(Schema):
    status: Literal["healthy", "degraded"]
    timestamp: datetime
    version: str


class PartOut(Schema):
    name: str
    ok: bool
    detail: str


class Ready(Schema):
    status: Literal["ready", "not_ready"]
    timestamp: datetime
    checks: list[PartOut]


@router.get("/health", response=Health, auth=None, summary="Does the web process answer")
def get_health(request: HttpRequest) -> Health:
    """Always 200 while the web process answers; ``degraded`` when a part of ``/api/ready`` is not well."""
    well = all(part.ok for part in health.parts())
    return Health(status="healthy" if well else "degraded", timestamp=timezone.now(), version=settings.VERSION)


@router.get("/ready", response={200: Ready, 503: Ready}, auth=None, summary="Can work be done")
def get_ready(request: HttpRequest) -> Status[Ready]:
    """Database, cluster heartbeat, disk and everybody's feeds, each by name; 503 when one of them is not well."""
    parts = health.parts()
    well = all(part.ok for part in parts)
    checks = [PartOut(name=part.name, ok=part.ok, detail=part.detail) for part in parts]
    document = Ready(status="ready" if well else "not_ready", timestamp=timezone.now(), checks=checks)
    return Status(200 if well else 503, document)
