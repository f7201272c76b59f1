"""What the report is made of: a run, its yardsticks and what it was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from apps.trading.engine.costs import Costs
from apps.trading.engine.metrics import Metric
from apps.trading.engine.report.luck import History
from apps.trading.engine.robustness import GOAL

Floats = NDArray[np.float64]


class Run(Protocol):
    """What a run of the backtester must offer (``backtest.options.Result`` does)."""

    @property
    def ledger(self) -> NDArray[np.void]: ...
    @property
    def fills(self) -> NDArray[np.void]: ...
    @property
    def payouts(self) -> float: ...
    @property
    def equity(self) -> Floats: ...
    @property
    def refused(self) -> dict[str, int]: ...
    @property
    def first(self) -> int: ...
    @property
    def cash(self) -> Floats: ...
    @property
    def position(self) -> Floats: ...
    @property
    def fees(self) -> float: ...
    @property
    def borrow(self) -> float: ...
    @property
    def funding(self) -> float: ...


@dataclass(frozen=True)
class Baseline:
    """A yardstick: its name and its equity after each bar (T,)."""

    name: str
    equity: Floats


@dataclass(frozen=True)
class Universe:
    """A dated universe over the bars of the curves: who belongs when, and what membership itself was worth.

    ``members`` (N, T) are all instruments of the data, ``rows`` those that the run trades, in its order. ``dated`` and
    ``frozen`` (T,) are the equity of equal parts of the members of the day and of those of the first day.
    """

    name: str
    members: NDArray[np.bool_]
    rows: Sequence[int]
    dated: Floats
    frozen: Floats


@dataclass(frozen=True)
class Setting:
    """What the run was given. ``times`` (T,) are the bars of the curves, ``all_times`` those of the ledger."""

    strategy: Mapping[str, Any]
    symbols: Sequence[str]
    times: NDArray[np.datetime64]
    all_times: NDArray[np.datetime64]
    frequency: str
    bars_per_year: float
    currency: str
    dataset: str
    capital: float
    costs: Costs
    fill_rule: Mapping[str, Any]
    benchmark: Mapping[str, Any]
    unseen: float
    #: Volume (S, T) of the symbols over ``all_times``, where known.
    volume: Floats | None = None
    #: Closes (S, T) of the symbols as traded, over ``all_times``, where holdings are to be told.
    closes: Floats | None = None
    #: Other trials of the idea, and what the leak check found.
    history: History | None = None
    leaks: Mapping[str, Any] | None = None
    #: The market's rules that were obeyed (``execution.Traded.document``); None: none were.
    market: Mapping[str, Any] | None = None
    #: The part of the equity wanted in each symbol (S, T) over ``all_times`` (NaN: nothing decided), and the least
    #: and the step of an order (S, 2) in shares; None: the lot of the costs.
    aims: Floats | None = None
    lots: Floats | None = None
    #: Mean change of what is traded from its first to its last comparable close, without costs.
    market_change: Metric = None
    #: The dated universe it chooses from, and how well its signal ranked, where there are such.
    universe: Universe | None = None
    signal: Mapping[str, Any] | None = None
    #: The total return counted as the goal in draws of chance.
    goal: float = GOAL
