"""The questions a feature process answers: a table of features, or the analysis of one.

A question is a JSON object, its answer a file: the same question about the same data has the
same name, so an answer is computed once (``key``).
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from apps.marketdata.engine.bars import BarPanel
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

#: Part of every name: raise it when a formula changes, and old answers are not found any more.
FORMULAS = 1
MOST_VALUES = 60_000_000
TOO_MUCH = N_(
    "That is %(values)s values; at most %(most)s are answered at once. Ask for fewer symbols, days or features."
)


def key(question: Mapping[str, Any]) -> str:
    """Return the name of the answer: a hash of data, question and formulas, not of where the data lies."""
    part = {name: value for name, value in question.items() if name not in ("folder", "name")}
    return hashlib.sha256(json.dumps([FORMULAS, part], sort_keys=True).encode()).hexdigest()


def suffix(question: Mapping[str, Any]) -> str:
    return ".json" if question["kind"] == "analysis" else ".arrow"


def answer(question: Mapping[str, Any], target: Path) -> None:
    """Compute the answer into ``target``, whole or not at all; raises ``Refusal``."""
    from apps.marketdata.engine.store import load_panel

    panel = load_panel(Path(question["folder"]), name=str(question.get("name", "")))
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{uuid.uuid4().hex}")
    try:
        {"analysis": _analysis, "table": _table}[question["kind"]](panel, question, partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None


def _analysis(panel: BarPanel, question: Mapping[str, Any], target: Path) -> None:
    from apps.marketdata.engine.features.explore import analyse

    document = analyse(
        panel, question["expression"], horizons=question["horizons"], groups=question["groups"],
        start=_day(question["start"]), end=_day(question["end"]),
    )  # fmt: skip
    target.write_text(json.dumps(document, allow_nan=False), encoding="utf-8")


def _table(panel: BarPanel, question: Mapping[str, Any], target: Path) -> None:
    import pyarrow as pa

    table = feature_table(
        panel, question["columns"], symbols=question["symbols"] or None, start=_day(question["start"]),
        end=_day(question["end"]), labels=question["labels"],
    )  # fmt: skip
    with pa.OSFile(str(target), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def feature_table(
    panel: BarPanel,
    columns: Mapping[str, str],
    *,
    symbols: list[str] | None = None,
    start: date | None = None,
    end: date | None = None,
    labels: bool = False,
) -> Any:
    """Return features as an Arrow table: symbol, time and one float32 column each, a row where a bar exists.

    ``labels`` lets expressions look ahead. Cross-section operators see the chosen symbols only.
    """
    import pyarrow as pa

    from apps.marketdata.engine.features.compute import stream
    from apps.marketdata.engine.features.explore import span
    from apps.marketdata.engine.store import bar_mask

    at = span(panel, start, end)
    chosen = panel.select(symbols)
    size = len(columns) * len(chosen.symbols) * (at.stop - at.start)
    if size > MOST_VALUES:
        raise Refusal("too_much", TOO_MUCH, values=f"{size:,}", most=f"{MOST_VALUES:,}")
    features = np.empty((len(columns), len(chosen.symbols), at.stop - at.start), np.float32)
    # Block by block: windows see the whole history, memory holds the span alone.
    for block, values in stream(chosen, list(columns.values()), future=labels):
        features[:, block] = values[:, :, at]
    rows, times = np.nonzero(bar_mask(chosen)[:, at])
    names = pa.DictionaryArray.from_arrays(pa.array(rows.astype(np.int32)), pa.array(list(chosen.symbols), pa.string()))
    arrays: dict[str, Any] = {"symbol": names, "time": pa.array(panel.times[at][times].astype("datetime64[ns]"))}
    for i, name in enumerate(columns):
        arrays[name] = pa.array(features[i][rows, times], from_pandas=True)
    return pa.table(arrays)


def make_room(folder: Path, most_bytes: int) -> None:
    """Delete the answers read longest ago until the rest fits."""
    files = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in folder.glob("*.*") if path.is_file())
    total = sum(size for _, size, _ in files)
    for _, size, path in files:
        if total <= most_bytes:
            return
        path.unlink(missing_ok=True)
        total -= size


def touch(path: Path) -> bool:
    """Mark an answer as just read; False where there is none."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True
