"""Strategies of the type allocation: weights after each close, from bars up to that close alone.

Runs in a session: the signal loads numba.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.universe import Membership, member_mask
from apps.strategies.engine.config_allocation import ONLINE, OPTIMISERS, RANKED, AllocationConfig
from apps.strategies.engine.ports import Policy, TargetWeights
from apps.trading.engine.portfolio import OPTIMISERS as SOLVERS
from apps.trading.engine.portfolio import portfolio_weights
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
#: A covariance of more instruments than this is estimated from too few returns, and slow.
MOST_SOLVED = 120


def decide(config: AllocationConfig, panel: BarPanel, policy: Policy | None = None) -> TargetWeights:
    """Return the wanted weights (S, T); NaN keeps the shares held. Refuses an unknown symbol."""
    weights = np.full((len(panel.symbols), len(panel.times)), np.nan)
    if not len(panel.times):
        return TargetWeights(weights)
    rows = [panel.index_of(symbol) for symbol in config.symbols] or list(range(len(panel.symbols)))
    part = panel if len(rows) == len(panel.symbols) and not config.symbols else panel.select(config.symbols)
    close = np.asarray(part.close, np.float64)
    eligible = members(part, config.universe) & (close > 0)
    scores: Floats | None = None
    if config.method in ONLINE:
        found = _online(config, close)
    elif config.method in RANKED:
        found, score = _ranked(config, part, eligible)
        scores = np.full(weights.shape, np.nan)
        scores[rows] = score
    elif config.method in OPTIMISERS:
        found = _solved(config, close, eligible)
    else:
        found = equal_parts(eligible, config.rebalance)
    weights[rows] = found * (config.invest / 100.0)
    return TargetWeights(weights, scores)


def members(panel: BarPanel, universe: str) -> Flags:
    """Return (S, T): who belongs to ``universe`` on which day; everybody where the bars tell no membership."""
    spans = cast("Sequence[Membership]", panel.meta.get("membership", ()))
    if not universe or not spans:
        return np.ones((len(panel.symbols), len(panel.times)), dtype=bool)
    return member_mask(panel, spans, universe)


def equal_parts(eligible: Flags, every: int, first: int = 0) -> Floats:
    """Return (S, T) equal weights of those ``eligible`` (S, T) at each rebalance from bar ``first`` on, else NaN."""
    out = np.full(eligible.shape, np.nan)
    for t in range(first, eligible.shape[1], every):
        count = int(eligible[:, t].sum())
        out[:, t] = eligible[:, t] / count if count else 0.0
    return out


def _solved(config: AllocationConfig, close: Floats, eligible: Flags) -> Floats:
    """Weights of an optimiser over everybody with a full window of prices."""
    out = np.full(close.shape, np.nan)
    for t in range(config.window, close.shape[1], config.rebalance):
        past = close[:, t - config.window : t + 1]
        listed = np.flatnonzero((past > 0).all(axis=1) & eligible[:, t])
        if len(listed) > MOST_SOLVED and config.method != "inverse_volatility":
            raise Refusal(
                "too_many_instruments",
                N_(
                    "%(method)s would estimate the risk of %(count)s instruments at once; at most %(most)s make sense. "
                    "Name symbols, or choose a ranking."
                ),
                field="symbols", method=config.method, count=len(listed), most=MOST_SOLVED,
            )  # fmt: skip
        out[:, t] = 0.0
        if len(listed) == 1:
            out[listed, t] = 1.0
        elif len(listed):
            returns = past[listed, 1:] / past[listed, :-1] - 1.0
            out[listed, t] = SOLVERS[config.method](np.cov(returns), returns.mean(axis=1))
    return out


def _online(config: AllocationConfig, close: Floats) -> Floats:
    """Weights of online selection, from the first day on which everybody has a price; gaps keep the last one."""
    out = np.full(close.shape, np.nan)
    known = np.where(close > 0, np.arange(close.shape[1]), -1)
    newest = np.maximum.accumulate(known, axis=1)
    listed = (newest >= 0).all(axis=0)
    if not listed.any():
        return out
    first = int(np.argmax(listed))
    filled = np.take_along_axis(close, np.maximum(newest, 0), axis=1)[:, first:]
    if len(close) > MOST_SOLVED:
        raise Refusal(
            "too_many_instruments",
            N_("Online selection over %(count)s instruments makes no sense; at most %(most)s do. Name symbols."),
            field="symbols", count=len(close), most=MOST_SOLVED,
        )  # fmt: skip
    out[:, first:] = portfolio_weights(config.method, filled)
    return out


def _ranked(config: AllocationConfig, part: BarPanel, eligible: Flags) -> tuple[Floats, Floats]:
    """Equal parts of those with the highest signal, and the signal itself, both (S, T).

    With ``top_k_dropout`` at most ``drop`` change at a time.
    """
    from apps.marketdata.engine.features.compute import compute

    score = np.where(eligible, compute(part, [config.signal], dtype=np.float64)[0], np.nan)
    out = np.full(score.shape, np.nan)
    held: list[int] = []
    known = np.isfinite(score).any(axis=0)
    for t in range(int(np.argmax(known)) if known.any() else score.shape[1], score.shape[1], config.rebalance):
        order = _best_first(score[:, t])
        if config.method == "top_k":
            chosen = order[: config.top]
            out[:, t] = 0.0
            out[chosen, t] = 1.0 / config.top
            continue
        sold, bought = exchange(held, order, score[:, t], config.top, config.drop)
        out[sold, t] = 0.0
        out[bought, t] = 1.0 / config.top
        held = [one for one in held if one not in sold] + bought
    return out, score


def _best_first(score: Floats) -> list[int]:
    """Return the rows with a score from the highest down, equal ones in the order of the data."""
    order = np.argsort(-np.where(np.isfinite(score), score, -np.inf), kind="stable")
    return [int(row) for row in order if np.isfinite(score[row])]


def exchange(
    held: Sequence[int], order: Sequence[int], score: Floats, top: int, drop: int
) -> tuple[list[int], list[int]]:
    """Return who is sold and who is bought, as pyqlib's TopkDropout chooses them.

    ``order`` are the rows from the best down. Of those held and the best ones not held, whoever is among the
    ``drop`` worst gives way; one held without a score counts as the worst.
    """
    holding = sorted(held, key=lambda row: -score[row] if np.isfinite(score[row]) else np.inf)
    fresh = [row for row in order if row not in held][: drop + top - len(holding)]
    both = sorted([*holding, *fresh], key=lambda row: -score[row] if np.isfinite(score[row]) else np.inf)
    worst = set(both[-drop:])
    sold = [row for row in holding if row in worst]
    return sold, fresh[: len(sold) + top - len(holding)]
