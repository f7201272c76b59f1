"""The figures in ``docs/performance.md``: a section for each benchmark and database, replaced as a whole."""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil

from quant_platform.bench import Row
from quant_platform.bench.peers import BASE

DOCUMENT = BASE / "docs" / "performance.md"
HEAD = "| what | measured | goal | | how |\n|---|---:|---:|---|---|"


def busy() -> float:
    """Return the share of the processors that something else keeps busy, over half a second."""
    return psutil.cpu_percent(0.5) / 100


def section(name: str, kind: str, rows: Sequence[Row], before: float) -> str:
    """Return the section of a benchmark as Markdown, between its two marks."""
    title = f"`bench {name}`" + (f" on {kind}" if kind else "")
    machine = f"{psutil.cpu_count()} cores, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}"
    about = f"{machine}; processors {before:.0%} busy with other work before it began."
    lines = [_line(row) for row in rows]
    return "\n".join([_mark(name, kind), f"## {title}", "", about, "", HEAD, *lines, _mark(name, kind, end=True)])


def write_section(name: str, kind: str, rows: Sequence[Row], before: float, path: Path | None = None) -> None:
    """Put the section in place of the one that is there, or behind the last."""
    path = path or DOCUMENT
    text, made = path.read_text(encoding="utf-8"), section(name, kind, rows, before)
    old = re.compile(re.escape(_mark(name, kind)) + ".*?" + re.escape(_mark(name, kind, end=True)), re.DOTALL)
    text = old.sub(lambda _: made, text) if old.search(text) else f"{text.rstrip()}\n\n{made}\n"
    path.write_text(text, encoding="utf-8")


def _mark(name: str, kind: str, *, end: bool = False) -> str:
    return f"<!-- {'end of ' if end else ''}bench {name}{f' {kind}' if kind else ''} -->"


def _line(row: Row) -> str:
    sign, verdict = ("≥" if row.more_is_better else "≤"), ("met" if row.met else "**missed**")
    peer = f"{row.peer} {row.peer_s:.4g} s, ×{row.ratio:.1f}" if row.peer_s and row.ratio else ""
    how = "; ".join(filter(None, (peer, row.note)))
    cells = [row.work, f"{row.measured:.4g} {row.unit}", f"{sign} {row.goal:g}", verdict, how]
    return "| " + " | ".join(cell.replace("|", "\\|").strip() for cell in cells) + " |"
