"""``--set key=value``: fields of a configuration from the command line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from apps.strategies.engine.config_base import StrategyConfig
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_


def parse_overrides(config: type[StrategyConfig], pairs: Iterable[str]) -> dict[str, Any]:
    """Return ``{"fast": "5"}`` for ``["fast=5"]``; values are parsed by the configuration itself.

    An empty value means none; lists are separated by commas. Raises ``Refusal`` for a pair without
    ``=`` and for an unknown field, naming the nearest one.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        name = name.strip()
        if not separator:
            raise Refusal("set_without_value", N_("Write --set name=value; %(pair)s has no value."), pair=pair)
        if name not in config.model_fields:
            raise unknown_field(config, name)
        is_list = "list" in str(config.model_fields[name].annotation)
        value = text.strip()
        found[name] = [item.strip() for item in value.split(",") if item.strip()] if is_list else (value or None)
    return found


def unknown_field(config: type[StrategyConfig], name: str) -> Refusal:
    """Return the refusal of a field the configuration lacks, with the nearest name it has."""
    near = difflib.get_close_matches(name, config.model_fields, n=1, cutoff=0.5)
    if near:
        return Refusal(
            "unknown_field",
            N_("There is no field %(name)s. Did you mean %(near)s?"),
            field=name,
            name=name,
            near=near[0],
        )
    known = ", ".join(config.model_fields)
    return Refusal(
        "unknown_field", N_("There is no field %(name)s. There are %(known)s."), field=name, name=name, known=known
    )
