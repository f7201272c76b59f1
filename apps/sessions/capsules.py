"""Run capsules: taken when an attempt starts, kept beside the result, read again by page, API and Verify."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from apps.accounts.engine.redact import redacted
from apps.marketdata.models import Dataset
from apps.marketdata.selectors import dataset_panel
from apps.sessions.engine.capsule import SCHEMA, differences, digest
from apps.sessions.models import Session
from apps.sessions.selectors import best_checkpoint, session_folder
from apps.sessions.services.benchmarks import benchmark_dataset
from apps.strategies.engine.registry import parse_config, strategy_type
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_
from apps.ui.prepared import prepared

#: Libraries that take part in a result; the whole lock is there as a hash.
LIBRARIES = ("numpy", "pandas", "pyarrow", "scipy", "numba", "llvmlite", "torch", "safetensors", "pydantic", "django")
#: Settings that a run's outcome may depend on, as they are in effect.
SETTINGS = (
    "QP_ENV", "QP_TRAIN_EPOCHS", "QP_TRAIN_LEARNING_RATE", "QP_TRAIN_BATCH", "QP_TRAIN_SEED", "QP_BACKTEST_CAPITAL",
    "QP_SIGNAL_BUY", "QP_SIGNAL_SELL", "QP_SIGNAL_MIN_CONFIDENCE", "QP_SIGNAL_MIN_BARS", "QP_SIZING_MAX_POSITION",
    "QP_SIZING_MAX_NAMES", "QP_STOP_LOSS", "QP_TAKE_PROFIT",
)  # fmt: skip
#: Variables of the environment that change how the libraries compute, where they are set.
VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "NUMBA_DISABLE_JIT",
    "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "PYTHONHASHSEED", "CUBLAS_WORKSPACE_CONFIG", "MKL_CBWR",
    "ATEN_CPU_CAPABILITY",
)  # fmt: skip
SOURCES = ("apps", "quant_platform")


def capsule_path(session_id: int) -> Path:
    return session_folder(session_id) / "capsule.json"


def capsule_record(session: Session, ledger: dict[str, Any] | None = None) -> dict[str, Any]:
    """Take the capsule of the attempt that starts, write it beside the result and its hash into the row.

    ``ledger`` is what was tried of the idea before a backtest. An earlier attempt that ran on something
    else stays on record under ``earlier``.
    """
    document = capsule_take(session)
    if ledger is not None:
        document["ledger"] = ledger
    document["earlier"] = _earlier(session, document)
    document = redacted(document)
    path = capsule_path(session.pk)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False), encoding="utf-8")
    partial.replace(path)
    mine = Session.objects.filter(pk=session.pk, attempt=session.attempt)
    mine.update(capsule_hash=digest(document), environment=environment_of(document))
    return document


@prepared
def _hash(session: int) -> QuerySet[Session, str]:
    return Session.objects.filter(pk=session).values_list("capsule_hash", flat=True)


def capsule_of(session: Session) -> dict[str, Any]:
    """Return the capsule of a session; raises ``Refusal`` ``no_capsule`` (404) or ``capsule_damaged`` (409)."""
    stored = _hash.first(session.pk)
    try:
        document: dict[str, Any] = json.loads(capsule_path(session.pk).read_text(encoding="utf-8"))
        intact = digest(document) == stored
    except FileNotFoundError:
        raise Refusal(
            "no_capsule",
            N_(
                "Session %(session)s has no run capsule: it has not started, or an older version of the program ran it."
            ),
            status=404,
            session=session.pk,
        ) from None
    except (OSError, ValueError, TypeError):
        intact = False
    if not intact:
        raise Refusal(
            "capsule_damaged",
            N_("The run capsule of session %(session)s is not what was written: its hash differs."),
            status=409,
            session=session.pk,
        )
    return document


def capsule_take(session: Session, *, read_data: bool = False) -> dict[str, Any]:
    """Return what the session, run here and now, depends on.

    ``read_data`` reads every byte of the data again and says ``changed`` where it is not what was imported.
    """
    type_key = session.version.strategy.type
    other = benchmark_dataset(session, session.owner)
    torch = strategy_type(type_key).trains(parse_config(type_key, session.config))
    return {
        "schema": SCHEMA,
        "session": session.pk,
        "kind": session.kind,
        "strategy": {"type": type_key, "version": session.version.number, "hash": session.version.config_hash},
        "config": session.config,
        "params": session.params,
        "seeds": _seeds(session.config),
        "data": [_data(session.dataset, read_data)],
        **({} if other is None else {"benchmark": _data(other, read_data)}),
        "checkpoint": _checkpoint(session),
        "code": code(),
        "libraries": libraries(),
        "device": device(torch=torch),
        "environment": {
            "python": platform.python_version(),
            "system": platform.platform(),
            "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
            "settings": {name: getattr(settings, name) for name in SETTINGS},
        },
    }


def _seeds(config: dict[str, Any]) -> list[int]:
    first = config.get("seed")
    return [] if first is None else list(range(int(first), int(first) + int(config.get("seeds") or 1)))


def _data(dataset: Dataset, read: bool) -> dict[str, Any]:
    state = "stored"
    if read:
        try:
            dataset_panel(dataset, verify=True)
        except Refusal as refusal:
            if refusal.code != "dataset_changed":
                raise
            state = "changed"
    return {
        "name": dataset.name, "version": dataset.version, "content_hash": dataset.content_hash, "files": state,
        "adjustment": dataset.adjustment, "rows": dataset.rows,
    }  # fmt: skip


def _checkpoint(session: Session) -> dict[str, Any]:
    """Return the checkpoint that decides in a backtest; nothing where none does."""
    training = Session.objects.filter(pk=session.params.get("checkpoint_session") or 0).first()
    row = best_checkpoint(training) if training is not None else None
    return {"session": row.session_id, "step": row.step, "sha256": row.sha256} if row is not None else {}


@cache
def code() -> dict[str, Any]:
    """Return the version of the program, its commit where it runs from a checkout, and the hash of its source.

    ``dirty`` is true where files differ from the commit, null where there is no commit to differ from.
    """
    described = _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude", "*")
    commit = described.removesuffix("-dirty")
    return {
        "version": settings.VERSION,
        "commit": commit,
        "dirty": described != commit if commit else None,
        "source_sha256": source_hash(Path(settings.BASE_DIR)),
    }


def source_hash(base: Path) -> str:
    """Return the SHA-256 over name and content of every Python file of the program below ``base``."""
    whole = hashlib.sha256()
    for path in sorted(path for part in SOURCES for path in (base / part).rglob("*.py")):
        whole.update(path.relative_to(base).as_posix().encode() + b"\0")
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - our own folder
            ["git", "-C", str(settings.BASE_DIR), *arguments],  # noqa: S607
            capture_output=True, text=True, timeout=5, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


@cache
def libraries() -> dict[str, str]:
    """Return the versions that count and the hash of the requirements lock; empty where there is none."""
    lock = Path(settings.BASE_DIR) / "requirements.txt"
    found = {"lock_sha256": hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else ""}
    return found | {name: _version(name) for name in LIBRARIES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def device(*, torch: bool) -> dict[str, Any]:
    """Return what computes; the part of torch only where a network does, since nothing else depends on it."""
    found: dict[str, Any] = {"type": "cpu", "processor": processor(), "cores": os.cpu_count() or 1}
    if not torch:
        return found
    import torch as library

    return found | {
        "threads": library.get_num_threads(),
        "instructions": library.backends.cpu.get_cpu_capability(),
        "deterministic": library.are_deterministic_algorithms_enabled(),
    }


@cache
def processor() -> str:
    """Return the model of the processor; its architecture where the system tells no more."""
    if sys.platform == "linux":
        try:
            lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def environment_of(document: dict[str, Any]) -> dict[str, Any]:
    """Return the short form that lists and comparisons show."""
    shown, where = document["environment"], document["device"]
    return {
        "python": shown["python"],
        "platform": shown["system"],
        "processor": where["processor"],
        "device": where["type"],
        "threads": where.get("threads", ""),
        "code": document["code"]["commit"][:9] or document["code"]["version"],
        "libraries": {name: value for name, value in document["libraries"].items() if name != "lock_sha256"},
    }


def _earlier(session: Session, document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what attempts before this one ran on, where that was something else."""
    if session.attempt <= 1:
        return []
    try:
        before = capsule_of(session)
    except Refusal:
        return []
    changed = [one.document() for one in differences(before, redacted(document))]
    known: list[dict[str, Any]] = before.get("earlier", [])
    return [*known, {"attempt": session.attempt - 1, "differences": changed}] if changed else known
