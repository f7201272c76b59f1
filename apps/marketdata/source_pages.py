"""What the pages, the API and the commands say of sources and their syncs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext

from apps.marketdata.engine.sources.registry import Kind, kinds
from apps.marketdata.models import Source, SyncRun
from apps.ui.config_forms import schema


def reason_text(reason: Mapping[str, Any]) -> str:
    """Return the sentence of a kept refusal in the active language; empty where there is none."""
    message = str(reason.get("message", ""))
    try:
        return gettext(message) % reason.get("params", {}) if message else ""
    except (KeyError, TypeError, ValueError):
        return gettext(message)


def kind_label(key: str) -> str:
    """Return the name of a kind; its key where the kind is gone."""
    found = next((kind for kind in kinds() if kind.key == key), None)
    return gettext(found.label) if found else key


def kind_document(kind: Kind) -> dict[str, Any]:
    """Return a kind with the schema of its configuration, and what is missing or wrong."""
    source = kind.source
    return {
        "kind": kind.key, "label": gettext(kind.label), "summary": gettext(source.summary) if source else "",
        "package": kind.package or None, "usable": bool(source) and not kind.missing, "missing": kind.missing or None,
        "problem": kind.problem or None, "secret": gettext(source.secret) if source and source.secret else None,
        "schema": schema(source.config) if source else None,
    }  # fmt: skip


def source_document(source: Source) -> dict[str, Any]:
    """Return a source as the API and the commands show it; secrets are named, never shown."""
    return {
        "id": source.pk, "name": source.name, "kind": source.kind, "dataset": source.dataset_name,
        "config": source.config, "owner": source.owner.username, "paused": source.paused_at is not None,
        "next_at": _iso(source.next_at), "schedule_problem": reason_text(source.schedule_problem) or None,
        "failures": source.failures, "last_state": getattr(source, "last_state", None),
        "last_at": _iso(getattr(source, "last_at", None)), "created": _iso(source.created),
    }  # fmt: skip


def run_document(run: SyncRun) -> dict[str, Any]:
    """Return a sync with its provenance: which source, when, what came, what became of it."""
    return {
        "id": run.pk, "source": run.source_id, "state": run.state, "trigger": run.trigger,
        "requested_by": run.requested_by.username if run.requested_by else None, "whole": run.whole,
        "asked": _iso(run.created), "started": _iso(run.started_at), "ended": _iso(run.ended_at),
        "progress": run.progress, "doing": run.doing, "newest_before": _iso(run.since), "newest_after": _iso(run.until),
        "received": run.pieces, "received_count": run.piece_count, "received_hash": run.received_hash or None,
        "added": run.added, "changed": run.changed, "same": run.same,
        "dataset": str(run.dataset) if run.dataset else None, "dataset_id": run.dataset_id,
        "hash": run.content_hash or None, "code": run.reason.get("code"), "detail": reason_text(run.reason) or None,
        "retry_at": _iso(run.retry_at),
    }  # fmt: skip


def _iso(moment: Any) -> str | None:
    return moment.isoformat() if moment else None
