"""Exports a dataset for Qlib and has the real Qlib read it back, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from django.conf import settings

from apps.marketdata.engine.qlib_export import export_qlib
from apps.marketdata.models import Adjustment, Dataset
from apps.marketdata.selectors import dataset_folder, dataset_panel
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

CHECK_FAILED = N_("Qlib could not read what was written: %(reason)s. The folder %(path)s stays for a look.")
CHECK_SECONDS = 900


def dataset_export_qlib(dataset: Dataset, target: Path, *, check: bool = True) -> dict[str, Any]:
    """Write Qlib's layout to ``target`` and compare; returns the counts and, with ``check``, Qlib's verdict.

    Raises ``Refusal`` ``qlib_check_failed`` where Qlib itself fails.
    """
    raw = dataset.adjustment == Adjustment.RAW
    counts = export_qlib(dataset_panel(dataset), target, raw_prices=raw)
    result: dict[str, Any] = {"dataset": str(dataset), "path": str(target), **counts}
    return {**result, "qlib": _read_back(dataset, target, raw)} if check else result


def _read_back(dataset: Dataset, target: Path, raw: bool) -> dict[str, Any]:
    command = [
        sys.executable, "-m", "apps.marketdata.engine.qlib_check",
        str(target.resolve()), str(dataset_folder(dataset).resolve()), "raw" if raw else "adjusted",
    ]  # fmt: skip
    done = subprocess.run(  # noqa: S603  our own interpreter and module
        command, cwd=settings.BASE_DIR, capture_output=True, text=True, timeout=CHECK_SECONDS, check=False
    )
    try:
        result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError) as error:
        reason = (done.stderr.strip().splitlines() or ["–"])[-1][:200]
        raise Refusal("qlib_check_failed", CHECK_FAILED, status=500, reason=reason, path=str(target)) from error
    return result
