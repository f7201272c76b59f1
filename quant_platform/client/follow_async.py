"""A session followed live, awaited: over a WebSocket, or by asking where none is possible."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from . import endpoints as ask
from .errors import ClientError, Unreachable
from .follow import _library
from .live import EVENTS, SILENCE, Journey, Pace, Update, closed, quiet
from .retry import BackOff
from .wire import TIMEOUT

if TYPE_CHECKING:
    from .aio import AsyncClient


async def follow(client: AsyncClient, journey: Journey, back_off: BackOff) -> AsyncIterator[Update]:
    """As ``follow.follow``."""
    pace = Pace(back_off)
    while True:
        try:
            async for update in _behind(client, journey):
                yield update
            pace.asking(None)
        except ClientError as error:
            pace.asking(error)
        if journey.done:
            return
        if not pace.is_due:
            await client._sleep(pace.pause())
            continue
        try:
            async for update in _listen(client, journey):
                pace.works()
                yield update
        except ClientError as error:
            pace.broke(error)


async def _behind(client: AsyncClient, journey: Journey) -> AsyncIterator[Update]:
    """Yield what is in the log behind the cursors, and note sessions that have ended."""
    for cursor in journey.cursors.values():
        while True:
            document = await client.run(ask.session_events(cursor.session_id, cursor.seq, EVENTS))
            if int(document["last_seq"]) < cursor.seq:
                yield cursor.restart()
                continue
            for event in document["events"]:
                update = cursor.read(event)
                if update is not None:
                    yield update
            if len(document["events"]) < EVENTS:
                break
        if not cursor.done:
            status = await client.run(ask.session_status(cursor.session_id))
            cursor.status = status.status if status.last_seq <= cursor.seq else cursor.status


async def _listen(client: AsyncClient, journey: Journey) -> AsyncIterator[Update]:
    """Yield what one live connection brings; returns when all has ended, raises ``Unreachable`` when it breaks."""
    import asyncio

    sockets = _library()
    async with await _opened(client, journey, sockets) as socket:
        try:
            while not journey.done:
                update, reply = journey.hear(await asyncio.wait_for(socket.recv(), SILENCE))
                if reply:
                    await socket.send(reply)
                if update is not None:
                    yield update
        except TimeoutError as error:
            raise Unreachable("the live connection fell silent") from error
        except sockets.exceptions.ConnectionClosed as error:
            final = closed(error.rcvd.code if error.rcvd else None, error.rcvd.reason if error.rcvd else "")
            raise final or Unreachable("the live connection broke") from error


async def _opened(client: AsyncClient, journey: Journey, sockets: Any) -> Any:
    from websockets.asyncio.client import connect
    from websockets.typing import Subprotocol

    ticket = await client.run(ask.ws_ticket())
    try:
        return await connect(
            client._wire.socket_url(journey.query()), subprotocols=[Subprotocol("json")], open_timeout=TIMEOUT,
            additional_headers={"Authorization": f"Ticket {ticket}"}, max_size=None, close_timeout=1.0, logger=quiet,
        )  # fmt: skip
    except (OSError, TimeoutError, sockets.exceptions.WebSocketException) as error:
        raise Unreachable(f"no live connection: {type(error).__name__}") from error
