"""What a program's token may reach: an area of the API, to read or to write.

The area follows from the first part of the path below ``/api/``, reading and writing from the
method. A path of no known area needs ``*``: a new part of the API is closed until it is named here.
"""

from __future__ import annotations

from collections.abc import Iterable

EVERYTHING = "*"
#: First part of the path → area. A new router adds its first part here.
AREAS: dict[str, str] = {
    "strategies": "strategies",
    "sessions": "sessions",
    "compare": "sessions",
    "capsules": "sessions",
    "tunings": "sessions",
    "research": "sessions",
    "models": "sessions",
    "ws-ticket": "sessions",
    "data": "data",
    "datasets": "data",
    "quotes": "data",
    "feeds": "data",
    "market": "data",
    "sources": "data",
    "syncs": "data",
    "signals": "trading",
    "trading": "trading",
    "accounts": "trading",
    "orders": "trading",
    "risk": "trading",
    "promotions": "trading",
    "monitoring": "monitoring",
    "alerts": "monitoring",
    "reports": "monitoring",
    "health": "monitoring",
    "ready": "monitoring",
    "system": "monitoring",
    "overview": "monitoring",
    "workers": "monitoring",
    "connections": "monitoring",
    "token": "account",
    "tokens": "account",
    "me": "account",
    "notices": "account",
    "devices": "account",
    "shares": "account",
    "groups": "account",
    "people": "account",
    "credentials": "account",
    "audit": "account",
}
#: A POST that only asks a question.
READING_POSTS = frozenset({"data/realtime", "strategies/validate", "ws-ticket"})
SCOPES: tuple[str, ...] = tuple(f"{area}:{act}" for area in sorted(set(AREAS.values())) for act in ("read", "write"))


def scope_needed(method: str, path: str) -> str:
    """Return the scope a request needs; ``path`` begins behind ``/api/``."""
    area = AREAS.get(path.strip("/").partition("/")[0])
    if area is None:
        return EVERYTHING
    reads = method.upper() in {"GET", "HEAD", "OPTIONS"} or path.strip("/") in READING_POSTS
    return f"{area}:{'read' if reads else 'write'}"


def allows(scopes: Iterable[str], needed: str) -> bool:
    """Tell whether ``scopes`` cover ``needed``; who may write an area may read it."""
    held = set(scopes)
    area, _, act = needed.partition(":")
    return EVERYTHING in held or needed in held or (act == "read" and f"{area}:write" in held)


def unknown(scopes: Iterable[str]) -> list[str]:
    """Return those of ``scopes`` that do not exist."""
    return [scope for scope in scopes if scope != EVERYTHING and scope not in SCOPES]
