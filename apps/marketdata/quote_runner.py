"""One feed from its source to the tables: read, coalesced, stored in batches, until it ends or is not wanted."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar
from urllib.parse import quote_plus

from django.db import DatabaseError, connection

from apps.accounts.credentials import credential_open
from apps.accounts.models import User
from apps.marketdata.engine.quotes import FieldMap, QmtFeed, Quote, QuoteFeed, ReplayFeed, WebSocketFeed
from apps.marketdata.engine.quotes.qmt import xtquant_source
from apps.marketdata.models import Feed, FeedKind, FeedState
from apps.marketdata.selectors import dataset_panel
from apps.marketdata.services.feeds import feed_claim, feed_end
from apps.marketdata.services.quotes import FeedLost, Progress, QuoteWriter
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

log = logging.getLogger(__name__)
#: Quotes of one transaction (a source's batch is never parted), batches that wait, seconds between signs of life.
MOST, WAITING, BEAT = 5_000, 64, 1.0
#: Seconds a batch may wait for company: fewer transactions, and other writers find room between them.
GATHER = 0.05
SECRET = "{secret}"  # noqa: S105 - a placeholder
CRASHED = N_("The feed ended by itself: %(error)s.")
Batch = tuple[list[Quote], Progress]
P = ParamSpec("P")
R = TypeVar("R")


def source_of(feed: Feed) -> QuoteFeed:
    """Return the source of ``feed``, where an earlier run left it. Raises ``Refusal`` where it cannot run here."""
    options = feed.options
    if feed.kind == FeedKind.REPLAY:
        if feed.dataset is None:
            raise Refusal("dataset_missing", N_("The dataset of this feed is gone."), status=409)
        panel = dataset_panel(feed.dataset)
        Feed.objects.filter(pk=feed.pk).update(total=len(panel.times))
        return ReplayFeed(panel, float(options.get("speed", 60.0)), after=feed.position, loop=bool(options.get("loop")))
    if feed.kind == FeedKind.QMT:
        return QmtFeed(xtquant_source())
    secret = _secret(options)
    header = options.get("header", "")
    return WebSocketFeed(
        options.get("url", "").replace(SECRET, quote_plus(secret)), FieldMap.read(options.get("mapping", {})),
        subscribe=options.get("subscribe", "").replace(SECRET, secret), headers={header: secret} if header else None,
    )  # fmt: skip


def _secret(options: dict[str, Any]) -> str:
    owner = User.objects.filter(pk=options.get("credential_owner") or 0).first()
    if not options.get("credential") or owner is None:
        return ""
    return credential_open(owner, options["credential"]).value


class Run:
    """One run of one feed. ``stop`` may be called in the loop's thread; ``told`` hears of each transaction.

    All of the database is done in one thread with a connection of its own.
    """

    def __init__(self, feed: Feed, told: Callable[[int, int], None] = lambda count, seq: None) -> None:
        self.feed, self.told = feed, told
        self.stopping = self.ended = False
        self.queue: asyncio.Queue[Batch] = asyncio.Queue(WAITING)
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="quotes")

    def stop(self) -> None:
        self.stopping = True

    async def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return await asyncio.get_running_loop().run_in_executor(self.thread, lambda: function(*args, **kwargs))

    async def store_all(self) -> None:
        """Store until the source ends or nobody wants it. Raises what the source raises, and ``FeedLost``."""
        self.source = await self.call(source_of, self.feed)
        writer = await self.call(QuoteWriter, self.feed)
        reader = asyncio.create_task(self._read())
        looked_at = 0.0
        try:
            while not self.stopping:
                batches, progress = await self._gather(reader)
                if not batches and reader.done():
                    break
                await self.call(writer.take, batches)
                self.told(*await self.call(_patiently, writer.store, progress))
                if time.monotonic() - looked_at > BEAT:
                    looked_at = time.monotonic()
                    self.stopping = self.stopping or not await self.call(_wanted, self.feed)
            if reader.done() and self.queue.empty():
                self.ended = True
                reader.result()
        finally:
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await reader

    def close(self) -> None:
        self.thread.submit(connection.close)
        self.thread.shutdown()

    async def _read(self) -> None:
        async for batch in self.source.batches(self.feed.symbols):
            await self.queue.put((batch, self._progress()))

    def _progress(self) -> Progress:
        source = self.source
        return Progress(source.position, source.connected, source.reconnects, dict(source.rejected))

    async def _gather(self, reader: asyncio.Task[None]) -> tuple[list[list[Quote]], Progress]:
        """Return the batches that are there, for at most ``MOST`` quotes, and what the source said with the last."""
        getter = asyncio.ensure_future(self.queue.get())
        await asyncio.wait({getter, reader}, timeout=BEAT, return_when=asyncio.FIRST_COMPLETED)
        if not getter.done() and not self.queue.empty():
            await asyncio.wait({getter}, timeout=BEAT)
        if not getter.done():
            getter.cancel()
            return [], self._progress()
        batch, progress = getter.result()
        batches, count = [batch], len(batch)
        if count < MOST and self.queue.empty() and not reader.done():
            await asyncio.sleep(GATHER)
        while count < MOST and not self.queue.empty():
            batch, progress = self.queue.get_nowait()
            batches.append(batch)
            count += len(batch)
        return batches, progress


def _wanted(feed: Feed) -> bool:
    return Feed.objects.filter(pk=feed.pk, wanted=True, attempt=feed.attempt).exists()


def _patiently(store: Callable[[Progress], tuple[int, int]], progress: Progress) -> tuple[int, int]:
    """Store; a database that is away for a moment is asked again, for about as long as the feed is held."""
    for wait in (0.2, 0.5, 1.0, 2.0, 5.0):
        try:
            return store(progress)
        except DatabaseError as error:
            log.warning("Quotes could not be stored (%s); trying again in %s s.", type(error).__name__, wait)
            connection.close()
            time.sleep(wait)
    return store(progress)


async def run_feed(feed: Feed, started: Callable[[Run], None] = lambda run: None, **more: Any) -> FeedState:
    """Claim ``feed``, run it and give it back; return its state. ``started`` is handed what can be stopped.

    Raises ``Refusal`` where another process has it; every other trouble is kept with the feed.
    """
    run = Run(feed, **more)
    started(run)
    try:
        run.feed = feed = await run.call(feed_claim, feed)
        state, trouble = await _outcome(run)
        if state is not None:
            await run.call(feed_end, feed, state, trouble)
        return state or FeedState.STOPPED
    finally:
        run.close()


async def _outcome(run: Run) -> tuple[FeedState | None, Refusal | None]:
    """Run and say how it ended; None where another process has the feed by now."""
    try:
        await run.store_all()
    except FeedLost:
        log.warning("The feed %s is run by another process now.", run.feed.name)
        return None, None
    except Refusal as refusal:
        return FeedState.FAILED, refusal
    except Exception as error:  # a source that fails is told, and tried again after a wait
        log.exception("The feed %s failed.", run.feed.name)
        return FeedState.FAILED, Refusal("feed_crashed", CRASHED, error=f"{type(error).__name__}: {error}"[:200])
    return (FeedState.FINISHED if run.ended else FeedState.STOPPED), None
