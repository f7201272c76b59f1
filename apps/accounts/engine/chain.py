"""The audit's hash chain: each link commits to one entry and to everything before it.

``chain_n = sha256(chain_{n-1} | n | entry id | digest of the entry)``, beginning with ``GENESIS``.
Whoever changes, removes or swaps an entry must recompute every later link; the newest one, kept
elsewhere (``audit export`` and ``audit verify`` print it), tells.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

GENESIS = "0" * 64


def digest(entry: Mapping[str, Any]) -> str:
    """Return the SHA-256 of ``entry`` in a form that does not depend on the order of its keys."""
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def link(previous: str, position: int, entry_id: int, entry_digest: str) -> str:
    """Return the chain value of the link at ``position`` (1 is the first)."""
    return hashlib.sha256(f"{previous}|{position}|{entry_id}|{entry_digest}".encode()).hexdigest()
