"""API: one metric over many sessions."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from apps.accounts.identity import signed_in
from apps.sessions import ranking

router = Router(tags=["sessions"])


class MetricQuery(Schema):
    """The metric, the sessions (``ids`` separated by commas, or filters as in the list) and the order."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    ids: Annotated[str, Field(max_length=12_000, pattern=r"^(\d{1,17}(,\d{1,17})*)?$")] = ""
    status: str = ""
    kind: str = ""
    strategy: Annotated[int | None, Field(ge=0, le=2**62)] = None
    search: Annotated[str, Field(max_length=100)] = ""
    tag: Annotated[str, Field(max_length=32)] = ""
    sort: str = "-last"
    limit: Annotated[int, Field(ge=1, le=ranking.MOST)] = ranking.MOST
    offset: Annotated[int, Field(ge=0, le=2**31)] = 0


@router.get("/metric", summary="One metric over many sessions")
def metric(request: HttpRequest, query: Query[MetricQuery]) -> dict[str, Any]:
    """What the metric came to in each session that reports it: its last value (the median over seeds) and step, and
    over all its points the lowest, highest and mean value. Of a run that goes on it is at most some seconds old."""
    filters = query.dict(exclude={"name", "ids", "limit", "offset"})
    ids = [int(text) for text in query.ids.split(",") if text]
    rows = ranking.rows_listed(signed_in(request), query.name, ids=ids, **filters)
    items = list(rows[query.offset : query.offset + query.limit])
    return {"name": query.name, "total": rows.count(), "items": items}
