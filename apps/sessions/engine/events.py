"""The words of the live log: what one flush of a run may say."""

from __future__ import annotations

from typing import Any, TypedDict


class Point(TypedDict, total=False):
    """Values of metrics at a step; ``seed`` is set when several seeds train side by side."""

    step: int
    epoch: int
    seed: int
    values: dict[str, float | None]
    #: When it was said, in seconds since 1970.
    at: float


class LogLine(TypedDict):
    time: str
    level: str
    text: str


class ProgressInfo(TypedDict, total=False):
    """How far: ``done`` of ``total`` ``unit``; ``rate`` in steps per second."""

    done: float
    total: float
    unit: str
    rate: float
    step: int
    epoch: int


class Usage(TypedDict):
    """What the processes of a run used at one moment, sampled about once a second.

    ``cpu_percent`` is of one core (two busy cores are 200). Rates are bytes per second since the
    sample before. The network is the whole host's: the kernel does not count it per process. A
    figure that nothing measures here (no NVIDIA GPU, a system that hides a counter) is None.
    """

    #: When, in seconds since 1970.
    at: float
    cpu_percent: float
    rss_bytes: int
    read_bps: float | None
    write_bps: float | None
    net_in_bps: float | None
    net_out_bps: float | None
    #: Of the busiest GPU the run uses, and the memory it holds on all of them.
    gpu_percent: float | None
    gpu_memory_bytes: int | None


class Flag(TypedDict):
    """Something a person should look at. Each code is raised at most once per attempt.

    Codes: ``not_finite divergence plateau exploding_gradient dead_policy stalled memory_growth``.
    ``params`` fill the sentence of the code.
    """

    code: str
    #: ``warning`` or ``error``.
    level: str
    step: int
    at: float
    params: dict[str, Any]


class EventPayload(TypedDict, total=False):
    """One row of the log. ``rewind`` comes first: everything after that step is to be dropped,
    because the attempt that now runs continues from its checkpoint and says it again."""

    rewind: int
    points: list[Point]
    progress: ProgressInfo
    logs: list[LogLine]
    checkpoint: dict[str, Any]
    resources: list[Usage]
    flags: list[Flag]
    status: str
    #: Why, with a status: ``{"code": …}`` and the params of its sentence.
    reason: dict[str, Any]
    result: dict[str, Any]
