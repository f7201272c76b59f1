"""What an agent needs of the outside world, and what it gives back. No Django here.

``train(config, panel, sink, resume, venue) -> TrainResult`` is the whole contract of a trainer (``venue`` is
``execution.Venue``, or None where no market's rules are obeyed) and
``decide(config, panel, policy_dir) -> Decisions`` that of a policy; sessions implement the
sink over the live log, tests use ``ListSink``, the command line a progress bar.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor


class Stopped(Exception):
    """Raised by a trainer after it saved its state because ``sink.stop_requested()`` was true."""


@dataclass(frozen=True)
class Resume:
    """The state a trainer saved: tensors by name (safetensors) and JSON-able ``state``."""

    step: int
    tensors: Mapping[str, Tensor]
    state: Mapping[str, Any]


class Sink(Protocol):
    """Where a run reports. Every method is cheap: writing happens in batches behind it."""

    def point(
        self, step: int, values: Mapping[str, float], *, epoch: int | None = None, seed: int | None = None
    ) -> None:
        """Record metric values at ``step``; NaN and infinity are refused as ``nan_metric``."""

    def progress(self, done: float, total: float, unit: str) -> None:
        """Say how far the run is, in a unit a person knows (epoch, episode, bar)."""

    def log(self, text: str, level: str = "info") -> None:
        """Add a line to the session's log."""

    def checkpoint_due(self) -> bool:
        """Tell whether enough time has passed for the trainer to call ``save``."""

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
        """Write a checkpoint and commit it with all points up to ``step`` in one transaction.

        ``state`` must hold all that makes the continuation equal to an uninterrupted run
        (generator states as tensors, counters). ``best`` keeps it as the policy to use.
        """

    def stop_requested(self) -> bool:
        """Tell whether to save and raise ``Stopped`` (pause, cancel, shutdown, time limit)."""


@dataclass(frozen=True)
class TrainResult:
    """``test`` and ``validation`` are metrics by their glossary name; ``baselines`` the same by
    baseline name; ``policy`` tells ``decide`` how to read the best checkpoint (JSON-able); ``weights`` is
    the SHA-256 of the final and the chosen weights, empty where a trainer has none to tell."""

    validation: dict[str, float | None]
    test: dict[str, float | None]
    baselines: dict[str, dict[str, float | None]]
    policy: dict[str, Any] = field(default_factory=dict)
    weights: str = ""


@dataclass(frozen=True)
class NamedRule:
    """A rule the compiled kernel knows: sma_cross, rsi_reversal, buy_and_hold."""

    name: str
    params: dict[str, float]


@dataclass(frozen=True)
class TargetPositions:
    """Wanted side of each asset after the close of each bar: (S, T) of -1, 0, 1."""

    targets: NDArray[np.int8]


@dataclass(frozen=True)
class TargetWeights:
    """Wanted share of equity of each asset after the close of each bar: (S, T); a NaN column keeps
    the shares held (no rebalance at that bar). ``scores`` (S, T) is the signal that ranks them, where there is
    one: the higher the better, NaN for who is not ranked."""

    weights: NDArray[np.float64]
    scores: NDArray[np.float64] | None = None


Decisions = NamedRule | TargetPositions | TargetWeights


@dataclass(frozen=True)
class Policy:
    """A trained policy on disk: ``weights`` is a safetensors file, ``spec`` is ``TrainResult.policy``.

    Bars before the day ``seen_until`` shaped it (training and validation); None where nobody tells.
    """

    weights: Path
    spec: Mapping[str, Any]
    seen_until: date | None = None


@dataclass
class ListSink:
    """A sink that keeps everything in memory, for tests and notebooks."""

    points: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    saved: list[Resume] = field(default_factory=list)
    best: Resume | None = None
    stop_after: int | None = None
    save_every: int = 1
    _asked: int = 0

    def point(
        self, step: int, values: Mapping[str, float], *, epoch: int | None = None, seed: int | None = None
    ) -> None:
        self.points.append((step, dict(values)))

    def progress(self, done: float, total: float, unit: str) -> None:
        self.done = (done, total, unit)

    def log(self, text: str, level: str = "info") -> None:
        self.lines.append(text)

    def checkpoint_due(self) -> bool:
        self._asked += 1
        return self._asked % self.save_every == 0

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
        kept = Resume(step, {name: tensor.detach().clone() for name, tensor in tensors.items()}, dict(state))
        self.saved.append(kept)
        if best:
            self.best = kept

    def stop_requested(self) -> bool:
        return self.stop_after is not None and len(self.points) >= self.stop_after
