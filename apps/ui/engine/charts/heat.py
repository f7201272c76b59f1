"""Heat cells and tables: five steps of the direction's colour, the number always in ink."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from apps.ui.engine.numbers import number

STEPS = 5
#: More columns than these do not fit a phone.
PHONE_COLUMNS = 6
FLAT = "·"


def heat_class(value: float | None, scale: float) -> str:
    """Return the class of a cell: ``scale`` is the absolute value of the darkest step."""
    if value is None or not math.isfinite(value) or value == 0 or scale <= 0:
        return ""
    step = min(STEPS, max(1, math.ceil(abs(value) / scale * STEPS)))
    return f"h{'u' if value > 0 else 'd'}{step}"


@dataclass(frozen=True)
class Cell:
    text: str
    css: str = ""


@dataclass(frozen=True)
class HeatTable:
    """Head of each column, and rows of (head, cells); the last column may be a sum.

    ``axes`` names what goes across and what goes down, where the heads alone do not tell.
    """

    corner: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    axes: tuple[str, str] | None = None

    def turned(self) -> tuple[HeatTable, ...]:
        """Return it with rows and columns swapped, for the phone, in pieces of a phone's width."""
        pieces = [self.rows[i : i + PHONE_COLUMNS] for i in range(0, len(self.rows), PHONE_COLUMNS)]
        return tuple(
            HeatTable(
                self.corner,
                tuple(head for head, _ in piece),
                tuple((column, tuple(cells[i] for _, cells in piece)) for i, column in enumerate(self.columns)),
                self.axes and (self.axes[1], self.axes[0]),
            )
            for piece in pieces
        )


def _cell(value: float | None, scale: float, decimals: int, *, total: bool) -> Cell:
    if value is None or not math.isfinite(value):
        return Cell(FLAT)
    text = number(value, decimals, sign=True)
    if total:
        return Cell(text, "up" if value > 0 else "down" if value < 0 else "")
    return Cell(text, heat_class(value, scale))


def heat_table(
    columns: Sequence[str],
    rows: Mapping[str, Sequence[float | None]],
    *,
    corner: str = "",
    totals: Mapping[str, float | None] | None = None,
    total_head: str = "",
    decimals: int = 1,
    scale: float | None = None,
    axes: tuple[str, str] | None = None,
    marked: tuple[int, int] | None = None,
) -> HeatTable:
    """Return a heat table of ``rows`` (head → one value a column; None shows ``·``).

    ``totals`` adds a last column in direction colour, headed ``total_head``. ``scale`` is the
    value of the darkest cell; without one the largest absolute value of the rows. ``axes`` names columns and rows;
    ``marked`` (column, row) is framed.
    """
    known = [abs(v) for values in rows.values() for v in values if v is not None and math.isfinite(v)]
    full = scale if scale is not None else max(known, default=0.0)
    made = []
    for at, (head, values) in enumerate(rows.items()):
        cells = [_cell(value, full, decimals, total=False) for value in values]
        if marked is not None and marked[1] == at:
            cells[marked[0]] = Cell(cells[marked[0]].text, f"{cells[marked[0]].css} own".strip())
        if totals is not None:
            cells.append(_cell(totals.get(head), full, decimals, total=True))
        made.append((head, tuple(cells)))
    heads = (*columns, total_head) if totals is not None else tuple(columns)
    return HeatTable(corner, heads, tuple(made), axes)
