"""Secrets: kept out of ``repr``, logs, pickles and error messages."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

#: A JWT is renewed this many seconds before it ends.
EARLY = 30.0


class Secret:
    """A text that shows itself only when asked by ``reveal()``."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        if not text.isascii() or not text.isprintable():
            raise ValueError("a token is printable ASCII; this one is not (was it copied whole?)")
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not written down")


@dataclass
class Keys:
    """What opens the server: an API token, or a JWT with the refresh token that renews it."""

    access: Secret
    refresh: Secret | None = None
    ends_at: float = field(default=float("inf"))

    @classmethod
    def of_grant(cls, document: Mapping[str, Any]) -> Keys:
        """Read the answer of ``POST /api/token``."""
        ends = time.monotonic() + float(document["expires_in"])
        return cls(Secret(str(document["token"])), Secret(str(document["refresh_token"])), ends)

    @property
    def is_old(self) -> bool:
        """Tell whether the JWT ends within the next seconds."""
        return time.monotonic() > self.ends_at - EARLY

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access.reveal()}"} if self.access else {}
