"""The calls by room, ``client.sessions.status(7)``: each function of ``endpoints`` once waited for and once awaited."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from . import endpoints as ask
from . import follow as waited
from . import follow_async as awaited
from . import quotes as quote_pages
from . import tables
from .calls import Call
from .live import Journey, Update
from .models import QuotePage, Realtime
from .quotes import together
from .retry import BackOff

if TYPE_CHECKING:
    import pyarrow as pa

    from .aio import AsyncClient
    from .sync import Client

P = ParamSpec("P")
T = TypeVar("T")


class Room:
    def __init__(self, client: Client) -> None:
        self._client = client


class AsyncRoom:
    def __init__(self, client: AsyncClient) -> None:
        self._client = client


R = TypeVar("R", bound=Room)
A = TypeVar("A", bound=AsyncRoom)


def now(question: Callable[P, Call[T]]) -> Callable[Concatenate[Room, P], T]:
    """Return a method that sends ``question`` and waits."""

    @functools.wraps(question)
    def method(self: Room, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._client.run(question(*args, **kwargs))

    return method


def later(question: Callable[P, Call[T]]) -> Callable[Concatenate[AsyncRoom, P], Awaitable[T]]:
    """Return a method that sends ``question`` and is awaited."""

    @functools.wraps(question)
    async def method(self: AsyncRoom, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._client.run(question(*args, **kwargs))

    return method


class System(Room):
    health, ready, me = now(ask.health), now(ask.ready), now(ask.me)


class AsyncSystem(AsyncRoom):
    health, ready, me = later(ask.health), later(ask.ready), later(ask.me)


class MarketRoom(Room):
    status = now(ask.market_status)


class AsyncMarketRoom(AsyncRoom):
    status = later(ask.market_status)


class Strategies(Room):
    types, list, get = now(ask.strategy_types), now(ask.strategy_list), now(ask.strategy_get)
    create, validate = now(ask.strategy_create), now(ask.strategy_validate)
    train, backtest = now(ask.strategy_train), now(ask.strategy_backtest)


class AsyncStrategies(AsyncRoom):
    types, list, get = later(ask.strategy_types), later(ask.strategy_list), later(ask.strategy_get)
    create, validate = later(ask.strategy_create), later(ask.strategy_validate)
    train, backtest = later(ask.strategy_train), later(ask.strategy_backtest)


class Sessions(Room):
    list, get, status = now(ask.session_list), now(ask.session_get), now(ask.session_status)
    metrics, events, report = now(ask.session_metrics), now(ask.session_events), now(ask.session_report)
    pause, resume = now(ask.session_pause), now(ask.session_resume)
    cancel, retry = now(ask.session_cancel), now(ask.session_retry)

    def follow(
        self, sessions: int | Sequence[int], after: int | Mapping[int, int] = 0, back_off: BackOff | None = None
    ) -> Iterator[Update]:
        """Yield what happens in one or several sessions until all have ended.

        From event number ``after``: with the ``seq`` of the last update nothing is missed and nothing comes
        twice, through restarts of the server too. Without a live connection the log is asked for.
        """
        return waited.follow(self._client, Journey(sessions, after), back_off or BackOff())


class AsyncSessions(AsyncRoom):
    list, get, status = later(ask.session_list), later(ask.session_get), later(ask.session_status)
    metrics, events, report = later(ask.session_metrics), later(ask.session_events), later(ask.session_report)
    pause, resume = later(ask.session_pause), later(ask.session_resume)
    cancel, retry = later(ask.session_cancel), later(ask.session_retry)

    def follow(
        self, sessions: int | Sequence[int], after: int | Mapping[int, int] = 0, back_off: BackOff | None = None
    ) -> AsyncIterator[Update]:
        """As ``Sessions.follow``, for ``async for``."""
        return awaited.follow(self._client, Journey(sessions, after), back_off or BackOff())


class Data(Room):
    datasets, dataset, bars = now(ask.dataset_list), now(ask.dataset_get), now(ask.bars)
    feature_analysis = now(ask.feature_analysis)
    cached_quote, quotes_after = now(ask.cached_quote), now(ask.quotes_after)

    def realtime(self, symbols: str | Sequence[str], feed: str = "") -> Realtime:
        """Return the newest quotes of any number of symbols: 50 a request, in parallel."""
        return together(self._client.run_all([ask.realtime(some, feed) for some in tables.batches(symbols)]))

    def follow_quotes(
        self, symbols: str | Sequence[str] = "", after: int | None = None, feed: str = "", pause: float = 0.5
    ) -> Iterator[QuotePage]:
        """Yield quotes as they come, without end and through restarts of the server: none is lost, none comes twice.

        From now, or behind ``after``: keep the ``next`` of the last page to go on later. ``pause`` in
        seconds between two questions. Also yields a page that says ``lost`` or ``reset``.
        """
        return quote_pages.follow(self._client, after, symbols, feed, pause)

    def historical(
        self, symbols: str | Sequence[str], start: str = "", end: str = "", dataset: str = "",
        fields: str | Sequence[str] = "", prices: str = "raw",
    ) -> pa.Table:  # fmt: skip
        """Return the bars of any number of symbols as one Arrow table: symbol, time and the fields.

        50 symbols a request, in parallel; all or an error. ``prices`` are raw, forward or backward adjusted.
        """
        return tables.joined(
            self._client.run_all(tables.history_calls(symbols, start, end, dataset, fields, prices))
        )  # fmt: skip

    def features(
        self, dataset: str, expressions: str | Sequence[str] = (), *, set: str = "", symbols: str | Sequence[str] = (),
        start: str = "", end: str = "", labels: bool = False,
    ) -> pa.Table:  # fmt: skip
        """Return expressions, or a ``set`` of them, as an Arrow table: symbol, time, a column each.

        An expression that compares symbols (``CSRank`` and its like) sees all ``symbols`` in one request.
        """
        return tables.joined(
            self._client.run_all(tables.feature_calls(dataset, expressions, set, symbols, start, end, labels))
        )


class AsyncData(AsyncRoom):
    datasets, dataset, bars = later(ask.dataset_list), later(ask.dataset_get), later(ask.bars)
    feature_analysis = later(ask.feature_analysis)
    cached_quote, quotes_after = later(ask.cached_quote), later(ask.quotes_after)

    async def realtime(self, symbols: str | Sequence[str], feed: str = "") -> Realtime:
        """As ``Data.realtime``."""
        return together(await self._client.run_all([ask.realtime(some, feed) for some in tables.batches(symbols)]))

    def follow_quotes(
        self, symbols: str | Sequence[str] = "", after: int | None = None, feed: str = "", pause: float = 0.5
    ) -> AsyncIterator[QuotePage]:
        """As ``Data.follow_quotes``, for ``async for``."""
        return quote_pages.follow_async(self._client, after, symbols, feed, pause)

    async def historical(
        self, symbols: str | Sequence[str], start: str = "", end: str = "", dataset: str = "",
        fields: str | Sequence[str] = "", prices: str = "raw",
    ) -> pa.Table:  # fmt: skip
        """As ``Data.historical``."""
        calls = tables.history_calls(symbols, start, end, dataset, fields, prices)
        return tables.joined(await self._client.run_all(calls))

    async def features(
        self, dataset: str, expressions: str | Sequence[str] = (), *, set: str = "", symbols: str | Sequence[str] = (),
        start: str = "", end: str = "", labels: bool = False,
    ) -> pa.Table:  # fmt: skip
        """As ``Data.features``."""
        calls = tables.feature_calls(dataset, expressions, set, symbols, start, end, labels)
        return tables.joined(await self._client.run_all(calls))
