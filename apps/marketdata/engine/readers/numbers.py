"""Numbers out of text, exactly: nothing is rounded, a word is refused with its line."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

BAD = N_("%(file)s, line %(line)s, column %(column)s: “%(value)s” is not a number. Correct the cell or leave it empty.")
EMPTY = ["", "none", "nan", "null", "nat", "na", "n/a", "#n/a", "-", "--", "—", "停牌"]
GROUPED = r"^[+-]?\d{1,3}(,\d{3})+(\.\d*)?$"
DECIMAL_COMMA = r"^[+-]?\d+,\d+$"


def shorten(value: object) -> str:
    """Return a cell as it can be shown in a sentence."""
    text = "".join(char if char.isprintable() else "�" for char in str(value))
    return text if len(text) <= 40 else text[:39] + "…"


def parse_numbers(
    values: pa.ChunkedArray, *, file: str, column: str, lines: NDArray[np.int64], decimal_comma: bool = False
) -> NDArray[np.float64]:
    """Return (N,) doubles, NaN for empty cells; ``Refusal`` ``bad_number`` names the first cell that is none."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type) or pa.types.is_decimal(values.type):
        numbers = _doubles(values.cast(pa.float64(), safe=False))
        texts = values
    elif (plain := _plain(values)) is not None:
        numbers, texts = plain, values
    else:
        texts = _clean(values.cast(pa.string()), decimal_comma)
        numbers = _parse(texts, file=file, column=column, lines=lines)
    infinite = np.isinf(numbers)
    if infinite.any():
        _refuse(texts, int(np.argmax(infinite)), file, column, lines)
    return numbers


def _plain(values: pa.ChunkedArray) -> NDArray[np.float64] | None:
    """Return the doubles of cells that are plain numbers all, so that cleaning would change none; else None."""
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        return None
    try:
        return _doubles(values.cast(pa.float64()))
    except pa.ArrowInvalid:
        return None


def _doubles(values: pa.ChunkedArray) -> NDArray[np.float64]:
    return np.array(values.to_numpy(), dtype=np.float64)


def _clean(texts: pa.ChunkedArray, decimal_comma: bool) -> pa.ChunkedArray:
    texts = pc.utf8_trim_whitespace(texts)
    if decimal_comma:
        european = pc.match_substring_regex(texts, DECIMAL_COMMA)
        texts = pc.if_else(european, pc.replace_substring(texts, ",", "."), texts)
    empty = pc.is_in(pc.utf8_lower(texts), value_set=pa.array(EMPTY))
    texts = pc.if_else(empty, pa.scalar(None, pa.string()), texts)
    grouped = pc.fill_null(pc.match_substring_regex(texts, GROUPED), False)
    return pc.if_else(grouped, pc.replace_substring(texts, ",", ""), texts)


def _parse(texts: pa.ChunkedArray, *, file: str, column: str, lines: NDArray[np.int64]) -> NDArray[np.float64]:
    try:
        return _doubles(texts.cast(pa.float64()))
    except pa.ArrowInvalid:
        bad = next(at for at, text in enumerate(texts.to_pylist()) if text is not None and not _is_number(text))
        _refuse(texts, bad, file, column, lines)
        raise


def _is_number(text: str) -> bool:
    try:
        pa.array([text]).cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def _refuse(values: pa.ChunkedArray, at: int, file: str, column: str, lines: NDArray[np.int64]) -> None:
    value = shorten(values[at].as_py())
    raise Refusal("bad_number", BAD, field="file", file=file, line=int(lines[at]), column=column, value=value)
