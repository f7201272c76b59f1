"""Environment steps a second of one core, beside what TradeMaster's own environments reached."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from apps.strategies.engine.envs import AlgorithmicTradingEnv, BatchedEnv, PortfolioEnv, Prices
from quant_platform.bench import Row
from quant_platform.bench.measure import interleaved

#: Environment steps of one CPU second that its own environments reached on this kind of machine, random policy, one
#: thread (commit c1c4838, the better of two software stacks). Stated, not run again: it is no package one can install.
TRADEMASTER = {"algorithmic": 1387.0, "portfolio": 2903.0}
NOTE = "measured once and stated here, not re-run"
BARS, ASSETS, MANY = 252, 29, 4096


def prices(assets: int) -> Prices:
    """Return a random market of ``assets`` over a year of daily bars."""
    draw = np.random.default_rng(7)
    close = 100.0 * np.exp(np.cumsum(draw.normal(0.0, 0.01, (BARS, assets)), axis=0))
    open_ = close * np.exp(draw.normal(0.0, 0.002, close.shape))
    return Prices(open_, close, draw.normal(size=(BARS, assets, 11)).astype(np.float32))


def clock(device: torch.device) -> Callable[[], float]:
    """Return the clock that fits: CPU seconds, or wall seconds where an accelerator does the work."""
    if device.type == "cpu":
        return time.process_time

    def now() -> float:
        torch.cuda.synchronize() if device.type == "cuda" else torch.mps.synchronize()
        return time.perf_counter()

    return now


def steps_per_second(env: BatchedEnv, action: Tensor, episodes: int) -> float:
    """Return environment steps (copies x steps) a second over whole episodes, resets included."""
    now = clock(env.device)
    for count in (1, episodes):  # the first warms up
        start = now()
        for _ in range(count):
            env.reset()
            for _ in range(env.horizon):
                env.step(action)
        taken = now() - start
    return env.copies * env.horizon * episodes / taken


def algorithmic(copies: int, device: torch.device) -> Callable[[], float]:
    """Return a measurement of the one-asset environment; a random action for each copy."""
    env = AlgorithmicTradingEnv(prices(1), copies=copies, window=10, device=device)
    actions = torch.randint(2, (copies,), device=device)
    return lambda: steps_per_second(env, actions, 3 if copies > 1 else 10)


def portfolio(copies: int, device: torch.device) -> Callable[[], float]:
    """Return a measurement of the portfolio environment with 29 assets; random weights for each copy."""
    env = PortfolioEnv(prices(ASSETS), copies=copies, window=10, device=device)
    weights = torch.rand(ASSETS + 1, copies, device=device)
    weights /= weights.sum(0)
    return lambda: steps_per_second(env, weights.t(), 2 if copies > 1 else 10)


def rows(device: str | None = None) -> Sequence[Row]:
    """Measure on ``device`` (or ``QP_DEVICE``, or the CPU with one thread)."""
    place = torch.device(device or os.environ.get("QP_DEVICE") or "cpu")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        measured = interleaved(
            {
                "algorithmic many": algorithmic(MANY, place), "algorithmic one": algorithmic(1, place),
                "portfolio many": portfolio(MANY, place), "portfolio one": portfolio(1, place),
            }
        )  # fmt: skip
    finally:
        torch.set_num_threads(threads)
    many, one = f"{MANY} copies", "1 copy"
    one_asset, several = "Algorithmic trading environment", f"Portfolio environment, {ASSETS} assets"
    return [
        _row(f"{one_asset}, {many}", measured["algorithmic many"], 30e6, "algorithmic", place),
        _row(f"{one_asset}, {one}", measured["algorithmic one"], 20e3, "algorithmic", place),
        _row(f"{several}, {many}", measured["portfolio many"], 10e6, "portfolio", place),
        _row(f"{several}, {one}", measured["portfolio one"], 30e3, "portfolio", place),
    ]


def _row(work: str, rate: float, goal: float, peer: str, place: torch.device) -> Row:
    """Seconds are those of one million environment steps."""
    return Row(
        work, rate, goal, "steps/s", more_is_better=True, ours_s=1e6 / rate, peer="TradeMaster",
        peer_s=1e6 / TRADEMASTER[peer], clock="cpu" if place.type == "cpu" else "wall", note=NOTE,
    )  # fmt: skip
