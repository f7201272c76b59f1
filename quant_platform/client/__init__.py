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
from .live import Point, Update
from .models import Benchmark, Quote, QuotePage, Session, SessionStatus, Strategy
from .retry import BackOff, Retry
from .secret import Secret
from .sync import Client, Pool

__all__ = [
    "AsyncClient",
    "AsyncPool",
    "BackOff",
    "BadRequest",
    "Benchmark",
    "Client",
    "ClientError",
    "Conflict",
    "DiskCache",
    "Invalid",
    "MissingExtra",
    "NotAllowed",
    "NotAuthenticated",
    "NotCached",
    "NotFound",
    "Point",
    "Pool",
    "Problem",
    "Quote",
    "QuotePage",
    "RateLimited",
    "Retry",
    "Secret",
    "ServerFault",
    "Session",
    "SessionStatus",
    "SocketClosed",
    "Strategy",
    "TooLarge",
    "TooSlow",
    "Unavailable",
    "UnexpectedAnswer",
    "Unreachable",
    "UnsupportedEncoding",
    "Update",
]  # fmt: skip
