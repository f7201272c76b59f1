"""Quality checks kept in the database: one row per check, its findings, the verdict of the dataset."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from django.db import transaction

from apps.accounts.models import User
from apps.accounts.services import audit
from apps.marketdata.engine import store
from apps.marketdata.engine.findings import Finding
from apps.marketdata.engine.quality import Report, check_panel
from apps.marketdata.models import Content, Dataset, DatasetSymbol, QualityCheck, QualityFinding
from apps.marketdata.selectors import (
    calendar_days,
    dataset_events,
    dataset_folder,
    dataset_membership,
    dataset_panel,
)
from apps.marketdata.times import as_datetime


def dataset_check(dataset: Dataset, *, actor: User | None = None) -> QualityCheck:
    """Read every byte again, check every bar or event and keep the result as the dataset's verdict.

    Raises ``Refusal`` ``dataset_missing`` or ``dataset_changed``; the verdict stays as it was then.
    """
    if dataset.content == Content.BARS:
        report, seconds = _bars_report(dataset)
    else:
        from apps.marketdata.services.tapes import tape_report

        report, seconds = tape_report(dataset)
    with transaction.atomic():
        check = store_report(dataset, report, seconds)
        audit(actor, "dataset.check", dataset, {"verdict": report.verdict})
    return check


def _bars_report(dataset: Dataset) -> tuple[Report, float]:
    panel = dataset_panel(dataset, verify=True)
    lines = store.load_lines(dataset_folder(dataset))
    seen = findings_from_json(dataset.lineage.get("import_findings", []))
    events, spans = dataset_events(dataset), dataset_membership(dataset)
    return timed(
        lambda: check_panel(
            panel, lines=lines, calendar=dataset.calendar, reader_findings=seen, events=events, membership=spans,
            more_days=calendar_days(dataset.calendar),
        )
    )  # fmt: skip


def timed(work: Callable[[], Report]) -> tuple[Report, float]:
    """Return the report and the seconds it took."""
    begun = time.perf_counter()
    report = work()
    return report, time.perf_counter() - begun


def store_report(dataset: Dataset, report: Report, seconds: float) -> QualityCheck:
    """Write a check with its findings, the dataset's verdict and the symbols' gaps."""
    counts = {
        severity: sum(f.severity == severity for f in report.findings) for severity in ("error", "warning", "note")
    }
    check = QualityCheck.objects.create(
        dataset=dataset, verdict=report.verdict, seconds=seconds, checks_passed=report.checks_passed,
        errors=counts["error"], warnings=counts["warning"], notes=counts["note"],
    )  # fmt: skip
    rows = [_row(check, finding) for finding in report.findings]
    QualityFinding.objects.bulk_create(rows, batch_size=500)
    Dataset.objects.filter(pk=dataset.pk).update(verdict=report.verdict, checked_at=check.created)
    dataset.verdict, dataset.checked_at = report.verdict, check.created
    _store_gaps(dataset, report)
    return check


def _row(check: QualityCheck, finding: Finding) -> QualityFinding:
    return QualityFinding(
        check_run=check, symbol=finding.symbol[:32], time=None if finding.time is None else as_datetime(finding.time),
        row=finding.row, line=finding.line, check_name=finding.check, severity=finding.severity,
        params=dict(finding.params),
    )  # fmt: skip


def _store_gaps(dataset: Dataset, report: Report) -> None:
    changed = []
    for symbol in dataset.symbols.all():
        gaps = report.gaps.get(symbol.symbol, 0)
        if gaps != symbol.gaps:
            symbol.gaps = gaps
            changed.append(symbol)
    DatasetSymbol.objects.bulk_update(changed, ["gaps"], batch_size=500)


def findings_to_json(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Return what the import saw in the file, so that later checks can say it again."""
    return [
        {
            "check": finding.check, "severity": finding.severity, "symbol": finding.symbol, "line": finding.line,
            "time": None if finding.time is None else str(finding.time), "params": dict(finding.params),
        }
        for finding in findings
    ]  # fmt: skip


def findings_from_json(rows: Sequence[dict[str, Any]]) -> list[Finding]:
    return [
        Finding(
            row["check"], row["severity"], row["symbol"], np.datetime64(row["time"], "ns") if row["time"] else None,
            row["line"], None, row["params"],
        )
        for row in rows
    ]  # fmt: skip
