"""Loads an exported folder with the real Qlib and compares every value with the dataset.

Run as a child process, because importing Qlib is slow and leaves global state behind:
``python -m apps.marketdata.engine.qlib_check QLIB_FOLDER DATASET_FOLDER raw|adjusted`` prints JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.qlib_export import FREQUENCIES, symbol_fields
from apps.marketdata.engine.store import bar_mask, load_panel


def compare(qlib_folder: Path, panel: BarPanel, *, raw_prices: bool) -> dict[str, Any]:
    """Return ``{"verdict", "compared", "different", "first_difference"}`` of Qlib's values against ours as float32."""
    frame, frequency = _load(qlib_folder, panel)
    compared = different = 0
    first: dict[str, Any] | None = None
    mask = bar_mask(panel)
    known = set(frame.index.get_level_values(0)) if len(frame) else set()
    for row, symbol in enumerate(panel.symbols):
        if symbol.upper() not in known:
            continue
        own = frame.loc[symbol.upper()]
        bars = np.flatnonzero(mask[row])
        different += abs(len(own) - int(bars[-1] - bars[0] + 1))
        at = np.searchsorted(panel.times, own.index.to_numpy().astype("datetime64[ns]"))
        for name, values in symbol_fields(panel, row, raw_prices).items():
            ours, theirs = values[at].astype(np.float32), own[f"${name}"].to_numpy(dtype=np.float32)
            same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
            compared += len(same)
            different += int((~same).sum())
            if first is None and not same.all():
                where = int(np.argmin(same))
                first = {"symbol": symbol, "time": str(panel.times[at[where]]), "field": name}
    missing = [symbol for symbol in panel.symbols if symbol.upper() not in known]
    verdict = "equal" if compared and not different and not missing else "different"
    return {"verdict": verdict, "frequency": frequency, "compared": compared, "different": different,
            "missing_symbols": missing, "first_difference": first}  # fmt: skip


def _load(qlib_folder: Path, panel: BarPanel) -> tuple[Any, str]:
    import qlib
    from qlib.data import D

    frequency = FREQUENCIES[panel.frequency]
    qlib.init(provider_uri={frequency: str(qlib_folder)}, region="us", kernels=1, joblib_backend="threading")
    names = [f"${name}" for name in symbol_fields(panel, 0, raw_prices=_has_factor(qlib_folder))]
    return D.features(D.instruments("all"), names, freq=frequency, disk_cache=0), frequency


def _has_factor(qlib_folder: Path) -> bool:
    return any((qlib_folder / "features").glob("*/factor.*.bin"))


def main(arguments: list[str]) -> int:
    """Compare and print the result as JSON; 0 when every value is equal."""
    qlib_folder, dataset_folder, prices = arguments
    result = compare(Path(qlib_folder), load_panel(Path(dataset_folder)), raw_prices=prices == "raw")
    sys.stdout.write(json.dumps(result) + "\n")
    return 0 if result["verdict"] == "equal" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
