"""Typed reader of environment variables that names the wrong one.

Every variable of the platform is declared once, in ``declared.py``; nothing else reads
``os.environ``. A value that does not parse stops the program with its name, the value and
what was expected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off"}


class SettingError(Exception):
    """A variable of the environment has a value that cannot be used."""


def _boolean(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered in TRUE:
        return True
    if lowered in FALSE:
        return False
    raise ValueError(text)


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


PARSERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "str": (str, "text"),
    "int": (int, "a whole number, such as 8000"),
    "float": (float, "a number, such as 0.8"),
    "bool": (_boolean, "one of 1, 0, true, false, yes, no, on, off"),
    "list": (_items, "items separated by commas"),
}


@dataclass(frozen=True)
class Setting:
    """One variable: its name, type, default and the line that explains it."""

    name: str
    type: str
    default: Any
    help: str
    choices: tuple[str, ...] = ()

    def read(self, environ: Mapping[str, str]) -> Any:
        """Return the value of this setting in ``environ`` or its default."""
        text = environ.get(self.name, "")
        if text == "":
            return self.default
        parse, expected = PARSERS[self.type]
        try:
            value = parse(text)
        except ValueError as error:
            raise SettingError(f"{self.name} is {text!r}; expected {expected}.") from error
        if self.choices and value not in self.choices:
            raise SettingError(f"{self.name} is {text!r}; expected one of {', '.join(self.choices)}.")
        return value


def load_env_file(path: Path, environ: dict[str, str]) -> None:
    """Add the ``NAME=value`` lines of ``path`` to ``environ`` where they are not set yet."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        name, separator, value = line.strip().partition("=")
        if separator and name and not name.startswith("#"):
            environ.setdefault(name.strip(), value.strip().strip("\"'"))
