"""Lists as files for a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from typing import Any

from django.http import HttpResponse

#: Rows of a list that a file holds at most.
MOST_ROWS = 20_000
#: What a text begins with that a spreadsheet takes for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def harmless(cell: Any) -> Any:
    """Return ``cell``, a text that a spreadsheet would run with an apostrophe before it."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def csv_file(name: str, header: Sequence[str], rows: Iterable[Iterable[Any]]) -> HttpResponse:
    """Return the download ``name`` with a line for ``header`` and for each of ``rows``; None is an empty cell."""
    answer = HttpResponse(content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    writer = csv.writer(answer)
    writer.writerow(header)
    writer.writerows([harmless(cell) for cell in row] for row in rows)
    return answer
