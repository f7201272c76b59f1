"""API of features: tables of expressions, and the analysis of one."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
from django.http import FileResponse, HttpRequest, HttpResponse
from ninja import Query, Router

from apps.marketdata.adapters.feature_worker import answered
from apps.marketdata.engine.table_text import json_columns
from apps.marketdata.features import analysis, analysis_question, columns_of, table_question
from apps.marketdata.kept import marked, tag, unchanged
from apps.marketdata.models import Dataset
from apps.marketdata.selectors import dataset_by_name
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

router = Router(tags=["features"])
ARROW = "application/vnd.apache.arrow.file"
JSON_VALUES = 200_000
TOO_LARGE = N_("That is %(values)s values. As JSON at most %(most)s are sent: ask for Arrow (Accept: %(type)s) or CSV.")


class TableResponse(FileResponse):
    """A file in pieces of a megabyte: Django's 4 KB are ten thousand messages for 40 MB."""

    block_size = 2**20


def _user(request: HttpRequest) -> Any:
    return request.user


@router.get("/data/features", summary="Features of a dataset, as Arrow, CSV or (small) JSON by Accept")
def features(
    request: HttpRequest,
    dataset: str,
    expressions: list[str] = Query([]),  # noqa: B008 - how the framework declares it
    set: str = "",
    symbols: str = "",
    start: str = "",
    end: str = "",
    labels: bool = False,
) -> HttpResponse | FileResponse:
    """Repeat ``expressions`` for each column, bare or as ``name:=expression``; ``symbols`` are separated by commas.

    ``set`` is Alpha158, Alpha360 or Indicators; ``labels`` lets expressions look ahead.
    """
    found = dataset_by_name(_user(request), dataset)
    names = [name.strip() for name in symbols.split(",") if name.strip()]
    columns = columns_of(expressions, set, labels=labels)
    accept = request.headers.get("Accept", "")
    question = table_question(found, columns, names, start, end, labels=labels)
    etag = tag(found, "features", question, accept)
    if (same := unchanged(request, etag)) is not None:
        return marked(same, found, etag, dataset)
    return marked(_as_asked(found, answered(question), columns, accept), found, etag, dataset)


def _as_asked(found: Dataset, path: Path, columns: Mapping[str, str], accept: str) -> HttpResponse | FileResponse:
    """Return the table in the form that ``accept`` asks for."""
    if "arrow" in accept:
        return TableResponse(path.open("rb"), content_type=ARROW, filename=f"{found.name}-features.arrow")
    table = _read(path)
    if "text/csv" in accept:
        out = io.BytesIO()
        pa_csv.write_csv(table, out)
        return HttpResponse(out.getvalue(), content_type="text/csv")
    values = table.num_rows * len(columns)
    if values > JSON_VALUES:
        raise Refusal("too_much", TOO_LARGE, values=f"{values:,}", most=f"{JSON_VALUES:,}", type=ARROW)
    times = table.schema.get_field_index("time")
    table = table.set_column(times, "time", table.column(times).cast(pa.timestamp("s")).cast(pa.string()))
    return json_answer({"dataset": str(found), "content_hash": found.content_hash, "rows": table.num_rows}, table)


def json_answer(head: Mapping[str, Any], table: pa.Table) -> HttpResponse:
    """Return the members of ``head`` and the table's ``columns`` as one JSON object."""
    text = f'{json.dumps(head)[:-1]}, "columns": {json_columns(table)}}}'
    return HttpResponse(text.encode(), content_type="application/json")


@router.get("/data/features/analysis", summary="Distribution, coverage, IC by horizon, groups of one feature")
def feature_analysis(
    request: HttpRequest,
    dataset: str,
    expression: str,
    start: str = "",
    end: str = "",
    horizons: str = "",
    groups: int = 5,
) -> dict[str, Any]:
    found = dataset_by_name(_user(request), dataset)
    question = analysis_question(found, expression, start, end, horizons, groups)
    return {"dataset": str(found), "content_hash": found.content_hash, **analysis(question)}


def _read(path: Any) -> pa.Table:
    table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    return table.set_column(0, "symbol", table.column("symbol").cast(pa.string()))
