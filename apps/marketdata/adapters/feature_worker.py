"""Asks the feature process, started on first use and again after its death; one question at a time."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, cast

from django.conf import settings

from apps.marketdata.engine.features.answers import key, make_room, suffix, touch
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

logger = logging.getLogger(__name__)
BUSY = N_("The feature engine is busy with other questions. Ask again in a moment.")
TOO_LONG = N_(
    "The computation took longer than %(seconds)s s and was stopped. Ask for fewer symbols, days or features."
)
BROKEN = N_("The feature engine stopped with an error. It is written in the log of the web process.")


class FeatureWorker:
    """A child process that answers questions line by line."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def ask(self, question: Mapping[str, Any], target: Path) -> None:
        """Have ``question`` answered into ``target``; raises ``Refusal``, also when it takes too long."""
        seconds = float(settings.QP_FEATURE_SECONDS)
        if not self._lock.acquire(timeout=seconds):
            raise Refusal("busy", BUSY, status=503)
        try:
            reply = self._exchange(question, target, seconds) or self._exchange(question, target, seconds)
        finally:
            self._lock.release()
        if reply is None or reply.get("code") == "broken":
            logger.error("feature process: %s", "ended" if reply is None else reply["detail"])
            raise Refusal("feature_engine_broken", BROKEN, status=500)
        if "code" in reply:
            raise Refusal(
                reply["code"], reply["message"], status=reply["status"], field=reply["field"], **reply["params"]
            )

    def _exchange(self, question: Mapping[str, Any], target: Path, seconds: float) -> dict[str, Any] | None:
        """Return the reply, or None where the process was found dead (it leaves when idle)."""
        process = self._running()
        stopped = threading.Event()

        def stop() -> None:
            stopped.set()
            process.kill()

        clock = threading.Timer(seconds, stop)
        clock.start()
        try:
            to, back = cast("IO[str]", process.stdin), cast("IO[str]", process.stdout)
            to.write(json.dumps({"question": dict(question), "target": str(target)}) + "\n")
            to.flush()
            line = back.readline()
        except OSError:
            line = ""
        finally:
            clock.cancel()
        if line:
            return dict(json.loads(line))
        self.close()
        if stopped.is_set():
            raise Refusal("too_long", TOO_LONG, status=503, seconds=f"{seconds:g}")
        return None

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "apps.marketdata.engine.features.worker"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=settings.BASE_DIR,
                env={**os.environ, "VAR_DIR": str(settings.VAR_DIR), "OMP_NUM_THREADS": "1"},
            )  # fmt: skip
        return self._process

    def close(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


worker = FeatureWorker()


def cache_folder() -> Path:
    return Path(settings.VAR_DIR) / "cache" / "features"


def cached(question: Mapping[str, Any]) -> Path | None:
    """Return the answer that is there already."""
    path = cache_folder() / (key(question) + suffix(question))
    return path if touch(path) else None


def answered(question: Mapping[str, Any]) -> Path:
    """Return the file with the answer, computed where it is not there yet; raises ``Refusal``."""
    path = cached(question)
    if path is None:
        path = cache_folder() / (key(question) + suffix(question))
        worker.ask(question, path)
        make_room(cache_folder(), settings.QP_FEATURE_CACHE_MB * 1024**2)
    return path
