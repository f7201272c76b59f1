"""API: the report of a backtest."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Router
from pydantic import Field

from apps.accounts.identity import signed_in
from apps.sessions.report_tables import compared, comparison, table, tables_of
from apps.sessions.reports import report_of
from apps.sessions.selectors import session_for_user

router = Router(tags=["sessions"])
Identifier = Annotated[int, Field(ge=1, le=2**62)]


@router.get("/reports/compare", summary="Up to eight completed backtests side by side, a metric a row")
def compare(request: HttpRequest, ids: Annotated[str, Field(max_length=200)]) -> dict[str, Any]:
    runs = compared(signed_in(request), ids)
    rows = [{"metric": row["name"], "values": row["values"]} for row in comparison(runs)]
    return {"sessions": [run.session.pk for run in runs], "rows": rows}


@router.get("/{session_id}/tables", summary="The names of the tables of a report")
def tables(request: HttpRequest, session_id: Identifier) -> dict[str, Any]:
    return {"tables": list(tables_of(report_of(session_for_user(signed_in(request), session_id))))}


@router.get("/{session_id}/tables/{name}", summary="One table of a report")
def one_table(request: HttpRequest, session_id: Identifier, name: str) -> dict[str, Any]:
    document = report_of(session_for_user(signed_in(request), session_id))
    return {"name": name, "rows": table(document, name)}


@router.get("/{session_id}/report", summary="The whole report document of a completed backtest")
def report(request: HttpRequest, session_id: Identifier) -> dict[str, Any]:
    return report_of(session_for_user(signed_in(request), session_id))


@router.get("/{session_id}/trades", summary="The closed trades of a completed backtest")
def trades(
    request: HttpRequest,
    session_id: Identifier,
    limit: Annotated[int, Field(ge=1, le=1000)] = 100,
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0,
) -> dict[str, Any]:
    found = report_of(session_for_user(signed_in(request), session_id))["trades"]
    return {"total": len(found), "items": found[offset : offset + limit]}
