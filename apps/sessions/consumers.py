"""The live socket: a thin shell around ``live.connection``."""

from __future__ import annotations

from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer

from apps.sessions.live.access import protocol_of
from apps.sessions.live.connection import Connection


class LiveConsumer(AsyncWebsocketConsumer):
    """Accepts first and closes with a 44xx code, which a browser can read and takes as final."""

    connection: Connection | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        try:
            return await super().__call__(scope, receive, send)
        finally:
            # Channels does not call disconnect() when a handler raises.
            await self._leave()

    async def connect(self) -> None:
        await self.accept(protocol_of(self.scope)[1])
        self.connection = Connection(self.scope, self._send_text, self.close)
        if code := await self.connection.refusal():
            await self.close(code)
            return
        await self.connection.open()

    async def _send_text(self, text: str) -> None:
        await self.send(text_data=text)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self.connection is not None and self.connection.user is not None:
            await self.connection.hear(text_data)

    async def disconnect(self, code: int) -> None:
        await self._leave()

    async def _leave(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            await connection.close()
