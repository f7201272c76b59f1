"""Reference cases of the kinds ``features``, ``indicators`` and ``signal``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.features import ic
from apps.marketdata.engine.features.alpha import LABEL, SETS
from apps.marketdata.engine.features.compute import compute
from apps.marketdata.engine.features.indicators import INDICATORS, indicator_columns
from quant_platform.reference.files import Files, Skip

Floats = NDArray[np.float64]
TIMES, SYMBOLS = ("datetime", "date", "time", "timestamp"), ("instrument", "symbol", "ticker")


def run_features(case: Mapping[str, Any], files: Files) -> Mapping[str, Any]:
    """Return a feature set (``handler``) or ``expressions`` by name; a table expected fixes the rows.

    Numbers follow pyqlib's own treatment of suspended bars, since that is what the cases hold.
    """
    panel = _panel(files.table(case["data"]))
    columns = _columns(case)
    future = bool(case.get("label") or case.get("future"))
    values = compute(panel, list(columns.values()), dtype=np.float64, qlib=True, future=future)
    label = compute(panel, [LABEL], dtype=np.float64, qlib=True, future=True)
    return _tables(case, files, panel, {**dict(zip(columns, values, strict=True)), "LABEL0": label[0]})


def _columns(case: Mapping[str, Any]) -> Mapping[str, str]:
    if "handler" in case:
        name = {"alpha158": "Alpha158", "alpha360": "Alpha360"}.get(str(case["handler"]).lower())
        if name is None:
            raise Skip(f"the handler {case['handler']} is not known")
        return SETS[name]()
    given = case.get("expressions") or case.get("fields")
    if not given:
        raise Skip("neither a handler nor expressions are given")
    return dict(given) if isinstance(given, Mapping) else {str(text): str(text) for text in given}


def run_indicators(case: Mapping[str, Any], files: Files) -> Mapping[str, Any]:
    """Return indicators at their defaults, or at the windows of ``params`` by indicator; ``rows``: "first N"."""
    panel = _panel(_rows(files.table(case["data"]), case.get("rows")))
    known = dict(indicator_columns())
    for name, windows in (case.get("params") or {}).items():
        if name not in INDICATORS:
            raise Skip(f"the indicator {name} is not known")
        known |= INDICATORS[name].columns(*([windows] if isinstance(windows, (int, float)) else windows))
    names = [str(name) for name in case.get("columns", known)]
    known |= {name: text for name in names if (text := _by_name(name))}
    if unknown := [name for name in names if name not in known]:
        raise Skip(f"not known: {', '.join(unknown)}")
    values = compute(panel, [known[name] for name in names], dtype=np.float64)
    return _tables(case, files, panel, dict(zip(names, values, strict=True)))


def _by_name(name: str) -> str:
    """Return the expression of a name that carries its window, such as ``ma60`` or ``rsi_wilder_6``."""
    found = re.fullmatch(r"(s?ma|ema|rsi_sma|rsi_wilder|atr|roc|cci)_?(\d+)", name)
    if not found:
        return ""
    kind, window = found[1], float(found[2])
    owner = {"sma": "ma", "rsi_sma": "rsi", "rsi_wilder": "rsi"}.get(kind, kind)
    columns = INDICATORS[owner].columns(window)
    return columns.get(kind) or next(iter(columns.values()))


def run_signal(case: Mapping[str, Any], files: Files) -> Mapping[str, Any]:
    """Return IC, Rank IC and their ratios, with the daily table, of ``scores`` against the label.

    The label is the case's ``label`` or pyqlib's: in at the next close, out one bar later.
    """
    panel = _panel(files.table(case["data"]))
    scores = _panel(files.table(case["scores"]), ("score", "pred", "prediction")).fields
    aligned = _aligned(panel, files.table(case["scores"]), next(iter(scores)))
    label = compute(panel, [str(case.get("label", LABEL))], dtype=np.float64, qlib=True, future=True)[0]
    daily, ranked = ic.ic_by_day(aligned.T, label.T)
    days = np.isfinite(aligned).any(axis=0)
    tables = {"datetime": _stamps(panel)[days], "ic": daily[days], "rank_ic": ranked[days]}
    plain, rank = ic.Summary.of(daily), ic.Summary.of(ranked)
    spread = ic.long_short(aligned.T, label.T)
    known = np.isfinite(spread)
    figures: dict[str, Any] = {
        "IC": plain.mean, "ICIR": plain.ir, "RankIC": rank.mean, "RankICIR": rank.ir,
        "Rank IC": rank.mean, "Rank ICIR": rank.ir, "long_short": float(spread[known].mean()) if known.any() else None,
        "ic": plain.mean, "icir": plain.ir, "rank_ic": rank.mean, "rank_icir": rank.ir,
    }  # fmt: skip
    if "daily" in case["expect"]:
        figures["daily"] = _like(files.table(case["expect"]["daily"]), pd.DataFrame(tables))
    return figures


def _rows(table: pd.DataFrame, rows: object) -> pd.DataFrame:
    found = re.fullmatch(r"first (\d+)", str(rows or ""))
    return table.head(int(found[1])) if found else table


def _column(table: pd.DataFrame, names: tuple[str, ...]) -> str | None:
    return next((c for c in table.columns if str(c).strip().lower() in names), None)


def _panel(table: pd.DataFrame, only: tuple[str, ...] = ()) -> BarPanel:
    """Return a table, of one symbol or long, as dense bars; ``only`` keeps columns of these names."""
    time, symbol = _column(table, TIMES), _column(table, SYMBOLS)
    if time is None:
        raise Skip("the data has no column of dates under a name we know")
    stamps = pd.to_datetime(table[time])
    symbols = table[symbol].astype(str) if symbol else pd.Series("0", index=table.index)
    names, times = list(dict.fromkeys(symbols)), np.unique(stamps.to_numpy("datetime64[ns]"))
    row = symbols.map({name: i for i, name in enumerate(names)}).to_numpy()
    at = np.searchsorted(times, stamps.to_numpy("datetime64[ns]"))
    fields = {}
    for name in table.columns:
        key = str(name).strip().lower()
        if name in (time, symbol) or (only and key not in only) or not pd.api.types.is_numeric_dtype(table[name]):
            continue
        fields[key] = np.full((len(names), len(times)), np.nan)
        fields[key][row, at] = table[name].to_numpy(float)
    if not fields:
        raise Skip(f"the data has none of the columns {', '.join(only) or 'of numbers'}")
    return BarPanel(symbols=tuple(names), times=times, fields=fields)


def _aligned(panel: BarPanel, table: pd.DataFrame, column: str) -> Floats:
    """Return the scores in the places of the bars, (S, T)."""
    scores = _panel(table)
    out = np.full((len(panel.symbols), len(panel.times)), np.nan)
    shared = np.isin(scores.times, panel.times)
    at = np.searchsorted(panel.times, scores.times[shared])
    for i, name in enumerate(scores.symbols):
        if name in panel.symbols:
            out[panel.index_of(name), at] = scores.fields[column][i][shared]
    return out


def _stamps(panel: BarPanel) -> NDArray[np.datetime64]:
    return panel.times


def _tables(case: Mapping[str, Any], files: Files, panel: BarPanel, values: Mapping[str, Floats]) -> Mapping[str, Any]:
    """Return one long table a name of ``expect`` that is a file, in the order of that file's rows."""
    long = {
        "datetime": np.tile(panel.times, len(panel.symbols)),
        "instrument": np.repeat(panel.symbols, len(panel.times)),
    }
    ours = pd.DataFrame({**long, **{name: array.ravel() for name, array in values.items()}})
    out: dict[str, Any] = {}
    for name, wanted in case["expect"].items():
        if isinstance(wanted, str):
            out[name] = _like(files.table(wanted), ours)
        elif name in values:
            out[name] = values[name].ravel().tolist()
    return out


def _like(wanted: pd.DataFrame, ours: pd.DataFrame) -> pd.DataFrame:
    """Return our rows for the rows of ``wanted``, which are named by time and, where it has one, symbol."""
    time, symbol = _column(wanted, TIMES), _column(wanted, SYMBOLS)
    if time is None:
        return ours
    keys = pd.DataFrame({"datetime": pd.to_datetime(wanted[time]).astype("datetime64[ns]")})
    on = ["datetime"]
    if symbol:
        keys["instrument"] = wanted[symbol].astype(str)
        on.append("instrument")
    ours = ours.assign(datetime=ours["datetime"].astype("datetime64[ns]"))
    found = keys.merge(ours, on=on, how="left")
    found[time] = wanted[time].to_numpy()
    if symbol:
        found[symbol] = wanted[symbol].to_numpy()
    return found
