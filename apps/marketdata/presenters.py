"""Datasets and findings as documents: the same for the API and the commands."""

from __future__ import annotations

from typing import Any

import numpy as np

from apps.marketdata.engine.diff import Difference
from apps.marketdata.models import Dataset, Frequency, QualityFinding


def time_text(dataset: Dataset, time: Any) -> str | None:
    """Return the day of a daily bar, the instant (UTC) of an intraday one."""
    if time is None:
        return None
    daily = dataset.frequency in (Frequency.DAY, Frequency.WEEK)
    return f"{time:%Y-%m-%d}" if daily else f"{time:%Y-%m-%dT%H:%M:%SZ}"


def dataset_document(dataset: Dataset) -> dict[str, Any]:
    """Return what is known about a dataset."""
    return {
        "id": dataset.pk, "name": dataset.name, "version": dataset.version, "title": dataset.title,
        "rows": dataset.rows, "symbols": dataset.symbol_count, "frequency": dataset.frequency,
        "start": time_text(dataset, dataset.start), "end": time_text(dataset, dataset.end),
        "columns": dataset.columns, "prices": dataset.adjustment, "currency": dataset.currency,
        "calendar": dataset.calendar, "time_zone": dataset.time_zone, "source": dataset.source,
        "content": dataset.content, "tags": dataset.tag_list, "universes": dataset.universes,
        "events": dataset.event_count, "licence": dataset.licence,
        "hash": dataset.content_hash, "size_bytes": dataset.size_bytes,
        "verdict": dataset.verdict, "checked_at": dataset.checked_at.isoformat() if dataset.checked_at else None,
        "imported_at": dataset.created.isoformat(), "owner": dataset.owner.username if dataset.owner else None,
    }  # fmt: skip


def finding_document(finding: QualityFinding) -> dict[str, Any]:
    """Return a finding with the keys of ``check_data``, its sentence in the active language."""
    text = None
    if finding.time:
        text = f"{finding.time:%Y-%m-%dT%H:%M:%S}".removesuffix("T00:00:00")
    return {
        "symbol": finding.symbol or None, "date": text, "line": finding.line,
        "check": finding.check_name, "severity": finding.severity, "message": finding.message,
    }  # fmt: skip


def difference_document(found: Difference) -> dict[str, Any]:
    """Return what differs between two datasets."""
    return {
        "equal": found.equal,
        "symbols_added": list(found.symbols_added), "symbols_removed": list(found.symbols_removed),
        "bars_added": found.bars_added, "bars_removed": found.bars_removed, "fields": found.fields,
        "columns_added": list(found.columns_added), "columns_removed": list(found.columns_removed),
        "events_added": len(found.events_added), "events_removed": len(found.events_removed),
        "changes": [
            {"symbol": change.symbol, "time": moment_text(change.time), "field": change.field,
             "before": change.before, "after": change.after}
            for change in found.changes
        ],
    }  # fmt: skip


def moment_text(time: np.datetime64) -> str:
    """Return a bar's time as ISO text, a day where it is midnight."""
    return str(time.astype("datetime64[s]")).removesuffix("T00:00:00")
