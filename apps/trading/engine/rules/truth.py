"""The truth table of the documents, written from the rows that rule."""

from __future__ import annotations

from apps.trading.engine.rules.tables import ROWS, Row


def truth_table() -> str:
    """Return every row as a Markdown table, grouped by market."""
    lines = ["| market | board | rule | value | from | to | source | read |", "|---|---|---|---|---|---|---|---|"]
    lines += [_line(row) for row in ROWS]
    return "\n".join(lines) + "\n"


def _line(row: Row) -> str:
    end = row.until.isoformat() if row.until else ""
    board = "all" if row.board == "*" else row.board
    cells = (row.market, board, row.what, _value(row.value), row.since.isoformat(), end, row.source, row.checked)
    return "| " + " | ".join(cells) + " |"


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(_value(item) for item in value)
    if value is None:
        return "no limit"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
