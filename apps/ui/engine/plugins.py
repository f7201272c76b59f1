"""What other packages add: entry points of a group, each loaded only when it is asked for.

What is built in is named as a dotted string in the same form and wins over a package that
claims its name; a package that cannot be loaded is told of and harms nobody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any


@dataclass(frozen=True)
class Plugin:
    """One extension: its name, where it lies (``package.module:object``) and which distribution brought it."""

    name: str
    target: str
    package: str = ""

    def load(self) -> Any:
        """Import and return the object; raises whatever its module raises."""
        module, _, path = self.target.partition(":")
        found: Any = import_module(module)
        for part in filter(None, path.split(".")):
            found = getattr(found, part)
        return found


def plugins(group: str, builtin: Mapping[str, str]) -> dict[str, Plugin]:
    """Return the extensions of ``group`` by name: those of ``builtin`` (name → target) first, then by name."""
    found = {name: Plugin(name, target) for name, target in builtin.items()}
    for plugin in installed(group):
        found.setdefault(plugin.name, plugin)
    return found


@lru_cache(maxsize=16)
def installed(group: str) -> tuple[Plugin, ...]:
    """Return what installed packages declare under ``group``, by name; read once in a process."""
    points = sorted(entry_points(group=group), key=lambda point: (point.name, point.value))
    return tuple(Plugin(point.name, point.value, point.dist.name if point.dist else "") for point in points)
