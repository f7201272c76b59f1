"""What a repeated run does differently, and what comes of comparing it with the original.

Runs in the child process of the verification.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from apps.sessions.capsules import capsule_of, capsule_take
from apps.sessions.engine import verifying as engine
from apps.sessions.engine.capsule import differences
from apps.sessions.live.curves import curves_of
from apps.sessions.models import Kind, Session
from apps.sessions.reports import report_of
from apps.sessions.selectors import best_checkpoint
from apps.trading.engine.report.luck import History

#: Places of a report that tell of other runs, not of this one.
SKIPPED = ("walk_forward.holdout.openings",)
HASHES = ("weights", "best_checkpoint.sha256")


def prepare(run: Session) -> None:
    """Compute with as many threads as the original did; torch sums in another order with more."""
    threads = capsule_of(_original(run))["device"].get("threads")
    if threads:
        import torch

        torch.set_num_threads(int(threads))


def ledger_of(run: Session) -> History:
    """Return what had been tried of the idea when the original ran: trials since then are not its history."""
    ledger = capsule_of(_original(run)).get("ledger") or {}
    return History(int(ledger.get("count", 0)), tuple(ledger.get("ratios", ())))


def verification_columns(run: Session, result: Mapping[str, Any]) -> dict[str, Any]:
    """Compare ``run``, whose job gave ``result``, with its original; return the columns it ends with.

    Its figures stay out of every list of results: the original has them.
    """
    original = _original(run)
    before, now = capsule_of(original), capsule_take(run, read_data=True)
    exact = before["device"]["type"] == now["device"]["type"] == "cpu"
    comparison = _compare(original, run, result)
    shown = comparison.first if exact else comparison.beyond or comparison.first
    verdict = comparison.verdict(exact=exact)
    document = {
        "verdict": verdict,
        "first_difference": shown.document() if shown is not None else None,
        "tolerance": None if exact else {"relative": engine.GPU.relative, "absolute": engine.GPU.absolute},
        "compared": comparison.compared,
        "capsule": [one.document() for one in differences(before, now)],
    }
    return {"progress": 1.0, "verdict": verdict, "verification": document}


def _original(run: Session) -> Session:
    return Session.objects.select_related("version__strategy", "dataset").get(verifications=run)


def _compare(original: Session, run: Session, result: Mapping[str, Any]) -> engine.Comparison:
    if original.kind == Kind.BACKTEST:
        return engine.compare_results(report_of(original), report_of(run), skipped=SKIPPED)
    points = engine.compare_points(points_of(original), points_of(run))
    summary = json.loads(json.dumps(result["summary"]))
    results = engine.compare_results(
        _with_checkpoint(original, original.summary), _with_checkpoint(run, summary), hashes=HASHES
    )
    return engine.together(points, results)


def _with_checkpoint(session: Session, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return a training's result with the hash of its best checkpoint: weights, memory and generators."""
    best = best_checkpoint(session)
    kept = {"step": best.step, "sha256": best.sha256} if best is not None and best.is_best else {}
    return {**summary, "best_checkpoint": kept}


def points_of(session: Session) -> engine.Points:
    """Return every point of the session's curves, rewinds applied."""
    last = Session.objects.values_list("last_seq", flat=True).get(pk=session.pk)
    curves = curves_of(session.pk, last)
    return {
        key: list(zip(series.step, series.value, strict=True)) for key, series in curves.series.items() if len(series)
    }
