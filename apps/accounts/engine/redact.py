"""Takes secrets out of text on its way to a log, an error, an export or a capsule.

Two nets: the shapes secrets have (our tokens, JWTs, bearer headers, passwords in addresses,
``password=…``), and the very values this process has opened.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "[hidden]"
#: Names whose value is a secret, as a whole word or the end of one (``broker_password``).
NAMES = (
    r"(?:password|passwd|secret|secret_key|api_key|apikey|access_key|private_key|auth_key|token|credential|totp"
    r"|seed_phrase)"
)
_WORD = re.compile(rf"(?:^|[_\-.\s]){NAMES}s?$", re.IGNORECASE)
_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\bqp_[A-Za-z0-9_-]{20,}"), HIDDEN),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+"), HIDDEN),
    (re.compile(r"\bgAAAA[A-Za-z0-9_=-]{40,}"), HIDDEN),
    (re.compile(r"(?i)\b(bearer|basic|ticket)(\s+|\.)[A-Za-z0-9._~+/=-]{8,}"), rf"\1\2{HIDDEN}"),
    (re.compile(r"(?i)([a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s@/]+@"), rf"\1:{HIDDEN}@"),
    (re.compile(rf"(?i)([\"']?\b[\w.-]*{NAMES}[\"']?\s*[=:]\s*)([\"'])(?:(?!\2).)+\2"), rf"\1\2{HIDDEN}\2"),
    (re.compile(rf"(?i)(\b[\w.-]*{NAMES}\s*[=:]\s*)[^\s\"',;&\[\]{{}}]+"), rf"\1{HIDDEN}"),
)
_opened: dict[str, None] = {}
MOST_OPENED = 1_000


def remember(value: str) -> None:
    """Hide ``value`` wherever it turns up from now on; short ones would hide half the text."""
    if len(value) >= 6:
        _opened[value] = None
        while len(_opened) > MOST_OPENED:
            _opened.pop(next(iter(_opened)))


def redact(text: str) -> str:
    """Return ``text`` without secrets."""
    for value in _opened:
        if value in text:
            text = text.replace(value, HIDDEN)
    for shape, instead in _SHAPES:
        text = shape.sub(instead, text)
    return text


def redacted(value: Any) -> Any:
    """Return a copy of a JSON-like ``value`` without secrets, by the names of its keys and by their shape."""
    if isinstance(value, Mapping):
        return {key: HIDDEN if _secret_name(key, one) else redacted(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(one) for one in value]
    return redact(value) if isinstance(value, str) else value


def _secret_name(key: Any, value: Any) -> bool:
    return isinstance(value, str) and value != "" and isinstance(key, str) and _WORD.search(key) is not None


class RedactingFormatter(logging.Formatter):
    """Redacts the finished line, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))
