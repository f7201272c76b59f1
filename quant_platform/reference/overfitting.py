"""Reference cases of kind ``overfitting``: figures of luck, given in ``inputs`` or in a sentence of ``rules``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from apps.trading.engine import overfitting as o
from quant_platform.reference.files import Files, Skip

NUMBER = r"(-?\d+(?:,\d{3})*(?:\.\d+)?)"
#: What a sentence says -> our name.
SAID = {
    "annual_sharpe": rf"annuali[sz]ed Sharpe(?: ratio)?(?: of)? {NUMBER}",
    "daily_sharpe": rf"(?:daily|by bar|per[- ]period) Sharpe(?: ratio)?(?: of)? {NUMBER}",
    "observations": rf"{NUMBER} (?:(?:daily|weekly|monthly|hourly) )?(?:returns|observations)",
    "year": rf"{NUMBER}(?: \w+)? (?:a|per) year",
    "skewness": rf"skew(?:ness)?(?: of)? {NUMBER}",
    "kurtosis": rf"(?<!excess )kurtosis(?: of)? {NUMBER}",
    "excess_kurtosis": rf"excess kurtosis(?: of)? {NUMBER}",
    "trials": rf"{NUMBER} (?:independent )?trials",
    "annual_variance": rf"annuali[sz]ed Sharpe ratios (?:have|with)(?: a)? variance(?: of)? {NUMBER}",
    "annual_benchmark": rf"(?:benchmark|threshold)(?: annuali[sz]ed)?(?: Sharpe(?: ratio)?)?(?: of)? {NUMBER}",
    "confidence": rf"confidence(?: level)?(?: of)? {NUMBER}",
    "blocks": rf"{NUMBER} (?:blocks|parts|partitions|sub-?matrices)",
}
#: Keys a case may use -> our name.
KEYS = {
    "sharpe": "daily_sharpe", "sharpe_annual": "annual_sharpe", "annualised_sharpe": "annual_sharpe",
    "annualized_sharpe": "annual_sharpe", "sharpe_daily": "daily_sharpe", "sr": "daily_sharpe",
    "n": "observations", "T": "observations", "n_obs": "observations", "periods_per_year": "year",
    "skew": "skewness", "kurt": "kurtosis", "n_trials": "trials", "N": "trials",
    "variance": "daily_variance", "sharpe_variance": "daily_variance", "trials_variance": "daily_variance",
    "annualised_variance": "annual_variance", "annualized_variance": "annual_variance",
    "sharpe_variance_annual": "annual_variance", "benchmark_sharpe": "daily_benchmark",
    "threshold": "daily_benchmark", "S": "blocks", "n_blocks": "blocks",
}  # fmt: skip


def run(case: Mapping[str, Any], files: Files) -> Mapping[str, Any]:
    """Return the figures ``expect`` names; skips what gives neither moments nor returns."""
    said = inputs_of(case)
    found: dict[str, Any] = {}
    table = files.table(case["data"]) if isinstance(case.get("data"), str) else None
    if table is not None:
        found |= _chosen(table, said)
    moments = _moments(table, said)
    if moments is not None:
        found |= _of_moments(moments, said)
    if said.get("trials"):
        found |= _of_trials(said)
    known = {name: found[name] for name in case["expect"] if name in found}
    if not known:
        raise Skip(f"none of {', '.join(case['expect'])} is known")
    return known


def inputs_of(case: Mapping[str, Any]) -> dict[str, float]:
    """Return what the case is given, by our names: its sentence first, then its keys."""
    sentence = str(case.get("rules", ""))
    said: dict[str, float] = {}
    for name, pattern in SAID.items():
        match = re.search(pattern, sentence, re.IGNORECASE)
        if match:
            said[name] = float(match[1].replace(",", ""))
    given = {**case, **dict(case.get("inputs") or case.get("config") or {})}
    names = set(KEYS.values()) | set(SAID)
    for key, value in given.items():
        name = KEYS.get(key, key)
        if name in names and isinstance(value, (int, float)) and not isinstance(value, bool):
            said[name] = float(value)
    said.setdefault("year", 252.0)
    return said


def _daily(said: Mapping[str, float], name: str, power: float) -> float | None:
    """Return a figure by bar, from itself or from the annualised one."""
    if f"daily_{name}" in said:
        return said[f"daily_{name}"]
    return said[f"annual_{name}"] / said["year"] ** power if f"annual_{name}" in said else None


def _moments(table: pd.DataFrame | None, said: Mapping[str, float]) -> o.Moments | None:
    sharpe = _daily(said, "sharpe", 0.5)
    if sharpe is not None and "observations" in said:
        kurtosis = said.get("kurtosis", said.get("excess_kurtosis", 0.0) + 3.0)
        return o.Moments(sharpe, int(said["observations"]), said.get("skewness", 0.0), kurtosis)
    for column in ("ret", "return", "returns"):
        if table is not None and column in table:
            return o.Moments.of(np.asarray(table[column], np.float64))
    return None


def _of_moments(moments: o.Moments, said: Mapping[str, float]) -> dict[str, Any]:
    benchmark = _daily(said, "benchmark", 0.5) or 0.0
    confidence = said.get("confidence", o.CONFIDENCE)
    length = o.minimum_track_record(moments, benchmark, confidence / 100 if confidence > 1 else confidence)
    found: dict[str, Any] = {
        "probabilistic_sharpe": o.probabilistic_sharpe(moments, benchmark),
        "psr": o.probabilistic_sharpe(moments, benchmark),
        "minimum_track_record": length, "min_track_record_length": length, "min_trl": length,
        "minimum_track_record_years": None if length is None else length / said["year"],
    }  # fmt: skip
    if "trials" in said:
        variance = _daily(said, "variance", 1.0)
        spread = 1.0 / max(moments.observations - 1, 1) if variance is None else variance
        deflated = o.deflated_sharpe(moments, int(said["trials"]), spread)
        found |= {"deflated_sharpe": deflated, "dsr": deflated}
        found["trials_left"] = o.trials_left(moments, int(said["trials"]), spread)
    return found


def _of_trials(said: Mapping[str, float]) -> dict[str, Any]:
    trials, variance = int(said["trials"]), _daily(said, "variance", 1.0)
    if variance is None:
        if "observations" not in said:
            return {"minimum_backtest_length": o.minimum_backtest_length(trials)}
        variance = 1.0 / (said["observations"] - 1)
    daily = o.expected_max_sharpe(trials, variance)
    annual = daily * math.sqrt(said["year"])
    return {
        "expected_max_sharpe_daily": daily, "expected_max_sharpe": daily, "expected_max_sharpe_annual": annual,
        "minimum_backtest_length": o.minimum_backtest_length(trials),
    }  # fmt: skip


def _chosen(table: pd.DataFrame, said: Mapping[str, float]) -> dict[str, Any]:
    """Return what CSCV finds where every number column is a trial."""
    columns = table.select_dtypes("number")
    if columns.shape[1] < 2:
        return {}
    found = o.cscv(columns.to_numpy(np.float64), int(said.get("blocks", 16)))
    return {"pbo": found.pbo, "probability_of_loss": found.loss, "degradation_slope": found.slope}
