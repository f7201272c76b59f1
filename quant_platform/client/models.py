"""What the server answers, typed. Times are aware ``datetime``; shares are fractions; ``raw`` is the whole document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Health:
    """``status`` is healthy or degraded."""

    status: str
    timestamp: datetime
    version: str


@dataclass(frozen=True)
class Part:
    """One thing the server needs, and whether it is well."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class Ready:
    """Whether work can be done now."""

    status: str
    timestamp: datetime
    checks: tuple[Part, ...]

    @property
    def ok(self) -> bool:
        return self.status == "ready"


@dataclass(frozen=True)
class Me:
    """Whom the token speaks for, and what it may reach."""

    id: int
    username: str
    role: str
    language: str
    time_zone: str
    scopes: tuple[str, ...]
    raw: Document = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class StrategyType:
    """A kind of strategy and the JSON schema of its configuration."""

    key: str
    label: str
    summary: str
    trains: bool
    schema: Document = field(repr=False)


@dataclass(frozen=True)
class Strategy:
    """A strategy; ``config`` is there where one was asked for, not in lists."""

    id: int
    name: str
    type: str
    stage: str
    owner: str
    version: int
    created: datetime
    updated: datetime
    archived: bool
    active_sessions: int
    total_sessions: int
    description: str = ""
    config: Document = field(default_factory=dict)
    config_hash: str = ""
    raw: Document = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class StrategyPage:
    """A part of the list and how many there are."""

    total: int
    items: tuple[Strategy, ...]


@dataclass(frozen=True)
class ConfigError:
    """A field of a configuration and what is wrong with it."""

    field: str
    message: str


@dataclass(frozen=True)
class Validation:
    """Whether a configuration would be taken; ``config`` is it with every default filled in."""

    valid: bool
    errors: tuple[ConfigError, ...]
    config: Document = field(default_factory=dict)
    config_hash: str = ""


@dataclass(frozen=True)
class SessionStatus:
    """State and progress; ``commands`` are those that may be given now, ``left_s`` the seconds still to run."""

    id: int
    status: str
    progress: float
    step: int
    attempt: int
    last_seq: int
    message: str
    commands: tuple[str, ...]
    epoch: int | None = None
    reason_code: str = ""
    left_s: float | None = None
    waiting: Document | None = None
    progress_info: Document | None = None
    raw: Document = field(default_factory=dict, repr=False)

    @property
    def is_final(self) -> bool:
        return self.status in FINAL


#: States in which nothing happens any more.
FINAL = frozenset({"completed", "failed", "cancelled"})


@dataclass(frozen=True, kw_only=True)
class Session(SessionStatus):
    """A run; configuration, parameters and summary are there where one was asked for, not in lists."""

    kind: str
    title: str
    owner: str
    strategy_id: int
    version: int
    dataset: str
    created: datetime
    queued_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    seconds_used: float = 0.0
    result_return: float | None = None
    result_sharpe: float | None = None
    tags: tuple[str, ...] = ()
    config: Document = field(default_factory=dict)
    params: Document = field(default_factory=dict)
    summary: Document | None = None
    dataset_hash: str = ""


@dataclass(frozen=True)
class SessionPage:
    """A page of the list, newest first."""

    items: tuple[Session, ...]
    total: int
    page: int
    pages: int


@dataclass(frozen=True)
class MetricPoint:
    """One value of a curve; ``seed`` where several runs make it."""

    value: float | None
    step: int
    timestamp: datetime
    epoch: int | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Metrics:
    """Curves by name; ``total`` counts all points of the chosen ones."""

    session_id: int
    metrics: Mapping[str, tuple[MetricPoint, ...]]
    total: int
    last_seq: int


@dataclass(frozen=True)
class Dataset:
    """A dataset of the catalogue; ``hash`` names its content, which never changes."""

    id: int
    name: str
    version: int
    title: str
    rows: int
    symbols: int
    frequency: str
    columns: tuple[str, ...]
    prices: str
    currency: str
    calendar: str
    hash: str
    size_bytes: int
    verdict: str
    start: str | None = None
    end: str | None = None
    licence: str = ""
    tags: tuple[str, ...] = ()
    universes: Any = None
    owner: str | None = None
    raw: Document = field(default_factory=dict, repr=False)

    @property
    def reference(self) -> str:
        """Return the name that always means this version."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True)
class DatasetPage:
    """A part of the catalogue and how many there are."""

    datasets: tuple[Dataset, ...]
    total: int


@dataclass(frozen=True)
class Bars:
    """Bars of one symbol, a list a column; ``time`` is a day, or an instant in UTC."""

    dataset: str
    symbol: str
    frequency: str
    prices: str
    currency: str
    rows: int
    columns: Mapping[str, list[Any]] = field(repr=False)


@dataclass(frozen=True)
class Market:
    """Whether a market is open, pausing or closed, and when that changes."""

    calendar: str
    state: str
    session: str | None = None
    next_open: datetime | None = None
    next_close: datetime | None = None
    detail: str = ""
    raw: Document = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Quote:
    """A quote: up to five (price, size) a side, best first; sizes and volume in shares, unknown is None.

    ``time`` is the source's clock, ``received`` the server's; ``age_s`` is in seconds, ``stale`` whether
    that is too old to trade on, ``replay`` whether a dataset speaks and not a market.
    """

    seq: int
    feed: str
    replay: bool
    symbol: str
    time: datetime
    received: datetime
    age_s: float
    stale: bool
    last: float | None = None
    prev_close: float | None = None
    bids: tuple[tuple[float, ...], ...] = ()
    asks: tuple[tuple[float, ...], ...] = ()
    volume: float | None = None
    amount: float | None = None


@dataclass(frozen=True)
class NoQuote:
    """A symbol without a quote: ``reason`` is unknown or expired."""

    symbol: str
    reason: str
    age_s: float | None = None


@dataclass(frozen=True)
class Realtime:
    """The newest quotes, and the symbols that have none."""

    quotes: tuple[Quote, ...]
    missing: tuple[NoQuote, ...]


@dataclass(frozen=True)
class CachedQuote:
    """The newest quote of a symbol; ``data`` is None past its lifetime."""

    data: Quote | None
    from_cache: bool
    age_s: float | None = None


@dataclass(frozen=True)
class QuotePage:
    """Quotes in their order; ``next`` is the cursor to go on from.

    ``lost`` counts numbers that retention had dropped before they were asked for, ``reset`` says that
    the cursor was of another database.
    """

    quotes: tuple[Quote, ...]
    next: int
    head: int
    more: bool
    lost: int = 0
    reset: bool = False


@dataclass(frozen=True)
class Benchmark:
    """How long the way to the server is, in ms; ``error`` says why where it failed."""

    connection_time_ms: float | None
    transfer_time_ms: float | None
    success: bool
    error: str | None = None
