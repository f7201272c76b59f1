"""Metric: one metric over a thousand sessions, from the question to the last byte, in a process like the web's."""

from __future__ import annotations

from collections.abc import Sequence

from quant_platform.bench import Row
from quant_platform.bench.databases import installation, kind_of, server_of
from quant_platform.bench.http import part

SESSIONS, GOAL_MS = 1000, 300.0


def rows(database: str = "") -> Sequence[Row]:
    """Measure on the database in use, or on the one asked for."""
    server = server_of(database)
    with installation(server, "metric") as env:
        found = part(env, "metric", str(SESSIONS))
    work = f"one metric over {SESSIONS:,} sessions, {kind_of(server)}"
    return [
        Row(f"{word} of {work}", round(one["p95_ms"], 1), GOAL_MS, "ms", clock="wall", note=_note(one))
        for word, one in found.items()
    ]


def _note(one: dict[str, float]) -> str:
    spent = f"p50 {one['p50_ms']:.0f} ms, {one['cpu_ms']:.0f} ms of CPU"
    return f"{spent}, {one['statements']} SQL, {one['kb']:.0f} KB"
