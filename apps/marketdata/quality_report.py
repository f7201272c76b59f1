"""The quality report of a period: every dataset, its newest verdict, what changed, what was found most."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count
from django.utils import timezone

from apps.accounts.models import User
from apps.marketdata.models import Dataset, QualityCheck, QualityFinding, Severity
from apps.marketdata.selectors import dataset_list

RANK = {"unchecked": 0, "clean": 1, "look": 2, "blocked": 3}
LONGEST_DAYS = 366
MOST_KINDS = 15


@dataclass(frozen=True)
class Line:
    """One dataset: its newest check, the one at the period's start, how it moved (-1 better, 1 worse, 0 as before)."""

    dataset: Dataset
    check: QualityCheck | None
    before: QualityCheck | None
    checks: int

    @property
    def trend(self) -> str:
        """Whether the verdict became better or worse within the period."""
        if self.check is None or self.before is None:
            return "new" if self.check else "none"
        step = RANK[self.check.verdict] - RANK[self.before.verdict]
        if not step:
            step = (self.check.errors > self.before.errors) - (self.check.errors < self.before.errors)
        return "worse" if step > 0 else "better" if step < 0 else "same"


@dataclass(frozen=True)
class QualityReport:
    """What the page, the HTML file, the CSV and the command show."""

    since: datetime
    until: datetime
    lines: list[Line]
    kinds: list[dict[str, Any]]

    @property
    def counts(self) -> Counter[str]:
        """Datasets by verdict."""
        return Counter(line.dataset.verdict for line in self.lines)


def quality_report(user: User | None, *, days: int = 30) -> QualityReport:
    """Return the report of the last ``days`` over the newest versions that ``user`` may see; three queries."""
    until = timezone.now()
    since = until - timedelta(days=max(1, min(days, LONGEST_DAYS)))
    datasets = list(dataset_list(user)[:500])
    checks: dict[int, list[QualityCheck]] = {}
    for check in QualityCheck.objects.filter(dataset__in=datasets).order_by("dataset_id", "id"):
        checks.setdefault(check.dataset_id, []).append(check)
    lines = [_line(dataset, checks.get(dataset.pk, []), since) for dataset in datasets]
    lines.sort(key=lambda line: (-RANK[line.dataset.verdict], line.dataset.name))
    newest = [line.check.pk for line in lines if line.check]
    kinds = (
        QualityFinding.objects.filter(check_run__in=newest)
        .exclude(severity=Severity.NOTE)
        .values("check_name", "severity")
        .annotate(count=Count("pk"), datasets=Count("check_run", distinct=True))
        .order_by("-count")[:MOST_KINDS]
    )
    return QualityReport(since, until, lines, [dict(kind) for kind in kinds])


def _line(dataset: Dataset, checks: list[QualityCheck], since: datetime) -> Line:
    inside = [check for check in checks if check.created >= since]
    earlier = [check for check in checks if check.created < since]
    before = earlier[-1] if earlier else inside[0] if len(inside) > 1 else None
    return Line(dataset, checks[-1] if checks else None, before, len(inside))


def report_rows(report: QualityReport) -> list[dict[str, Any]]:
    """Return the lines as flat rows, for CSV and JSON."""
    return [
        {
            "dataset": str(line.dataset), "verdict": line.dataset.verdict, "trend": line.trend,
            "errors": line.check.errors if line.check else None,
            "warnings": line.check.warnings if line.check else None,
            "notes": line.check.notes if line.check else None,
            "checks_passed": line.check.checks_passed if line.check else None,
            "checked": line.check.created.isoformat() if line.check else None,
            "checks_in_period": line.checks, "rows": line.dataset.rows, "symbols": line.dataset.symbol_count,
            "start": f"{line.dataset.start:%Y-%m-%d}", "end": f"{line.dataset.end:%Y-%m-%d}",
            "hash": line.dataset.content_hash,
        }
        for line in report.lines
    ]  # fmt: skip


def report_csv(report: QualityReport) -> str:
    """Return the lines as CSV with a header."""
    rows = report_rows(report)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]) if rows else ["dataset"])
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
