"""A session followed live, waiting: over a WebSocket, or by asking where none is possible."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from . import endpoints as ask
from .errors import ClientError, MissingExtra, Unreachable
from .live import EVENTS, SILENCE, Journey, Pace, Update, closed, quiet
from .retry import BackOff
from .wire import TIMEOUT

if TYPE_CHECKING:
    from .sync import Client


def follow(client: Client, journey: Journey, back_off: BackOff) -> Iterator[Update]:
    """Yield what happens until every session has ended; never gives up on a server that is away.

    Raises what no patience helps against: ``NotAuthenticated``, ``NotFound``, ``SocketClosed``.
    """
    pace = Pace(back_off)
    while True:
        try:
            for update in _behind(client, journey):
                yield update
            pace.asking(None)
        except ClientError as error:
            pace.asking(error)
        if journey.done:
            return
        if not pace.is_due:
            client._sleep(pace.pause())
            continue
        try:
            for update in _listen(client, journey):
                pace.works()
                yield update
        except ClientError as error:
            pace.broke(error)


def _behind(client: Client, journey: Journey) -> Iterator[Update]:
    """Yield what is in the log behind the cursors, and note sessions that have ended."""
    for cursor in journey.cursors.values():
        while True:
            document = client.run(ask.session_events(cursor.session_id, cursor.seq, EVENTS))
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
            status = client.run(ask.session_status(cursor.session_id))
            cursor.status = status.status if status.last_seq <= cursor.seq else cursor.status


def _listen(client: Client, journey: Journey) -> Iterator[Update]:
    """Yield what one live connection brings; returns when all has ended, raises ``Unreachable`` when it breaks."""
    sockets = _library()
    with _opened(client, journey, sockets) as socket:
        try:
            while not journey.done:
                update, reply = journey.hear(socket.recv(timeout=SILENCE))
                if reply:
                    socket.send(reply)
                if update is not None:
                    yield update
        except TimeoutError as error:
            raise Unreachable("the live connection fell silent") from error
        except sockets.exceptions.ConnectionClosed as error:
            final = closed(error.rcvd.code if error.rcvd else None, error.rcvd.reason if error.rcvd else "")
            raise final or Unreachable("the live connection broke") from error


def _opened(client: Client, journey: Journey, sockets: Any) -> Any:
    from websockets.sync.client import connect
    from websockets.typing import Subprotocol

    ticket = client.run(ask.ws_ticket())
    try:
        return connect(
            client._wire.socket_url(journey.query()), subprotocols=[Subprotocol("json")], open_timeout=TIMEOUT,
            additional_headers={"Authorization": f"Ticket {ticket}"}, max_size=None, close_timeout=1.0, logger=quiet,
        )  # fmt: skip
    except (OSError, TimeoutError, sockets.exceptions.WebSocketException) as error:
        raise Unreachable(f"no live connection: {type(error).__name__}") from error


def _library() -> Any:
    try:
        import websockets.exceptions
    except ImportError as error:
        raise MissingExtra("live connections need websockets: pip install websockets") from error
    return websockets
