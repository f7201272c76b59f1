"""What a case may say; keys that nobody reads are named beside its result, so that a slip is seen."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from apps.trading.engine.rules.ask import ASKED

#: Keys of every case; words to people are among them.
COMMON = ("id", "kind", "source", "expect", "tolerance", "data", "rules", "note", "notes", "comment", "description")
#: kind -> the keys its handler reads, and those of the parts that are said in keys of their own.
KEYS: dict[str, dict[str, tuple[str, ...]]] = {
    "backtest": {
        "": (
            "bars", "cash", "strategy", "sizing", "signal", "fill", "costs", "protection", "start", "end", "lot",
            "participation", "cash_short", "rebalance", "risk_free", "order_of_fills",
        ),
        "bars": ("file", "format", "score", "adjust"),
        "strategy": ("type", "fast", "slow", "long_only", "on", "window", "low", "high", "k", "weights", "rebalance"),
        "sizing": ("type", "shares", "fraction", "priced_at", "whole_shares", "buffer", "invest", "lot"),
        "protection": ("stop_loss", "take_profit", "of", "stop_first", "gap_fills_at", "armed"),
    },
    "market_rule": {"": ("ask",), "ask": ASKED},
    "metrics": {"": ("periods_per_year", "risk_free", "start", "end", "column")},
    "portfolio": {"": ("periods_per_year", "risk_free", "method", "target_return", "target_volatility")},
    "topk_dropout": {
        "": ("scores", "config", "benchmark", "start", "end"),
        "config": ("ex", "st", "acct", "region", "benchmark", "start", "end"),
    },
}  # fmt: skip


def unread(case: Mapping[str, Any]) -> list[str]:
    """Return the keys of ``case`` that no handler reads, dotted, each with the one probably meant."""
    return [
        f"{prefix}{key}{_meant(key, known)}"
        for part, known in KEYS.get(str(case.get("kind")), {}).items()
        for prefix, key in _keys(case, part)
        if key not in known and (part or key not in COMMON)
    ]


def _keys(case: Mapping[str, Any], part: str) -> Iterator[tuple[str, str]]:
    said = case.get(part) if part else case
    if isinstance(said, Mapping):
        yield from ((f"{part}." if part else "", str(key)) for key in said)


def _meant(key: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(key, known, 1, 0.6)
    return f" (did you mean {near[0]}?)" if near else ""
