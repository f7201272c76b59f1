"""A training: data, trainer, result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from apps.sessions.capsules import capsule_record
from apps.sessions.jobs.common import config_of, panel_of, venue_of, write_json
from apps.sessions.models import Session
from apps.sessions.runner.process import imported
from apps.sessions.runner.sink import DbSink
from apps.sessions.selectors import session_folder
from apps.strategies.engine.ports import Resume, Sink, TrainResult
from apps.strategies.engine.registry import strategy_type
from apps.strategies.models import TrialKind
from apps.strategies.services import stage_reached
from apps.strategies.trials import trial_begin, trial_counts


def run(session: Session, sink: DbSink) -> dict[str, Any]:
    """Train, continuing from the newest checkpoint, and return the session's result columns."""
    train = trainer_of(session)
    imported()
    capsule_record(session)
    if session.verifies_id is None:
        _count(session)
    resume = sink.latest()
    if session.attempt > 1:
        sink.rewind(resume.step if resume else -1)
        sink.log(f"Attempt {session.attempt} continues from step {resume.step if resume else 0}.")
    result = train(sink, resume)
    document = asdict(result)
    write_json(session_folder(session.pk) / "result.json", document)
    if session.verifies_id is None:
        stage_reached(session.version.strategy_id, "trained")
    return {
        "progress": 1.0,
        "summary": document,
        "result_return": result.test.get("total_return"),
        "result_sharpe": result.test.get("sharpe"),
        "out_of_sample": bool(result.test),
    }


def trainer_of(session: Session) -> Callable[[Sink, Resume | None], TrainResult]:
    """Return the trainer of a session with its configuration, data and market: it takes a sink and where to resume."""
    train = strategy_type(session.version.strategy.type).load("train")
    config, panel, venue = config_of(session), panel_of(session), venue_of(session)
    return lambda sink, resume: train(config, panel, sink, resume, venue)


def _count(session: Session) -> None:
    trial = trial_begin(
        version=session.version, kind=TrialKind.TRAINING, config=session.config,
        dataset=session.dataset.content_hash, params=session.params, session=session.pk,
    )  # fmt: skip
    trial_counts(trial, int(session.config.get("seeds") or 1))
