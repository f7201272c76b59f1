"""Quotes: how fast they are stored, how fast one is read while they are, how often memory answers.

In an installation of its own: SQLite in a scratch folder, or a scratch database on the server of ``DATABASE_URL``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quant_platform.bench import Row
from quant_platform.bench.databases import installation, kind_of, server_of

ROOT = Path(__file__).resolve().parents[2]
SYMBOLS, QUOTES = 5_000, 60_000
#: Quotes a second that come while others are read: the trace of a market's busy minute.
LOAD = 2_000
READS, READ_SECONDS = 5_000, 5.0
INGESTION, READ_P99, HITS = 20_000.0, 2.0, 0.95


def rows(database: str = "") -> Sequence[Row]:
    """Measure on the database in use, or on the one asked for."""
    server = server_of(database)
    with installation(server, "quotes") as env:
        variables = {**env, "QP_ENV": "test", "REDIS_URL": ""}
        manage = [sys.executable, str(ROOT / "manage.py")]
        subprocess.run([*manage, "migrate", "--verbosity", "0"], env=variables, check=True, cwd=ROOT)  # noqa: S603
        script = [sys.executable, "-m", "quant_platform.bench.quotes_parts"]
        run = subprocess.run(script, env=variables, check=True, cwd=ROOT, stdout=subprocess.PIPE)  # noqa: S603
    found: dict[str, Any] = json.loads(run.stdout)
    name = kind_of(server)
    note = (
        f"{QUOTES:,} quotes of {SYMBOLS:,} symbols with five levels in transactions of 5,000; "
        f"{found['stored']:,.0f} a CPU second of client and server"
    )
    read = (
        f"while {LOAD:,} quotes a second are stored by another process; mean {found['read_mean_ms']:.3f} ms, "
        f"p99 of CPU {found['read_cpu_p99_ms']:.3f} ms"
    )
    return [
        Row(
            f"{name}: quotes stored a second", found["stored_wall"], INGESTION, "quotes/s", more_is_better=True,
            clock="wall", note=note,
        ),
        Row(f"{name}: one quote read, p99", found["read_p99_ms"], READ_P99, "ms", clock="wall", note=read),
        Row(
            f"{name}: reads answered from memory", found["hits"], HITS, "share", more_is_better=True,
            note="the same trace; symbols asked for by a Zipf law",
        ),
    ]  # fmt: skip
