"""What can go wrong, by kind; every error of the client is a ``ClientError``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any


class ClientError(Exception):
    """Anything the client cannot do."""


class MissingExtra(ClientError):
    """A library is needed that is not installed here; the message names it."""


class Unreachable(ClientError):
    """No answer came: no connection, a broken one, or none within the time limit."""


class TooSlow(Unreachable):
    """The answer, or a free connection, took longer than the time limit."""


class NotCached(Unreachable):
    """The client works offline and the answer is not on the disk."""


class UnexpectedAnswer(ClientError):
    """The answer is not what the server promises: cut, not JSON, without a field it must have."""


class SocketClosed(ClientError):
    """The live connection ended for good; ``code`` is the close code of docs/api.md."""

    def __init__(self, code: int, reason: str = "") -> None:
        self.code = code
        super().__init__(reason or CLOSE_REASONS.get(code, f"the live connection was closed with code {code}"))


CLOSE_REASONS = {
    4400: "the server did not understand the address of the live connection, or it names too many sessions",
    4401: "the log-in is missing or has ended",
    4403: "a session is not there, or not yours",
    4410: "an administrator closed the live connection",
    4429: "as many live connections of this user are open as may be",
}


@dataclass(frozen=True)
class FieldProblem:
    """One field that was refused, and why."""

    field: str
    message: str


class Problem(ClientError):
    """The server said no, in an RFC 9457 problem document.

    ``code`` is stable and for programs, ``detail`` a sentence for people; ``errors`` names the
    fields at fault, ``retry_after`` the seconds to wait where the server gave them.
    """

    def __init__(self, status: int, document: Mapping[str, Any], retry_after: float | None = None) -> None:
        self.status = status
        self.code = str(document.get("code", ""))
        self.detail = str(document.get("detail") or document.get("title") or f"the server answered {status}")
        self.field = document.get("field")
        self.params: Mapping[str, Any] = document.get("params") or {}
        self.errors = tuple(
            FieldProblem(str(item.get("field", "")), str(item.get("message", "")))
            for item in document.get("errors") or ()
            if isinstance(item, Mapping)
        )
        self.retry_after = retry_after
        fields = "".join(f"; {item.field}: {item.message}" for item in self.errors)
        super().__init__(f"{status} {self.code or 'error'}: {self.detail}{fields}")


class BadRequest(Problem):
    """400: the request is broken."""


class NotAuthenticated(Problem):
    """401: no token, or a wrong, old or revoked one."""


class NotAllowed(Problem):
    """403: not allowed, or the token lacks the scope."""


class NotFound(Problem):
    """404: not there, or not yours."""


class Conflict(Problem):
    """409: not in this state."""


class TooLarge(Problem):
    """413: the body is larger than allowed."""


class UnsupportedEncoding(Problem):
    """415: the server does not read this type or coding."""


class Invalid(Problem):
    """422: the input; ``errors`` or ``field`` say where."""


class RateLimited(Problem):
    """429: too many requests, or a limit of yours; ``retry_after`` says when to come back."""


class ServerFault(Problem):
    """5xx: the server failed or cannot now."""


class Unavailable(ServerFault):
    """502, 503, 504: nobody there to answer at the moment."""


KINDS: Mapping[int, type[Problem]] = {
    400: BadRequest, 401: NotAuthenticated, 403: NotAllowed, 404: NotFound, 409: Conflict, 413: TooLarge,
    415: UnsupportedEncoding, 422: Invalid, 429: RateLimited, 502: Unavailable, 503: Unavailable, 504: Unavailable,
}  # fmt: skip


def problem_of(status: int, headers: Mapping[str, str], content: bytes) -> Problem:
    """Return the error of an answer; one without a problem document (a proxy's page) still has its status."""
    try:
        document = json.loads(content) if "json" in headers.get("content-type", "") else {}
    except ValueError:
        document = {}
    if not isinstance(document, Mapping):
        document = {}
    kind = KINDS.get(status, ServerFault if status >= 500 else Problem)
    return kind(status, document, seconds_of(headers.get("retry-after", "")))


def seconds_of(retry_after: str) -> float | None:
    """Read ``Retry-After``, seconds or a date; None where there is none or nonsense."""
    text = retry_after.strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
