"""Features for pages, API and commands: questions checked, answers read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from apps.marketdata.adapters.feature_worker import answered, cached
from apps.marketdata.engine.features.alpha import SETS
from apps.marketdata.engine.features.expression import parse
from apps.marketdata.engine.features.indicators import indicator_columns
from apps.marketdata.models import Dataset
from apps.marketdata.selectors import dataset_folder, require_bars
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

HORIZONS = (1, 2, 5, 10, 20)
GROUPS = 5
NO_EXPRESSION = N_("Name at least one expression, such as Ref($close, 5)/$close - 1, or a set: %(known)s.")
UNKNOWN_SET = N_("There is no feature set %(name)s. There are %(known)s.")
BAD_HORIZONS = N_("Horizons are up to 10 whole numbers of bars from 1 to 250, such as 1,5,20.")
BAD_GROUPS = N_("Groups are a whole number from 2 to 20.")
BAD_DATE = N_("Enter a date such as 2011-01-03.")
TWICE = N_("Two features have the name %(name)s.")
SET_NAMES = (*SETS, "Indicators")


def columns_of(expressions: Sequence[str], feature_set: str = "", *, labels: bool = False) -> dict[str, str]:
    """Return the columns by name: those of a set and the expressions, each ``name=expression`` or bare.

    Raises ``Refusal`` as ``parse`` does, and ``unknown_set``, ``no_expression``, ``name_twice``.
    """
    columns: dict[str, str] = {}
    if feature_set:
        if feature_set not in SET_NAMES:
            raise Refusal("unknown_set", UNKNOWN_SET, field="set", name=feature_set[:40], known=", ".join(SET_NAMES))
        columns |= indicator_columns() if feature_set == "Indicators" else SETS[feature_set]()
    for text in expressions:
        name, separator, rest = text.partition(":=")
        name, expression = (name.strip(), rest.strip()) if separator else (text.strip(), text.strip())
        parse(expression, future=labels)
        if name in columns or name in ("symbol", "time"):
            raise Refusal("name_twice", TWICE, field="expressions", name=name[:40])
        columns[name] = expression
    if not columns:
        raise Refusal("no_expression", NO_EXPRESSION, field="expressions", known=", ".join(SET_NAMES))
    return columns


def table_question(
    dataset: Dataset, columns: Mapping[str, str], symbols: Sequence[str], start: str, end: str, *, labels: bool = False
) -> dict[str, Any]:
    """Return the question for a table of ``columns``; raises ``Refusal`` ``bad_date``."""
    return {
        "kind": "table", "columns": dict(columns), "symbols": list(symbols), "labels": labels,
        **_where(dataset, start, end),
    }  # fmt: skip


def analysis_question(
    dataset: Dataset, expression: str, start: str = "", end: str = "", horizons: str = "", groups: str | int = GROUPS
) -> dict[str, Any]:
    """Return the question; raises ``Refusal`` for what cannot be asked."""
    parse(expression)
    return {
        "kind": "analysis", "expression": expression.strip(), "horizons": _horizons(horizons),
        "groups": _groups(groups), **_where(dataset, start, end),
    }  # fmt: skip


def analysis(question: Mapping[str, Any]) -> dict[str, Any]:
    """Return the analysis, computed where it is not known yet."""
    return dict(json.loads(answered(question).read_text(encoding="utf-8")))


def analysis_known(question: Mapping[str, Any]) -> dict[str, Any] | None:
    path = cached(question)
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path else None


def _where(dataset: Dataset, start: str, end: str) -> dict[str, Any]:
    require_bars(dataset)
    return {
        "folder": str(dataset_folder(dataset)), "name": str(dataset), "data": dataset.content_hash,
        "start": _iso(start, "start"), "end": _iso(end, "end"),
    }  # fmt: skip


def _iso(text: str, field: str) -> str:
    try:
        return date.fromisoformat(text.strip()).isoformat() if text.strip() else ""
    except ValueError:
        raise Refusal("bad_date", BAD_DATE, field=field) from None


def _horizons(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        return list(HORIZONS)
    if len(parts) > 10 or not all(p.isascii() and p.isdecimal() and 1 <= int(p[:9]) <= 250 for p in parts):
        raise Refusal("bad_horizons", BAD_HORIZONS, field="horizons")
    return sorted({int(part) for part in parts})


def _groups(value: str | int) -> int:
    text = str(value).strip() or str(GROUPS)
    if not (text.isascii() and text.isdecimal() and 2 <= int(text[:9]) <= 20):
        raise Refusal("bad_groups", BAD_GROUPS, field="groups")
    return int(text)
