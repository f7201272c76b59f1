"""Feeds over small panels, and a board that forgets between tests."""

from __future__ import annotations

import numpy as np
import pytest

from apps.marketdata.adapters.quote_board import board
from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.quotes import Quote
from apps.marketdata.models import Feed
from apps.marketdata.services.feeds import feed_claim
from apps.marketdata.services.quotes import Progress, QuoteWriter

#: A day in the past, so that nothing depends on today: partitions are made for whatever day comes.
NOW = 1_700_000_000.0


def told(symbol="AAA", last=1.0, time=NOW, received=NOW, **more) -> Quote:
    return Quote(symbol, last, time, received, **more)


def many(count: int, symbols: int = 3, start: float = NOW) -> list[Quote]:
    """``count`` quotes, each a second after the one before, the symbols in turns."""
    return [told(f"S{n % symbols}", 10.0 + n, start + n, start + n, volume=float(n)) for n in range(count)]


def panel(bars: int = 6, symbols: tuple[str, ...] = ("AAA", "BBB")) -> BarPanel:
    """Minutes of two symbols, each close another."""
    times = np.datetime64("2024-01-02T09:31", "ns") + np.arange(bars) * np.timedelta64(60, "s")
    close = 10.0 + np.arange(len(symbols))[:, None] * 100 + np.arange(bars)
    fields = {name: close.copy() for name in ("open", "high", "low", "close")} | {"volume": np.ones(close.shape)}
    return BarPanel(symbols, times, fields, frequency="1min")


@pytest.fixture(autouse=True)
def empty_board():
    board.forget()
    yield
    board.forget()


@pytest.fixture
def feed(db) -> Feed:
    return Feed.objects.create(name="live", kind="websocket", wanted=True)


@pytest.fixture
def writer(feed) -> QuoteWriter:
    return QuoteWriter(feed_claim(feed))


def store(writer: QuoteWriter, *batches: list[Quote], position: int | None = None) -> tuple[int, int]:
    writer.take(batches)
    return writer.store(Progress(position))
