"""A seeded sequence of faults against one training, and the promises that have to hold."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from quant_platform.chaos.faults import Fault, faults_for, flows, stopped_in_order
from quant_platform.chaos.installation import Installation, PromiseBroken, curves
from quant_platform.chaos.undisturbed import Undisturbed

PROMISES = {
    "recovered": "after every fault the session went on by itself, or as soon as it was told to",
    "log": "the log has no hole, and no attempt spoke after a later one had begun",
    "curve": "every point is there once, equal to an undisturbed run's",
    "stopped": "an orderly stop saved it and put it back into the queue",
    "orphans": "no process was left behind",
}


@dataclass
class Report:
    """What was done (fault, seconds) and which promises held; ``broken`` says why one did not."""

    seed: int
    done: list[tuple[str, float]] = field(default_factory=list)
    held: dict[str, bool] = field(default_factory=dict)
    broken: str = ""
    steps: int = 0

    @property
    def ok(self) -> bool:
        return not self.broken and all(self.held.get(name) for name in PROMISES)

    def document(self) -> dict[str, Any]:
        done = [{"fault": name, "seconds": seconds} for name, seconds in self.done]
        promises = {name: self.held.get(name) for name in PROMISES}
        return {"ok": self.ok, "seed": self.seed, "faults": done, "steps": self.steps, "promises": promises} | (
            {"broken": self.broken} if self.broken else {}
        )


def sequence(seed: int, count: int, database: str) -> list[Fault]:
    """Return ``count`` faults: each kind once in a random order before any comes again."""
    r, known, drawn = random.Random(seed), faults_for(database), list[Fault]()
    while len(drawn) < count:
        drawn += r.sample(known, len(known))
    return drawn[:count]


def named(names: Sequence[str], database: str) -> list[Fault]:
    """Return the faults called ``names``; raises ``KeyError`` with the first that this database cannot suffer."""
    known = {fault.name: fault for fault in faults_for(database)}
    return [known[name] for name in names]


def run(here: Installation, faults: Sequence[Fault], seed: int, say: Callable[[str], None]) -> Report:
    """Disturb one training with ``faults``, stop the installation and compare with the same training undisturbed.

    ``here`` is prepared and served. A promise that does not hold ends the run and is in the report.
    """
    report = Report(seed)
    try:
        _disturb(here, faults, report, say)
    except PromiseBroken as broken:
        report.broken = str(broken)
    return report


def _disturb(here: Installation, faults: Sequence[Fault], report: Report, say: Callable[[str], None]) -> None:
    disturbed = here.ask("start")
    undisturbed = Undisturbed(here, disturbed)
    flows(here, disturbed, "start")
    report.held["recovered"] = False
    for fault in faults:
        start = time.monotonic()
        fault.do(here, disturbed)
        report.done.append((fault.name, round(time.monotonic() - start, 2)))
        say(f"{fault.words}: {report.done[-1][1]:.1f} s")
        undisturbed.reach(here.ask("look", disturbed)["said"])
    report.held["recovered"] = True

    flows(here, disturbed, "before the end")
    stopped_in_order(here, disturbed)
    report.held["stopped"] = True
    here.nothing_left()
    report.held["orphans"] = True
    report.steps = here.ask("look", disturbed)["said"]
    say(f"{report.steps} steps disturbed; the same undisturbed")
    got, expected = curves(here.ask("log", disturbed)), undisturbed.curves(report.steps)
    report.held["log"] = True
    for name, points in got.items():
        if points != expected.get(name, [])[: len(points)]:
            raise PromiseBroken(f"the curve of {name} is not that of an undisturbed run")
    report.held["curve"] = bool(got)
