"""A backtest: data, decisions, kernel, report."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from django.conf import settings

from apps.sessions.capsules import capsule_record
from apps.sessions.jobs.common import benchmark_for, config_of, is_own_config, panel_of, traded_of, write_json
from apps.sessions.models import Session
from apps.sessions.runner.process import imported
from apps.sessions.runner.sink import DbSink
from apps.sessions.selectors import best_checkpoint, session_folder
from apps.sessions.verifying import ledger_of
from apps.strategies.engine.backtesting import backtest
from apps.strategies.engine.ports import Policy, Stopped
from apps.strategies.models import Trial, TrialKind
from apps.strategies.services import stage_reached, stage_refused
from apps.strategies.trials import history_before, trial_begin, trial_counts, trial_end, trials_of
from apps.trading.engine.robustness import GOAL
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_


def run(session: Session, sink: DbSink) -> dict[str, Any]:
    """Backtest, write the report and return the session's result columns."""
    imported()
    params = session.params

    def on_progress(done: float, total: float, unit: str = "bar") -> None:
        sink.progress(done, total, unit)
        if sink.stop_requested():
            raise Stopped

    # Repeating a run tries nothing new, so it is no trial.
    trial = _trial(session) if session.verifies_id is None else None
    history = history_before(session.version.strategy, trial) if trial is not None else ledger_of(session)
    capsule_record(session, ledger=asdict(history))
    report = backtest(
        session.version.strategy.type,
        config_of(session),
        panel_of(session),
        start=_day(params.get("start")),
        end=_day(params.get("end")),
        capital=float(params["capital"]),
        benchmark=benchmark_for(session),
        policy=_policy(params.get("checkpoint_session")),
        traded=traded_of(session),
        history=history,
        check_leaks=True,
        study=params.get("study", ""),
        study_options=_study_options(params),
        goal=float(params["goal_pct"]) / 100.0 if "goal_pct" in params else GOAL,
        on_progress=on_progress,
    )
    if trial is not None:
        _count(session, trial, report)
    write_json(session_folder(session.pk) / "report.json", report)
    clean = bool(report["leaks"]["clean"])
    if trial is not None:
        _promote(session, sink, clean)
    metrics = report["metrics"]
    return {
        "progress": 1.0,
        "summary": {
            name: report[name] for name in ("headline", "verdict", "metrics", "benchmark_metrics") if name in report
        },
        "result_return": metrics.get("total_return"),
        "result_sharpe": metrics.get("sharpe"),
        # Who knew the future has seen every bar: such a result counts nowhere.
        "out_of_sample": bool(report.get("out_of_sample")) and clean,
    }


def _promote(session: Session, sink: DbSink, clean: bool) -> None:
    """Let the strategy advance by a run of its own configuration without leaks; a leak of its newest version takes
    it back."""
    own = is_own_config(session)
    if clean and own:
        stage_reached(session.version.strategy_id, "backtested")
    elif clean:
        sink.log("The run changed the strategy's configuration for itself, so the strategy does not advance.")
    else:
        sink.log("The leak check found knowledge of the future: the strategy does not advance.", "warning")
        if own and stage_refused(session.version, "backtested"):
            sink.log("It was known as backtested before and is not any more.", "warning")


def _trial(session: Session) -> Trial:
    """Count the run, and what its study is to look at, before it computes anything: a cancelled one counts as well."""
    trial = trial_begin(
        version=session.version,
        kind=session.params.get("study") or TrialKind.BACKTEST,
        config=session.config,
        dataset=session.dataset.content_hash,
        params=session.params,
        session=session.pk,
    )
    if session.params.get("study"):
        from apps.strategies.engine.studies import size

        trial_counts(trial, size(config_of(session)))
    return trial


def _study_options(params: dict[str, Any]) -> dict[str, Any]:
    if params.get("study") != "walk_forward":
        return {}
    return {"anchored": params.get("mode") == "anchored", "open_holdout": bool(params.get("open_holdout"))}


def _count(session: Session, trial: Trial, report: dict[str, Any]) -> None:
    """Write down what the run gave, and an opened hold-out."""
    ratio, bars = report["luck"]["sharpe"], report["period"]["bars"]
    trial_end(trial, None if ratio is None else ratio / report["period"]["bars_per_year"] ** 0.5, bars)
    study = report.get(session.params.get("study", "")) or {}
    holdout = study.get("holdout")
    if holdout:
        if holdout["opened"]:
            trial_begin(
                version=session.version, kind=TrialKind.HOLDOUT, config=session.config,
                dataset=session.dataset.content_hash, params={"start": f"{session.pk}"}, session=session.pk,
            )  # fmt: skip
        holdout["openings"] = trials_of(session.version.strategy).filter(kind=TrialKind.HOLDOUT).count()


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _policy(training_id: int | None) -> Policy | None:
    """Return the policy that validation chose in a training session."""
    if not training_id:
        return None
    training = Session.objects.filter(pk=training_id).first()
    row = best_checkpoint(training) if training is not None else None
    if training is None or row is None:
        raise Refusal("no_checkpoint", N_("The checkpoint of session %(session)s is gone."), session=training_id)
    seen_until = date.fromisoformat(str(training.config["test_start"]))
    return Policy(Path(settings.VAR_DIR) / row.path, training.summary.get("policy", {}), seen_until)
