"""A feed over a WebSocket that speaks JSON: it reconnects for as long as it is wanted."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from apps.marketdata.engine.quotes.feed import Quote
from apps.marketdata.engine.quotes.mapping import FieldMap, parse_message
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

FIRST_DELAY, LONGEST_DELAY = 1.0, 30.0
LARGEST_MESSAGE = 4 * 1024 * 1024
SYMBOLS = "{symbols}"
BAD_ADDRESS = N_("%(url)s is no address of a feed. Write ws:// or wss:// and a host, without user name and password.")


def checked_address(url: str) -> str:
    """Return ``url``; raises ``Refusal`` ``bad_address`` unless it is ws(s) with a host and no credentials."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in {"ws", "wss"} and bool(parts.hostname) and parts.username is None
        _ = parts.port
    except ValueError:
        fits = False
    if not fits or not url.isprintable() or " " in url:
        raise Refusal("bad_address", BAD_ADDRESS, field="url", url=url[:80])
    return url


class WebSocketFeed:
    """Quotes of a WebSocket; ``subscribe`` is sent after each connect, with ``{symbols}`` as a JSON list.

    Delays between tries double from 1 to 30 s, with jitter; a connection that gave a quote starts them over.
    ``connect``, ``sleep``, ``clock`` and ``chance`` are for tests.
    """

    position: int | None = None

    def __init__(
        self,
        url: str,
        mapping: FieldMap,
        *,
        subscribe: str = "",
        headers: Mapping[str, str] | None = None,
        connect: Callable[..., Any] | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.url, self.mapping, self.subscribe = checked_address(url), mapping, subscribe
        self.headers = dict(headers or {})
        self.connected, self.reconnects, self.last_error = False, 0, ""
        self.rejected: dict[str, int] = Counter()
        self._connect, self._sleep, self._clock, self._chance = connect, sleep, clock, chance

    async def batches(self, symbols: Sequence[str]) -> AsyncIterator[list[Quote]]:
        """Yield the quotes of each message, for ever; ``symbols`` none: whatever the source sends."""
        from websockets.exceptions import WebSocketException

        wanted, delay = frozenset(symbols), FIRST_DELAY
        while True:
            try:
                async with self._socket() as socket:
                    self.connected = True
                    if self.subscribe:
                        await socket.send(self.subscribe.replace(SYMBOLS, json.dumps(list(symbols))))
                    async for text in socket:
                        batch = self._read(text, wanted)
                        if batch:
                            delay = FIRST_DELAY
                            yield batch
                self.last_error = "closed by the source"
            except (OSError, WebSocketException, TimeoutError) as error:
                self.last_error = f"{type(error).__name__}: {error}"[:200]
            finally:
                self.connected = False
            self.reconnects += 1
            await self._sleep(delay * (0.5 + self._chance() / 2))
            delay = min(LONGEST_DELAY, delay * 2)

    def _read(self, text: str | bytes, wanted: frozenset[str]) -> list[Quote]:
        rejected: Counter[str] = Counter()
        found = parse_message(text, self.mapping, self._clock(), rejected)
        for reason, count in rejected.items():
            self.rejected[reason] = self.rejected.get(reason, 0) + count
        return [quote for quote in found if quote.symbol in wanted] if wanted else found

    def _socket(self) -> Any:
        if self._connect is None:
            from websockets.asyncio.client import connect

            self._connect = connect
        return self._connect(
            self.url, additional_headers=self.headers, max_size=LARGEST_MESSAGE, open_timeout=10, proxy=None
        )
