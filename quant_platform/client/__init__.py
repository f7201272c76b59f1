"""A typed client of a Quant Platform site: ``Client`` and, for asyncio, ``AsyncClient``.

Needs httpx alone; pyarrow for tables, websockets to follow sessions live (without it they are
asked). It knows nothing of the server's code: the folder may be copied anywhere.
"""

from .aio import AsyncClient, AsyncPool
from .cache import DiskCache
from .errors import (
    BadRequest,
    ClientError,
    Conflict,
    Invalid,
    MissingExtra,
    NotAllowed,
    NotAuthenticated,
    NotCached,
    NotFound,
    Problem,
    RateLimited,
    ServerFault,
    SocketClosed,
    TooLarge,
    TooSlow,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    UnsupportedEncoding,
)
from .retry import BackOff, Retry
from .secret import Secret
from .sync import Client, Pool

__all__ = [
    "AsyncClient", "AsyncPool", "BackOff", "BadRequest", "Client", "ClientError", "Conflict", "DiskCache", "Invalid",
    "MissingExtra", "NotAllowed", "NotAuthenticated", "NotCached", "NotFound", "Pool", "Problem", "RateLimited",
    "Retry", "Secret", "ServerFault", "SocketClosed", "TooLarge", "TooSlow", "Unavailable", "UnexpectedAnswer",
    "Unreachable", "UnsupportedEncoding",
]  # fmt: skip
