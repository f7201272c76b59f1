"""What changed between two configurations, line by line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Line:
    """One line of a diff: ``sign`` is ``+``, ``-`` or a space, ``name`` the field's."""

    sign: str
    name: str
    value: str

    @property
    def text(self) -> str:
        return f"{self.name}: {self.value}"


def shown(value: Any) -> str:
    """Return a value as it is written in a configuration."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def config_diff(old: Mapping[str, Any], new: Mapping[str, Any], *, context: bool = False) -> list[Line]:
    """Return the removed and added lines from ``old`` to ``new``; with ``context`` the equal ones too."""
    lines: list[Line] = []
    for name in [*old, *(key for key in new if key not in old)]:
        before, after = old.get(name), new.get(name)
        if name in old and name in new and before == after:
            if context:
                lines.append(Line(" ", name, shown(after)))
            continue
        if name in old:
            lines.append(Line("-", name, shown(before)))
        if name in new:
            lines.append(Line("+", name, shown(after)))
    return lines
