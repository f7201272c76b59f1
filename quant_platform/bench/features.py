"""``bench features``, ``load`` and ``signals``: the dense engine and Top-k dropout beside pyqlib.

pyqlib lives in this installation's own environment; its data is the same seeded market in its
own layout. Peaks of memory are of a fresh process that does the work once.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.features import ic
from apps.marketdata.engine.features.alpha import LABEL, alpha158
from apps.marketdata.engine.features.compute import compute, stream
from apps.marketdata.engine.store import load_panel, write_panel
from apps.trading.engine.portfolio import TopkOptions, topk_dropout
from quant_platform.bench import Row
from quant_platform.bench.markets import as_qlib, market
from quant_platform.bench.measure import cpu_seconds
from quant_platform.bench.peers import BASE, Peer, PeerMissing, say

ROLLING = [f"{name}($close, {n})" for n in (10, 60) for name in (
    "Mean", "Std", "Max", "Min", "Sum", "Slope", "Rsquare", "Resi", "Rank", "Quantile")]  # fmt: skip
ROLLING = [text.replace(")", ", 0.8)") if text.startswith("Quantile") else text for text in ROLLING]
FIELDS = ("open", "high", "low", "close", "volume", "vwap")
ROUNDS = 3

#: A fresh process that computes Alpha158 once and says its peak of memory in MB.
PEAK = """
import sys
from quant_platform.bench.markets import market
from quant_platform.bench.features import alpha_whole, alpha_streamed
panel = market(int(sys.argv[1]), 1)
(alpha_streamed if sys.argv[2] == "stream" else alpha_whole)(panel)
from quant_platform.bench.measure import peak_mb
print(peak_mb())
"""


def alpha_whole(panel: BarPanel) -> int:
    return int(compute(panel, list(alpha158().values()), threads=1).shape[0])


def alpha_streamed(panel: BarPanel) -> float:
    return float(sum(np.nansum(block[0]) for _, block in stream(panel, list(alpha158().values()))))


def rows() -> Sequence[Row]:
    """Measure Alpha158 and rolling operators on 300 and 800 symbols."""
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for symbols, goal, memory in ((300, 25.0, 800.0), (800, 15.0, 1900.0)):
            panel = market(symbols, 1)
            path = as_qlib(panel, Path(folder) / str(symbols))
            texts = list(alpha158().values())
            found.append(
                _against(
                    f"Alpha158, {symbols} symbols × 10 years",
                    goal,
                    partial(alpha_whole, panel),
                    ["expressions", path, json.dumps(texts)],
                    rounds=1,
                )
            )
            peak = peak_memory(symbols, "whole")
            found.append(Row(f"Alpha158, {symbols} symbols: peak memory", peak, memory, unit="MB"))
        found.append(Row("Alpha158, 800 symbols, streamed: peak memory", peak_memory(800, "stream"), 800.0, unit="MB"))
        found.append(
            _against(
                "20 rolling operators, 800 symbols × 10 years",
                17.0,
                lambda: compute(panel, ROLLING, threads=1),
                ["expressions", path, json.dumps(ROLLING)],
            )
        )
    return found


def load_rows() -> Sequence[Row]:
    """Measure reading six fields of 800 symbols: into memory, and memory-mapped."""
    panel = market(800, 2)
    with tempfile.TemporaryDirectory() as folder:
        stored = write_panel(panel, Path(folder) / "ours")
        path = as_qlib(panel, Path(folder) / "qlib")
        peer = ["expressions", path, json.dumps([f"${name}" for name in FIELDS])]
        return [
            _against("6 fields, 800 symbols × 10 years, into memory", 10.0, lambda: read_all(stored), peer),
            _against("the same, memory-mapped", 100.0, lambda: load_panel(stored), peer, repeat=20),
        ]


def read_all(folder: Path) -> float:
    """Read every value of every field, as a compute step would."""
    panel = load_panel(folder)
    return float(sum(np.array(panel.fields[name])[-1, -1] for name in FIELDS))


def ic_rows() -> Sequence[Row]:
    """Measure IC and Rank IC by day of one score on 300 symbols."""
    panel = market(300, 3)
    score, label = compute(panel, ["Ref($close, 5)/$close", LABEL], dtype=np.float64, future=True)
    scores, labels = np.ascontiguousarray(score.T), np.ascontiguousarray(label.T)
    with tempfile.TemporaryDirectory() as folder:
        path = as_qlib(panel, Path(folder) / "qlib")
        work: Callable[[], object] = lambda: ic.ic_by_day(scores, labels)  # noqa: E731
        return [_against("IC and Rank IC, 300 symbols × 10 years", 170.0, work, ["ic", path], repeat=5)]


def signal_rows() -> Sequence[Row]:
    return [*ic_rows(), *topk_rows()]


def topk_rows() -> Sequence[Row]:
    """Measure Top-k dropout (10 held, 2 exchanged a day) on 30 symbols over 442 days, with costs and price limits.

    The research measured the same amount of work on dj30; that both trade alike is proved by the reference cases.
    """
    panel = market(30, 4, days=444)  # the first day only gives a score, and pyqlib wants one after the last
    close = np.ascontiguousarray(panel.fields["close"].T)
    change = np.vstack([np.full((1, close.shape[1]), np.nan), close[1:] / close[:-1] - 1.0])
    scores = np.random.Generator(np.random.PCG64(5)).normal(size=close.shape)
    costs: dict[str, Any] = {"open_cost": 0.0005, "close_cost": 0.0015, "min_cost": 5.0, "limit_threshold": 0.095}
    options = TopkOptions(topk=10, n_drop=2, **costs)
    with tempfile.TemporaryDirectory() as folder:
        path = as_qlib(panel, Path(folder) / "qlib")
        np.save(Path(folder) / "scores.npy", scores)
        work = partial(topk_dropout, scores[:-1], close[:-1], close[:-1], options, first=1, change=change[:-1])
        peer = ["topk", path, str(Path(folder) / "scores.npy"), json.dumps(costs)]
        return [_against("Top-k dropout, 30 symbols × 442 days", 200.0, work, peer, repeat=5)]


def _against(
    work: str, goal: float, ours: Callable[[], object], peer: list[str], *, rounds: int = ROUNDS, repeat: int = 1
) -> Row:
    """Return the row of ``ours`` beside pyqlib in interleaved rounds; the goal is the ratio."""
    ours()  # compiles, or reads machine code
    say(f"  {work}")
    taken: list[float] = []
    theirs: list[float] = []
    note = ""
    try:
        with Peer("qlib_features.py", peer, python=sys.executable) as running:
            for _ in range(rounds):
                taken += [cpu_seconds(ours, repeat) for _ in range(3)]
                theirs.append(running.round())
    except PeerMissing as missing:
        note = str(missing)
        taken = taken or [cpu_seconds(ours, repeat) for _ in range(3)]
    mine, other = median(taken), median(theirs) if theirs else None
    ratio = other / mine if other else 0.0
    return Row(work, ratio, goal, unit="times faster", more_is_better=True, ours_s=mine, peer="pyqlib",
               peer_s=other, note=note)  # fmt: skip


def peak_memory(symbols: int, how: str) -> float:
    """Return the peak of memory of a fresh process, in MB, its market included."""
    done = subprocess.run(  # noqa: S603 - our own script and a number
        [sys.executable, "-c", PEAK, str(symbols), how], cwd=BASE, capture_output=True, text=True, check=True
    )
    return float(done.stdout)
