"""The same training, undisturbed: it follows the disturbed one and says what its points should have been.

The trainer alone, without sessions, log or checkpoints, in a process beside the installation (``python -m``,
internal). It computes as far as it is told, so that nobody waits for it at the end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

from apps.sessions.runner.children import child_variables
from quant_platform.chaos.installation import BASE, Installation, PromiseBroken

if TYPE_CHECKING:
    from torch import Tensor

Curves = dict[str, list[tuple[int, float]]]


class Undisturbed:
    """The process of it: ``reach`` steps while the faults go on, then read the ``curves``."""

    def __init__(self, here: Installation, pk: int) -> None:
        self.process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "quant_platform.chaos.undisturbed", str(pk)],
            env={**here.env, **child_variables(int(here.env["SLOTS"]))}, cwd=BASE, text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=here.log("undisturbed"),
        )  # fmt: skip
        here.helpers.append(self.process)

    def reach(self, step: int) -> None:
        """Let it compute up to ``step``; returns at once."""
        if self.process.stdin is not None:
            with suppress(BrokenPipeError):  # its own words are in its log, and ``curves`` tells
                self.process.stdin.write(f"{step}\n")
                self.process.stdin.flush()

    def curves(self, step: int) -> Curves:
        """Return metric -> (step, value) up to ``step`` at least, when it got there."""
        self.reach(step)
        found, _ = self.process.communicate()
        if self.process.returncode:
            raise PromiseBroken(f"the undisturbed run ended with {self.process.returncode}")
        return {name: [(at, value) for at, value in points] for name, points in json.loads(found).items()}


class Enough(Exception):
    """Nobody asks for more."""


class Follower:
    """Implements ``ports.Sink``: keeps every point and waits where nobody has asked for more yet."""

    def __init__(self, goals: TextIO) -> None:
        self.goals, self.goal, self.curves = goals, -1, dict[str, list[tuple[int, float]]]()

    def point(
        self, step: int, values: Mapping[str, float], *, epoch: int | None = None, seed: int | None = None
    ) -> None:
        while step > self.goal:
            line = self.goals.readline()
            if not line:
                raise Enough
            self.goal = max(self.goal, int(line))
        for name, value in values.items():
            self.curves.setdefault(name, []).append((step, float(value)))

    def progress(self, done: float, total: float, unit: str) -> None:
        """Nobody looks."""

    def log(self, text: str, level: str = "info") -> None:
        """Nobody reads it."""

    def checkpoint_due(self) -> bool:
        return False

    def save(
        self,
        step: int,
        tensors: Mapping[str, Tensor],
        state: Mapping[str, Any],
        *,
        epoch: int = 0,
        score: float | None = None,
        best: bool = False,
    ) -> None:
        """Nothing is resumed from it."""

    def stop_requested(self) -> bool:
        return False


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "quant_platform.settings.child")
    import django

    django.setup()
    from django.db import connection

    from apps.sessions.jobs.training import trainer_of
    from apps.sessions.models import Session
    from apps.sessions.runner.process import be_modest

    be_modest()
    session = Session.objects.select_related("version__strategy", "dataset").get(pk=int(sys.argv[1]))
    train = trainer_of(session)
    connection.close()  # The faults of the database are not for it.
    follower = Follower(sys.stdin)
    with suppress(Enough):
        train(follower, None)
    json.dump(follower.curves, sys.stdout)


if __name__ == "__main__":
    main()
