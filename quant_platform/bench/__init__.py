"""Benchmarks: what we promise to be fast, measured beside its peers in one run.

``manage.py bench NAME`` prints medians of interleaved rounds. A benchmark is a function that
returns ``Row`` objects; it is named here as a string so that listing them imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module

from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

BENCHMARKS: dict[str, str] = {
    "backtest": "quant_platform.bench.backtest:rows",
    "rl_env": "quant_platform.bench.rl_env:rows",
    "push": "quant_platform.bench.push:rows",
    "start": "quant_platform.bench.start:rows",
    "http": "quant_platform.bench.http:rows",
    "metric": "quant_platform.bench.metric:rows",
    "features": "quant_platform.bench.features:rows",
    "load": "quant_platform.bench.features:load_rows",
    "quotes": "quant_platform.bench.quotes:rows",
    "signals": "quant_platform.bench.features:signal_rows",
    "historical": "quant_platform.bench.historical:rows",
    "import": "quant_platform.bench.imports:rows",
}
#: Those that measure on either database; the function takes "sqlite", "postgres" or "" (what is in use).
ON_A_DATABASE = ("push", "start", "http", "metric", "quotes", "historical")


@dataclass(frozen=True)
class Row:
    """One figure against its goal.

    ``measured`` is compared with ``goal`` in ``unit``: at most, or at least where
    ``more_is_better``. ``ours_s`` and ``peer_s`` are CPU seconds (wall where ``clock`` says so)
    of the same work; ``peer_s`` is None, and ``note`` says why, where the peer did not run.
    """

    work: str
    measured: float
    goal: float
    unit: str = "CPU s"
    more_is_better: bool = False
    ours_s: float | None = None
    peer: str = ""
    peer_s: float | None = None
    clock: str = "cpu"
    note: str = ""

    @property
    def met(self) -> bool:
        return self.measured >= self.goal if self.more_is_better else self.measured <= self.goal

    @property
    def ratio(self) -> float | None:
        """How many times longer the peer takes."""
        return self.peer_s / self.ours_s if self.peer_s and self.ours_s else None

    def document(self) -> dict[str, object]:
        return {
            "work": self.work,
            "ours_s": self.ours_s,
            "peer": self.peer or None,
            "peer_s": self.peer_s,
            "ratio": self.ratio,
            "goal": self.goal,
            "measured": self.measured,
            "unit": self.unit,
            "more_is_better": self.more_is_better,
            "clock": self.clock,
            "met": self.met,
            "note": self.note,
        }


def benchmark(name: str, database: str = "") -> Callable[..., Sequence[Row]]:
    """Return the benchmark called ``name``, on ``database`` where one is asked for; refuses an unknown one, naming
    those there are, and a database for what measures none."""
    try:
        module, _, function = BENCHMARKS[name].partition(":")
    except KeyError:
        known = ", ".join([*BENCHMARKS, "all"])
        raise Refusal(
            "unknown_benchmark", N_("There is no benchmark %(name)s; choose one of %(known)s."), name=name, known=known
        ) from None
    if database and name not in ON_A_DATABASE:
        raise Refusal(
            "no_database_measured", N_("The benchmark %(name)s measures no database; these do: %(known)s."),
            name=name, known=", ".join(ON_A_DATABASE),
        )  # fmt: skip
    rows: Callable[..., Sequence[Row]] = getattr(import_module(module), function)
    return partial(rows, database) if database else rows
