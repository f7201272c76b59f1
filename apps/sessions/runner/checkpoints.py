"""Checkpoints on disk: safetensors and JSON, whole or not at all.

Written beside their place, flushed to the disk and renamed; the database row follows in the
transaction that commits the step. Nothing is ever unpickled.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.strategies.engine.ports import Resume
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Written:
    """A checkpoint on disk: the weights' file, its hash and the size of both files."""

    path: Path
    sha256: str
    size_bytes: int


class CorruptCheckpoint(Exception):
    """A checkpoint's file is gone, cut off or changed."""


def write(folder: Path, stem: str, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> Written:
    """Write ``<stem>.safetensors`` and ``<stem>.json``; raises ``Refusal`` ``disk_full``."""
    from safetensors.torch import save

    data = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    digest = hashlib.sha256(data).hexdigest()
    text = json.dumps({"sha256": digest, "state": dict(state)}, allow_nan=False).encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_whole(folder / f"{stem}.json", text)
        _write_whole(folder / f"{stem}.safetensors", data)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise
        raise Refusal(
            "disk_full",
            N_("The disk is full: %(detail)s. The last checkpoint is intact; free some space and resume."),
            detail=os.strerror(error.errno),
        ) from error
    return Written(folder / f"{stem}.safetensors", digest, len(data) + len(text))


def _write_whole(path: Path, data: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def read(path: Path, step: int, sha256: str) -> Resume:
    """Return the checkpoint at ``path``; raises ``CorruptCheckpoint`` unless it is the one written."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        data = path.read_bytes()
        document = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        if hashlib.sha256(data).hexdigest() != sha256 or document["sha256"] != sha256:
            raise CorruptCheckpoint(f"{path.name} is not what was written")
        return Resume(step, load(data), document["state"])
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise CorruptCheckpoint(f"{path.name}: {error}") from error


def remove(paths: Iterable[Path]) -> None:
    """Delete checkpoints that are no longer needed; a missing file is fine."""
    for path in paths:
        path.unlink(missing_ok=True)
        path.with_suffix(".json").unlink(missing_ok=True)
