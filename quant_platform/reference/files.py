"""Where the files that a case names lie, and how they are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd

from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_


class Skip(Exception):
    """Raised by a handler for a case outside its vocabulary; the text is the reason shown."""


class Written(float):
    """A number of a case file that remembers how many decimals were written."""

    decimals: int

    def __new__(cls, text: str) -> Written:
        value = super().__new__(cls, text)
        exponent = Decimal(text).as_tuple().exponent
        value.decimals = max(0, -exponent) if isinstance(exponent, int) else 0
        return value


def read_case(path: Path) -> dict[str, Any]:
    """Return the case of ``path``; its decimals are ``Written``."""
    try:
        case = json.loads(path.read_text(encoding="utf-8"), parse_float=Written)
    except (OSError, ValueError) as error:
        raise Refusal(
            "bad_case", N_("%(file)s is not a reference case: %(why)s"), file=str(path), why=str(error)
        ) from error
    if isinstance(case, dict) and case.get("kind") == "quality":
        case["expect"] = expectations(case)
    why = misshapen(case)
    if why:
        raise Refusal("bad_case", N_("%(file)s is not a reference case: %(why)s"), file=str(path), why=why)
    return dict(case)


def misshapen(case: Any) -> str:
    """Return the keys of ``case`` that are missing or of another shape than any case has; nothing where all is well."""
    if not isinstance(case, dict) or not isinstance(case.get("kind"), str) or not case.get("expect"):
        return "kind, expect"
    parts = ("expect", "tolerance", "bars", "strategy", "sizing", "costs", "protection", "ask", "config")
    return ", ".join(name for name in parts if name in case and not isinstance(case[name], dict | None))


def expectations(case: Mapping[str, Any]) -> dict[str, bool]:
    """Return what a case of the kind ``quality`` expects: each wanted finding reported, each look-alike not."""
    wanted = {finding_name(item): True for item in case.get("must_report", ())}
    return wanted | {finding_name(item): False for item in case.get("must_not_report", ())}


def finding_name(item: Mapping[str, Any]) -> str:
    """Name a finding of a case by all it says but the reason: ``AAPL 2011-08-02 ohlc_inconsistent``."""
    return " ".join(str(value) for key, value in item.items() if key != "why")


@dataclass(frozen=True)
class Files:
    """Resolves the paths of one case: ``folder`` holds the case, ``data`` the market data."""

    folder: Path
    data: Path

    def path(self, name: str) -> Path:
        """Return the existing file called ``name`` (or ``name.gz``); raises ``Skip`` where it is absent.

        A name that begins with ``files/`` lies beside the folder of the case (or in it), every
        other below the data folder.
        """
        roots = (self.folder.parent, self.folder) if name.startswith("files/") else (self.data,)
        for root in roots:
            for candidate in (root / name, root / f"{name}.gz", root / name.removesuffix(".gz")):
                if candidate.exists():
                    return candidate
        raise Skip(f"{name} is absent")

    def table(self, name: str, **options: Any) -> pd.DataFrame:
        """Return the CSV file ``name``, packed or not, as a frame."""
        return pd.read_csv(self.path(name), **options)
