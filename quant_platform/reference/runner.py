"""Runs reference cases and says which hold, which do not and which were left out, and why."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_
from quant_platform.reference.compare import Difference, compare, missing
from quant_platform.reference.files import Files, Skip, read_case
from quant_platform.reference.vocabulary import unread

#: kind -> "module:function". A handler takes the case and its files and returns our figures under
#: the names of ``expect`` (numbers, lists, dictionaries of columns); it raises ``Skip`` with the
#: reason for what it does not cover. Strings keep torch and numba out of whoever only lists kinds.
HANDLERS: dict[str, str] = {
    "backtest": "quant_platform.reference.backtest:run",
    "features": "quant_platform.reference.features:run_features",
    "indicators": "quant_platform.reference.features:run_indicators",
    "market_rule": "quant_platform.reference.rules:run",
    "metrics": "quant_platform.reference.metrics:run",
    "portfolio": "quant_platform.reference.portfolio:run",
    "quality": "quant_platform.reference.quality:run",
    "signal": "quant_platform.reference.features:run_signal",
    "topk_dropout": "quant_platform.reference.topk:run",
    "overfitting": "quant_platform.reference.overfitting:run",
    "trademaster_env": "quant_platform.reference.trademaster:run",
}

Handler = Callable[[Mapping[str, Any], Files], Mapping[str, Any]]


def find_cases(folder: Path) -> list[Path]:
    """Return the case files of ``folder``: its own, or those of its folders, in order."""
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise Refusal("no_such_folder", N_("There is no folder %(folder)s."), folder=str(folder))
    found = sorted(folder.glob("*.json")) or sorted(p for p in folder.glob("*/*.json") if p.parent.name != "files")
    if not found:
        raise Refusal("no_cases", N_("%(folder)s holds no reference cases."), folder=str(folder))
    return found


def run_cases(folder: Path, data: Path) -> dict[str, Any]:
    """Run every case and return the document of ``verify_reference --json``."""
    cases = list(iter_cases(folder, data))
    return {
        "passed": sum(c["passed"] for c in cases),
        "failed": sum(not c["passed"] and not c["skipped"] for c in cases),
        "skipped": sum(c["skipped"] for c in cases),
        "cases": cases,
    }


def iter_cases(folder: Path, data: Path) -> Iterator[dict[str, Any]]:
    """Yield the result of each case as it is known."""
    for path in find_cases(folder):
        try:
            case = read_case(path)
            yield run_case(case, Files(path.resolve().parent, data.resolve()))
        except Refusal as refusal:
            yield _result(path.stem, "", error=str(refusal))


def run_case(case: Mapping[str, Any], files: Files) -> dict[str, Any]:
    """Return ``{"id", "kind", "passed", "skipped", "error", "worst", "compared", "unread"}`` of one case.

    ``worst`` is the value furthest from what is expected, in its tolerance's own measure; ``unread`` are keys of the
    case that nobody read.
    """
    return {**_run(case, files), "unread": unread(case)}


def _run(case: Mapping[str, Any], files: Files) -> dict[str, Any]:
    name, kind = str(case.get("id", "?")), str(case["kind"])
    try:
        actual = _handler(kind)(case, files)
        differences = list(compare(case["expect"], actual, case.get("tolerance", {}), files))
    except Skip as reason:
        return _result(name, kind, skipped=True, error=str(reason))
    except Refusal as refusal:
        return _result(name, kind, error=str(refusal))
    except KeyError as error:
        return _result(name, kind, error=f"there is no {error.args[0]} in the case or its files")
    except Exception as error:  # noqa: BLE001 - one broken case must not hide the others
        return _result(name, kind, error=f"{type(error).__name__}: {error}")
    return _judge(name, kind, differences, missing(case["expect"], actual))


def _judge(name: str, kind: str, differences: list[Difference], gone: list[str]) -> dict[str, Any]:
    if not differences:
        return _result(name, kind, skipped=True, error=f"not computed: {', '.join(gone)}")
    worst = max(differences, key=lambda d: (d.share, d.error))
    shown = {
        "name": worst.name,
        "expected": _plain(worst.expected),
        "actual": _plain(worst.actual),
        "error": _plain(worst.error),
    }
    if not worst.passed:
        failed = [d.name for d in differences if not d.passed]
        return _result(name, kind, error=f"differs: {', '.join(failed[:8])}", worst=shown, compared=len(differences))
    if gone:
        reason = f"holds as far as it goes; not computed: {', '.join(gone)}"
        return _result(name, kind, skipped=True, error=reason, worst=shown, compared=len(differences))
    return _result(name, kind, passed=True, worst=shown, compared=len(differences))


def _handler(kind: str) -> Handler:
    if kind not in HANDLERS:
        raise Skip(f"no handler for the kind {kind}")
    module, _, function = HANDLERS[kind].partition(":")
    try:
        handler: Handler = getattr(import_module(module), function)
    except ModuleNotFoundError as error:
        if str(error.name).startswith(("apps", "quant_platform")):
            raise
        raise Skip(f"{error.name} is not installed") from error
    return handler


def _result(
    name: str,
    kind: str,
    *,
    passed: bool = False,
    skipped: bool = False,
    error: str = "",
    worst: Any = None,
    compared: int = 0,
) -> dict[str, Any]:
    return {
        "id": name,
        "kind": kind,
        "passed": passed,
        "skipped": skipped,
        "error": error,
        "worst": worst,
        "compared": compared,
        "unread": [],
    }


def _plain(value: Any) -> Any:
    """Return ``value`` as JSON can hold it: infinity and NaN become words."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    return value if isinstance(value, (int, str, type(None))) else str(value)
