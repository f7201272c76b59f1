"""How deep a JSON text nests, told before it is parsed."""

from __future__ import annotations

#: No document of the API needs more; Python's own parser gives up at about a thousand.
MOST = 32


def too_deep(body: bytes, most: int = MOST) -> bool:
    """Tell whether brackets in ``body`` nest deeper than ``most``; those inside strings do not count."""
    depth = 0
    inside = escaped = False
    for byte in body:
        if inside:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                inside = False
        elif byte == 0x22:
            inside = True
        elif byte in b"[{":
            depth += 1
            if depth > most:
                return True
        elif byte in b"]}":
            depth -= 1
    return False
