"""Runs other programs for comparison, each in its own process of ``.venv-bench``.

The peers need versions of their own (``requirements-bench.txt``), so they never share ours.
A peer script answers each line on its standard input with one JSON line
``{"seconds": …, "value": …}``: CPU seconds of one round, measured by itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, cast

BASE = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).resolve().parent / "peer_scripts"


class PeerMissing(Exception):
    """The peer cannot run here; the text says why in a few words."""


def peer_python() -> Path:
    """Return the interpreter with the peers: ``BENCH_PYTHON``, or the one of ``.venv-bench``."""
    named = os.environ.get("BENCH_PYTHON")
    folder = BASE / ".venv-bench"
    python = Path(named) if named else folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.is_file():
        raise PeerMissing("not installed: run make bench, or pip install -r requirements-bench.txt into .venv-bench")
    return python


class Peer:
    """A running peer script: ``round()`` lets it do the work once more."""

    def __init__(self, script: str, arguments: Sequence[str] = (), *, python: str = "") -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own script
            [python or str(peer_python()), str(SCRIPTS / script), *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
        )  # fmt: skip
        self._to, self._from = cast("IO[str]", self._process.stdin), cast("IO[str]", self._process.stdout)
        self.value: float | None = None
        self._answer()  # the script says hello once it is ready, or what it lacks

    def round(self) -> float:
        """Return the CPU seconds of one round."""
        self._to.write("\n")
        self._to.flush()
        answer = self._answer()
        self.value = answer.get("value")
        return float(answer["seconds"])

    def _answer(self) -> dict[str, float]:
        line = self._from.readline()
        answer = json.loads(line) if line else {"missing": f"ended with status {self._process.wait()}"}
        if "missing" in answer:
            self.close()
            raise PeerMissing(str(answer["missing"]))
        return dict(answer)

    def close(self) -> None:
        self._to.close()
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait()
        self._from.close()

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def say(text: str) -> None:
    """Tell whoever watches what runs now; standard output belongs to the document."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201
