"""Compares what we computed with what a case expects: scalars, series, tables, trees of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from quant_platform.reference.files import Files, Written

#: Differences below this are rounding noise of a zero, whatever the relative tolerance.
NOISE = 1e-12


@dataclass(frozen=True)
class Difference:
    """How far one value lies from the expected one, in units of its tolerance (above 1 fails)."""

    name: str
    expected: Any
    actual: Any
    error: float
    share: float

    @property
    def passed(self) -> bool:
        return self.share <= 1.0


def compare(
    expect: Mapping[str, Any], actual: Mapping[str, Any], tolerance: Mapping[str, Any], files: Files
) -> Iterator[Difference]:
    """Yield one ``Difference`` per leaf of ``expect`` that ``actual`` has.

    ``tolerance`` is ``{"relative": x}``, ``{"absolute": x}``, both (the wider holds), absolute by
    name, or ``{"name_relative": x}`` for values whose name begins so; a value without one must
    agree to the decimals it is written with. A string that names a CSV file stands for its columns.
    """
    for name, wanted in expect.items():
        if name in actual:
            yield from _compare(name, wanted, actual[name], tolerance, files)


def missing(expect: Mapping[str, Any], actual: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return the names of ``expect`` that ``actual`` lacks, dotted."""
    gone: list[str] = []
    for name, wanted in expect.items():
        if name not in actual:
            gone.append(prefix + name)
        elif isinstance(wanted, Mapping) and isinstance(actual[name], Mapping):
            gone += missing(wanted, actual[name], f"{prefix}{name}.")
    return gone


def _compare(name: str, wanted: Any, got: Any, tolerance: Mapping[str, Any], files: Files) -> Iterator[Difference]:
    if isinstance(wanted, Mapping):
        for key, value in wanted.items():
            if isinstance(got, Mapping) and key in got:
                yield from _compare(f"{name}.{key}", value, got[key], tolerance, files)
    elif isinstance(wanted, str) and wanted.endswith((".csv", ".csv.gz")):
        yield from _table(name, files.table(wanted), got, tolerance)
    elif isinstance(wanted, (list, tuple, np.ndarray)):
        yield _series(name, list(wanted), list(got), tolerance)
    elif isinstance(wanted, (int, float)) and not isinstance(wanted, bool):
        yield _number(name, wanted, got, tolerance)
    else:
        same = _same(wanted, got)
        yield Difference(name, wanted, got, 0.0 if same else math.inf, 0.0 if same else math.inf)


def _table(name: str, wanted: pd.DataFrame, got: Any, tolerance: Mapping[str, Any]) -> Iterator[Difference]:
    frame = pd.DataFrame(got)
    for column in wanted.columns:
        key = f"{name}.{column}"
        if column not in frame:
            yield Difference(key, "column", None, math.inf, math.inf)
        else:
            yield _series(key, wanted[column].tolist(), frame[column].tolist(), tolerance)


def _series(name: str, wanted: list[Any], got: list[Any], tolerance: Mapping[str, Any]) -> Difference:
    """Return the worst difference of two series, element by element."""
    if len(wanted) != len(got):
        return Difference(f"{name} (length)", len(wanted), len(got), math.inf, math.inf)
    worst = Difference(name, len(wanted), len(got), 0.0, 0.0)
    for index, (left, right) in enumerate(zip(wanted, got, strict=True)):
        found = _element(f"{name}[{index}]", left, right, tolerance)
        if found.share > worst.share or (found.share == worst.share and found.error > worst.error):
            worst = found
    return worst


def _element(name: str, wanted: Any, got: Any, tolerance: Mapping[str, Any]) -> Difference:
    if isinstance(wanted, (list, tuple)):
        return _series(name, list(wanted), list(got), tolerance)
    if isinstance(wanted, str) or wanted is None:
        same = _same(wanted, got)
        return Difference(name, wanted, got, 0.0 if same else math.inf, 0.0 if same else math.inf)
    return _number(name, wanted, got, tolerance)


def _same(wanted: Any, got: Any) -> bool:
    """Tell whether two values are one; JSON has no NaN, so a null in a case means an undefined number as well."""
    return bool(wanted == got) or (wanted is None and isinstance(got, float) and math.isnan(got))


def _number(name: str, wanted: float, got: Any, tolerance: Mapping[str, Any]) -> Difference:
    if got is None or isinstance(got, str):
        return Difference(name, wanted, got, math.inf, math.inf)
    wanted_, got_ = float(wanted), float(got)
    if math.isnan(wanted_) or math.isnan(got_):
        same = math.isnan(wanted_) and math.isnan(got_)
        return Difference(name, wanted_, got_, 0.0 if same else math.inf, 0.0 if same else math.inf)
    distance = 0.0 if wanted_ == got_ else abs(wanted_ - got_)
    own = tolerance.get(f"{name.partition('_')[0]}_relative")
    if "relative" in tolerance or own is not None:
        relative = float(tolerance["relative"] if own is None else own)
        if "absolute" in tolerance:  # both: whichever allows more
            allowed_ = max(float(tolerance["absolute"]), relative * abs(wanted_))
            return Difference(name, wanted_, got_, distance, _share(distance, allowed_))
        error = distance / max(abs(wanted_), NOISE / relative if relative else 1.0)
        return Difference(name, wanted_, got_, error, _share(error, relative))
    allowed = tolerance.get("absolute", tolerance.get(name))
    if allowed is None:
        # Half a unit of the last written decimal: agreement as far as the source printed it.
        allowed = 0.5 * 10.0**-wanted.decimals * (1 + 1e-9) if isinstance(wanted, Written) else 0.0
    return Difference(name, wanted_, got_, distance, _share(distance, float(allowed)))


def _share(error: float, allowed: float) -> float:
    if error == 0.0:
        return 0.0
    return error / allowed if allowed > 0 else math.inf
