"""The JSON documents of sessions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from apps.sessions.archive import Event
from apps.sessions.engine.admission import Need
from apps.sessions.engine.curves import Curves, Series, rows
from apps.sessions.engine.states import ON_A_WORKER, State, allowed
from apps.sessions.forecast import seconds_left
from apps.sessions.models import Session, SessionEvent
from apps.sessions.notices import reason_text
from apps.sessions.waiting import Queue, queue_of


def status_document(session: Session, queue: Queue | None = None) -> dict[str, Any]:
    """Return the state of a session, why, and what may be done with it."""
    return {
        "id": session.pk,
        "session_id": session.pk,
        "status": session.status,
        "progress": session.progress,
        "progress_info": session.progress_info,
        "step": session.step,
        "epoch": session.epoch,
        "attempt": session.attempt,
        "last_seq": session.last_seq,
        "reason_code": session.reason_code,
        "message": _message(session, queue),
        "waiting": queue.document(session) if queue is not None and session.status == State.QUEUED else None,
        "left_s": _left(session),
        "commands": [str(command) for command in allowed(State(session.status))],
    }


def _message(session: Session, queue: Queue | None) -> str:
    if queue is not None and session.status == State.QUEUED:
        return queue.sentence(session)
    return reason_text(session.reason_code, session.reason)


def _left(session: Session) -> float | None:
    """Return how many seconds a running session still takes at its pace so far."""
    return seconds_left(session.progress, session.seconds_used, Need()) if session.status in ON_A_WORKER else None


def session_document(session: Session, queue: Queue | None = None) -> dict[str, Any]:
    """Return a session without its configuration, as lists show it."""
    return status_document(session, queue) | {
        "kind": session.kind,
        "title": session.title,
        "owner": session.owner.username,
        "strategy_id": session.version.strategy_id,
        "version": session.version.number,
        "dataset": str(session.dataset),
        "created": session.created,
        "queued_at": session.queued_at,
        "started_at": session.started_at,
        "finished_at": session.finished_at,
        "seconds_used": session.seconds_used,
        "time_limit": session.time_limit,
        "memory_limit_mb": session.memory_limit_mb,
        "priority": session.priority,
        "result_return": session.result_return,
        "result_sharpe": session.result_sharpe,
        "out_of_sample": session.out_of_sample,
        "parent": session.parent_id,
        "origin": session.origin,
        "tags": [tag.name for tag in session.tags.all()],
        "verifies": session.verifies_id,
        "verdict": session.verdict,
    }


def full_document(session: Session) -> dict[str, Any]:
    """Return everything about a session but its log."""
    checkpoints = session.checkpoints.values(
        "id", "step", "epoch", "attempt", "score", "is_best", "is_latest", "size_bytes", "created"
    )
    attempts = session.attempts.order_by("number").values(
        "number", "worker", "started_at", "ended_at", "outcome", "reason"
    )
    return session_document(session, queue_of([session])) | {
        "notes": session.notes,
        "config": session.config,
        "params": session.params,
        "summary": session.summary,
        "environment": session.environment,
        "verification": session.verification,
        "capsule_sha256": session.capsule_hash,
        "dataset_hash": session.dataset.content_hash,
        "checkpoints": list(checkpoints[:100]),
        "attempts": list(attempts),
    }


def event_document(event: Event | SessionEvent) -> dict[str, Any]:
    return {"seq": event.seq, "attempt": event.attempt, "created": event.created, "payload": event.payload}


def metrics_document(
    session: Session, curves: Curves, names: Iterable[str], after: float | None, limit: int, resolution: int
) -> dict[str, Any]:
    """Return ``limit`` points a series behind step ``after``, or the newest without it.

    With ``resolution`` each series is down-sampled to that many points first (LTTB). ``total``
    counts the points of the chosen metrics before either.
    """
    metrics: dict[str, list[dict[str, Any]]] = {}
    total = 0
    for name in names:
        members = curves.of(name)
        total += sum(len(series) for series in members.values())
        metrics[name] = [
            point for seed, series in members.items() for point in _points(series, seed, after, limit, resolution)
        ]
    return {"session_id": session.pk, "metrics": metrics, "total": total, "last_seq": curves.seq}


def _points(series: Series, seed: int | None, after: float | None, limit: int, resolution: int) -> list[dict[str, Any]]:
    chosen = series.thinned(resolution) if resolution else series
    start = after if after is not None else (chosen.step[-limit - 1] if len(chosen) > limit else None)
    return [
        {"value": value, "epoch": epoch if epoch >= 0 else None, "step": int(step), "timestamp": _iso(time)}
        | ({"seed": seed} if seed is not None else {})
        for step, value, epoch, time in rows(chosen, start, limit)
    ]


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat()
