"""API of this room: the catalogue, findings, a new check."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema
from pydantic import Field

from apps.marketdata.exports import TYPES, chosen_mode, export_bytes, export_table
from apps.marketdata.models import Content, Severity, Verdict
from apps.marketdata.presenters import dataset_document, difference_document, finding_document
from apps.marketdata.quality_report import quality_report, report_rows
from apps.marketdata.selectors import (
    check_latest,
    dataset_events,
    dataset_for_user,
    dataset_membership,
    datasets_listed,
    finding_list,
)
from apps.marketdata.services import dataset_adjust, dataset_check, dataset_diff, dataset_fix, dataset_label
from apps.marketdata.tape_exports import tape_bytes

router = Router(tags=["market data"])
MOST = 500


def _user(request: HttpRequest) -> Any:
    return request.user


def _page(rows: Any, offset: int, limit: int) -> tuple[list[Any], int]:
    return list(rows[offset : offset + min(limit, MOST)]), rows.count()


@router.get("/datasets", summary="Datasets you may use")
def datasets(
    request: HttpRequest,
    search: str = "",
    verdict: Verdict | None = None,
    tag: str = "",
    sort: str = "name",
    offset: int = Query(0, ge=0),
    limit: int = Query(100, ge=1, le=MOST),
) -> dict[str, Any]:
    found = datasets_listed(_user(request), search=search, verdict=verdict or "", tag=tag, sort=sort, newest_only=False)
    rows, total = _page(found, offset, limit)
    return {"datasets": [dataset_document(dataset) for dataset in rows], "total": total}


@router.get("/data/quality", summary="Quality of every dataset over a period")
def quality(request: HttpRequest, days: int = Query(30, ge=1, le=366)) -> dict[str, Any]:
    report = quality_report(_user(request), days=days)
    return {"since": report.since.isoformat(), "until": report.until.isoformat(), "datasets": report_rows(report),
            "kinds": report.kinds}  # fmt: skip


@router.get("/datasets/{int:dataset_id}", summary="One dataset with its symbols")
def dataset(request: HttpRequest, dataset_id: int) -> dict[str, Any]:
    found = dataset_for_user(_user(request), dataset_id)
    symbols = found.symbols.values("symbol", "rows", "start", "end", "gaps")
    return {**dataset_document(found), "instruments": list(symbols)}


class LabelsBody(Schema):
    """What is left out stays as it is; an empty list or text removes."""

    tags: Annotated[list[Annotated[str, Field(max_length=100)]] | None, Field(max_length=100)] = None
    licence: Annotated[str | None, Field(max_length=1000)] = None


@router.put("/datasets/{int:dataset_id}/labels", summary="Tags and licence note; the content stays")
def labels(request: HttpRequest, dataset_id: int, body: LabelsBody) -> dict[str, Any]:
    found = dataset_for_user(_user(request), dataset_id, write=True)
    return dataset_document(dataset_label(found, actor=_user(request), tags=body.tags, licence=body.licence))


@router.get("/datasets/{int:dataset_id}/findings", summary="Findings of the newest check")
def findings(
    request: HttpRequest,
    dataset_id: int,
    severity: Severity | None = None,
    symbol: str = "",
    offset: int = Query(0, ge=0),
    limit: int = Query(100, ge=1, le=MOST),
) -> dict[str, Any]:
    found = dataset_for_user(_user(request), dataset_id)
    rows, total = _page(finding_list(check_latest(found), severity=severity or "", symbol=symbol), offset, limit)
    return {"verdict": found.verdict, "findings": [finding_document(finding) for finding in rows], "total": total}


@router.post("/datasets/{int:dataset_id}/check", summary="Check the data again")
def check(request: HttpRequest, dataset_id: int) -> dict[str, Any]:
    found = dataset_for_user(_user(request), dataset_id)
    result = dataset_check(found, actor=_user(request))
    return {
        "verdict": result.verdict, "errors": result.errors, "warnings": result.warnings, "notes": result.notes,
        "checks_passed": result.checks_passed, "seconds": result.seconds,
    }  # fmt: skip


class FixBody(Schema):
    """Which findings to mend: ids and remedies (empty: the usual one); nothing: all that block."""

    fixes: dict[int, str] | None = None


@router.post("/datasets/{int:dataset_id}/fix", summary="Mend findings: a new version with its lineage")
def fix(request: HttpRequest, dataset_id: int, body: FixBody | None = None) -> dict[str, Any]:
    found = dataset_for_user(_user(request), dataset_id)
    made = dataset_fix(found, actor=_user(request), choices=body.fixes if body else None)
    return {**dataset_document(made), "lineage": made.lineage}


@router.post("/datasets/{int:dataset_id}/adjust", summary="A dataset of forward or backward adjusted prices")
def adjust(request: HttpRequest, dataset_id: int, mode: str = "forward") -> dict[str, Any]:
    found = dataset_for_user(_user(request), dataset_id)
    return dataset_document(dataset_adjust(found, mode=chosen_mode(mode), actor=_user(request)))


@router.get("/datasets/{int:dataset_id}/diff", summary="What differs from another dataset or version")
def difference(request: HttpRequest, dataset_id: int, before: int) -> dict[str, Any]:
    found = dataset_for_user(_user(request), dataset_id)
    return difference_document(dataset_diff(dataset_for_user(_user(request), before), found))


@router.get("/datasets/{int:dataset_id}/events", summary="Corporate actions")
def events(request: HttpRequest, dataset_id: int, symbol: str = "") -> dict[str, Any]:
    found = dataset_for_user(_user(request), dataset_id)
    rows = [{**asdict(event), "day": str(event.day)} for event in dataset_events(found, symbol)]
    return {"dataset": str(found), "events": rows, "total": len(rows)}


@router.get("/datasets/{int:dataset_id}/membership", summary="Who belongs to which universe, and when")
def membership(request: HttpRequest, dataset_id: int, universe: str = "") -> dict[str, Any]:
    found = dataset_for_user(_user(request), dataset_id)
    rows = [
        {**asdict(span), "start": str(span.start), "end": str(span.end)} for span in dataset_membership(found, universe)
    ]
    return {"dataset": str(found), "spans": rows, "total": len(rows)}


@router.get(
    "/datasets/{int:dataset_id}/export", summary="Bars (as traded or adjusted) or events as csv, parquet or arrow"
)
def export(
    request: HttpRequest,
    dataset_id: int,
    format: str = "parquet",
    symbol: str = "",
    prices: str = "raw",
    start: str = "",
    end: str = "",
) -> HttpResponse:
    found = dataset_for_user(_user(request), dataset_id)
    if found.content != Content.BARS:
        events = tape_bytes(found, format, symbol=symbol, start=start, end=end)
        return HttpResponse(events, content_type=TYPES[format])
    data = export_bytes(export_table(found, symbol=symbol, mode=chosen_mode(prices)), format)
    return HttpResponse(data, content_type=TYPES[format])
