"""``bench backtest``: the kernel beside vectorbt and backtesting.py, on the same seeded bars."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from apps.trading.engine.backtest import (
    HOLD,
    Bars,
    Context,
    Options,
    rule_targets,
    run_on_bar,
    run_rule,
    run_targets,
    run_weights,
    sweep,
    warm,
)
from apps.trading.engine.backtest.market import Market
from apps.trading.engine.costs import Costs
from quant_platform.bench import Row
from quant_platform.bench.measure import cpu_seconds, interleaved
from quant_platform.bench.peers import BASE, Peer, PeerMissing, say

Floats = NDArray[np.float64]
MINUTES, DAYS = 500_000, 2_520
FASTS, SLOWS = list(range(5, 25)), list(range(30, 130, 10))
PARAMS = {"fast": 10.0, "slow": 30.0}
COSTS = Costs(rate=0.001)
MINUTE_OPTIONS = Options(capital=1e8, sizing="fixed_shares", shares=100)
ROUNDS = 5

#: In a fresh process: the first call of the compiled kernel, its machine code read from the cache.
FIRST_CALL = """
import time
from apps.trading.engine.backtest import Bars, run_rule
import numpy as np
prices = np.array([1.0, 2.0, 3.0, 2.0, 1.0])
bars = Bars.of(prices, prices)
start = time.process_time()
run_rule("sma_cross", {"fast": 1, "slow": 2}, bars)
print(time.process_time() - start)
"""


def make_bars(count: int, seed: int, step: float) -> Bars:
    """Return ``count`` seeded bars on a grid of 0.01: a random walk with gaps and tails."""
    rng = np.random.Generator(np.random.PCG64(seed))
    close = np.round(100.0 * np.exp(np.cumsum(rng.normal(0.0, step, count))), 2)
    before = np.concatenate([[100.0], close[:-1]])
    open_ = np.round(before * (1.0 + rng.normal(0.0, step / 4, count)), 2)
    high = np.round(np.maximum(open_, close) * (1.0 + np.abs(rng.normal(0.0, step / 2, count))), 2)
    low = np.round(np.minimum(open_, close) * (1.0 - np.abs(rng.normal(0.0, step / 2, count))), 2)
    return Bars(open_, high, low, close)


def a_shares(closes: Floats, bars_a_day: int = 1) -> Market:
    """Return the rules of the main board over closes (S, T): limits, lots, T+1, stamp duty and transfer fee."""
    days = np.datetime64("2010-01-04", "D") + np.arange(closes.shape[1]) // bars_a_day
    before = np.concatenate([np.full((len(closes), 1), np.nan), closes[:, :-1]], axis=1)
    return Market.build([("CN", "main")] * len(closes), days, before)


def call_on_bar(targets: list[int], bars: Bars, market: Market) -> object:
    """Trade ``targets`` through the third door: orders, lots, T+1, price limits, cash and holdings checked."""
    side = 0

    def on_bar(ctx: Context, bar: object) -> None:
        nonlocal side
        want = targets[ctx.t]
        if want not in (HOLD, side):
            side = want
            ctx.order_target(100.0 * want)

    return run_on_bar(on_bar, bars, COSTS, MINUTE_OPTIONS, market=market)


def make_top(days: int, names: int = 500, held: int = 50) -> tuple[Floats, Floats, Floats]:
    """Return target weights, opens and closes (S, T): the ``held`` best of a persistent score, in equal parts."""
    rng = np.random.Generator(np.random.PCG64(3))
    close = np.round(100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.012, (names, days)), axis=1)), 2)
    open_ = np.round(close * (1.0 + rng.normal(0.0, 0.003, close.shape)), 2)
    score = rng.normal(size=close.shape)
    for t in range(1, days):
        score[:, t] += 0.97 * score[:, t - 1]
    best = np.argpartition(-score, held, axis=0)[:held]
    weights = np.zeros_like(close)
    np.put_along_axis(weights, best, 1.0 / held, axis=0)
    return weights, open_, close


def rows() -> Sequence[Row]:
    """Measure every row; peers that are not installed are named as such."""
    warm()
    minutes, days = make_bars(MINUTES, 1, 0.0005), make_bars(DAYS, 2, 0.012)
    targets = rule_targets("sma_cross", PARAMS, minutes)
    wanted_sides, top = targets.tolist(), make_top(min(DAYS, 2_500))
    minute_rules, day_rules = a_shares(minutes.close[None], 240), a_shares(top[2])
    ours: dict[str, Callable[[], object]] = {
        "on_bar": lambda: call_on_bar(wanted_sides, minutes, minute_rules),
        "top_ruled": lambda: run_weights(*top, COSTS, invest=0.95, market=day_rules),
        "top": lambda: run_weights(*top, COSTS, invest=0.95),
        "rule": lambda: run_rule("sma_cross", PARAMS, minutes, COSTS, MINUTE_OPTIONS),
        "targets": lambda: run_targets(targets, minutes, COSTS, MINUTE_OPTIONS),
        "sweep": lambda: sweep(FASTS, SLOWS, days, COSTS, Options()),
    }
    grid = [json.dumps(FASTS), json.dumps(SLOWS)]
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        at = {"minutes": _write(Path(folder) / "minutes", minutes), "days": _write(Path(folder) / "days", days)}
        at["top"] = _save(Path(folder) / "top", weights=top[0], open=top[1], close=top[2])
        wanted = {
            ("rule", "vectorbt"): ("vectorbt_sma.py", ["minutes", at["minutes"]], 1.0),
            ("rule", "backtesting.py"): ("backtesting_sma.py", ["minutes", at["minutes"]], 1.0),
            ("top", "vectorbt"): ("vectorbt_top.py", [at["top"]], 1.0),
            ("sweep", "vectorbt"): ("vectorbt_sma.py", ["grid", at["days"], *grid], 1.0),
            ("sweep", "backtesting.py"): ("backtesting_sma.py", ["grid", at["days"], *grid], 10.0),
        }
        peers, notes = {}, {}
        for key, (script, arguments, _) in wanted.items():
            try:
                say(f"  starting {key[1]} ({key[0]})")
                peers[key] = stack.enter_context(Peer(script, arguments))
            except PeerMissing as missing:
                notes[key] = str(missing)
        say("  measuring")
        works: dict[str, Callable[[], float]] = {name: _measure(work) for name, work in ours.items()}
        works |= {f"{name} {peer}": running.round for (name, peer), running in peers.items()}
        taken = interleaved(works, ROUNDS)
    theirs = {key: taken[f"{key[0]} {key[1]}"] * wanted[key][2] for key in peers}
    theirs |= {("targets", "vectorbt"): theirs[("rule", "vectorbt")]} if ("rule", "vectorbt") in theirs else {}
    notes |= {("targets", "vectorbt"): notes[("rule", "vectorbt")]} if ("rule", "vectorbt") in notes else {}
    same = ("rule", "backtesting.py")
    if same in theirs:
        theirs[("on_bar", "backtesting.py")] = theirs[same]
    if same in notes:
        notes[("on_bar", "backtesting.py")] = notes[same]
    work = {
        "rule": (f"SMA cross, {MINUTES:,} minute bars, named rule", 0.005, ("vectorbt", "backtesting.py")),
        "targets": ("the same, signal array", 0.015, ("vectorbt",)),
        "on_bar": ("the same, Python on_bar with orders, checks, lots, T+1", 0.5, ("backtesting.py",)),
        "sweep": (f"{len(FASTS) * len(SLOWS)}-point sweep, {DAYS:,} days", 0.02, ("vectorbt", "backtesting.py")),
        "top": ("top 50 of 500, 10 years daily, target weights", 0.1, ("vectorbt",)),
    }
    found = [
        Row(
            text,
            taken[name],
            goal,
            ours_s=taken[name],
            peer=peer,
            peer_s=theirs.get((name, peer)),
            note=notes.get((name, peer), ""),
        )
        for name, (text, goal, names) in work.items()
        for peer in names
    ]
    text = "the same under A-share rules: limits, lots, T+1, charges"
    found.append(Row(text, taken["top_ruled"], 0.1, ours_s=taken["top_ruled"]))
    return [*found, Row("first call of the kernel in a fresh process, cached", first_call(), 0.5)]


def _measure(work: Callable[[], object]) -> Callable[[], float]:
    """Return a measurement of ``work`` at rest: a few calls first, then the mean of some more."""

    def measured() -> float:
        cpu_seconds(work, 2)
        return cpu_seconds(work, 5)

    return measured


def first_call() -> float:
    """Return the CPU seconds of the first call in a fresh process (median of three)."""
    command = [sys.executable, "-c", FIRST_CALL]
    return median(
        float(subprocess.run(command, cwd=BASE, capture_output=True, text=True, check=True).stdout)  # noqa: S603
        for _ in range(3)
    )


def _write(folder: Path, bars: Bars) -> str:
    return _save(folder, **{name: getattr(bars, name) for name in ("open", "high", "low", "close")})


def _save(folder: Path, **arrays: Floats) -> str:
    folder.mkdir()
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    return str(folder)
