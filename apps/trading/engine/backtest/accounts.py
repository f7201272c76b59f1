"""Several accounts in one call of the kernel: independent ledgers over the same bars.

What accounts share (bars that traded, rules of the market as arrays) is made once; each leaves the bytes
that it would leave alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.compiled import compiled
from apps.trading.engine.backtest import run
from apps.trading.engine.backtest.bars import Bars
from apps.trading.engine.backtest.depth import Depth, room_of
from apps.trading.engine.backtest.kernel import simulate
from apps.trading.engine.backtest.market import Market, Rules
from apps.trading.engine.backtest.options import REFUSALS, Options, Result
from apps.trading.engine.backtest.weights import rebalance
from apps.trading.engine.costs import Costs
from apps.trading.engine.ledger import LEDGER
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

Floats = NDArray[np.float64]
Out = tuple[NDArray[np.void], NDArray[np.int64], Floats, NDArray[np.int64]]
#: Columns of the numbers of an account.
CAPITAL, FIXED, AMOUNT, SHORT, REDUCE, STOP, TAKE, ARMED, RATE, PER_SHARE, MINIMUM, SELL_TAX, SLIPPAGE, LOT = range(14)


@dataclass(frozen=True)
class AccountOf:
    """Costs and options of one account."""

    costs: Costs = field(default_factory=Costs)
    options: Options = field(default_factory=Options)


@compiled
def simulate_each(
    signals: NDArray[np.int8],
    open_: NDArray[np.float64], high: NDArray[np.float64], low: NDArray[np.float64], close: NDArray[np.float64],
    numbers: NDArray[np.float64], ledger: NDArray[np.void], refused: NDArray[np.int64], equity: NDArray[np.float64],
    counts: NDArray[np.int64], rules: Any, room: Any,
) -> None:  # fmt: skip
    """Trade the signals (K, T) of each account; see ``kernel.simulate``."""
    for k in range(numbers.shape[0]):
        own = numbers[k]
        counts[k] = simulate(
            signals[k], open_, high, low, close, own[CAPITAL], own[FIXED] > 0.0, own[AMOUNT], own[SHORT] > 0.0,
            own[REDUCE] > 0.0, own[STOP], own[TAKE], own[ARMED] > 0.0, own[RATE], own[PER_SHARE], own[MINIMUM],
            own[SELL_TAX], own[SLIPPAGE], own[LOT], ledger[k], refused[k], equity[k], rules, room,
        )  # fmt: skip


@compiled
def rebalance_each(
    weights: NDArray[np.float64], open_: NDArray[np.float64], close: NDArray[np.float64], first: int, invest: float,
    numbers: NDArray[np.float64], ledger: NDArray[np.void], refused: NDArray[np.int64], equity: NDArray[np.float64],
    counts: NDArray[np.int64], rules: Any, room: Any,
) -> None:  # fmt: skip
    """Hold the weights (K, S, T) of each account, or of one (1, S, T) in all; see ``weights.rebalance``."""
    for k in range(numbers.shape[0]):
        own = numbers[k]
        counts[k] = rebalance(
            weights[min(k, weights.shape[0] - 1)], open_, close, first, own[CAPITAL], invest, own[SHORT] > 0.0,
            own[REDUCE] > 0.0, own[RATE], own[PER_SHARE], own[MINIMUM], own[SELL_TAX], own[SLIPPAGE], own[LOT],
            ledger[k], refused[k], equity[k], rules, room,
        )  # fmt: skip


def targets_of_accounts(
    targets: NDArray[np.int8], bars: Bars, accounts: Sequence[AccountOf], *, first: int = 0,
    market: Market | None = None, depth: Depth | None = None,
) -> list[Result]:  # fmt: skip
    """Trade the sides (K, T) that K accounts want after each close of one instrument, as ``run_targets`` does."""
    if targets.shape != (len(accounts), len(bars)):
        raise Refusal("bad_targets", N_("There must be one target for each account and bar."))
    listed = bars.listed
    start = listed.first(first)
    wanted = np.ascontiguousarray(targets if listed.index is None else targets[:, listed.index], np.int8)[:, start:]
    own, count = listed.bars.since(start), len(listed.bars) - start

    def call(part: list[int], held: Rules | None, out: Out) -> None:
        volumes = run.listed_room(depth, accounts[part[0]].costs, accounts[part[0]].options, listed, start)
        sides, numbers = np.ascontiguousarray(wanted[part]), _numbers(accounts, part)
        simulate_each(sides, own.open, own.high, own.low, own.close, numbers, *out, held, volumes)

    def rules(account: AccountOf) -> Rules | None:
        return run.rules_of(market, account.costs, account.options, listed, start)

    found = _each(accounts, call, rules, 1024 + count // 8, count)
    return [
        run.result_of(listed, ledger, equity, refused, first, start, account.options)
        for account, (ledger, equity, refused) in zip(accounts, found, strict=True)
    ]


def weights_of_accounts(
    weights: Floats, open_: Floats, close: Floats, accounts: Sequence[AccountOf], *, invest: float = 1.0,
    first: int = 0, market: Market | None = None, depth: Depth | None = None,
) -> list[Result]:  # fmt: skip
    """Hold the weights (K, S, T) of K accounts, or the same (S, T) in all, as ``run_weights`` does."""
    wanted = np.ascontiguousarray(weights if weights.ndim == 3 else weights[None], np.float64)
    if wanted.shape[1:] != close.shape or open_.shape != close.shape or len(wanted) not in (1, len(accounts)):
        raise Refusal("bad_targets", N_("There must be one weight for each account, instrument and bar."))
    opens, closes = (np.ascontiguousarray(a, np.float64) for a in (open_, close))
    symbols, bars = close.shape[0], close.shape[1] - first

    def call(part: list[int], held: Rules | None, out: Out) -> None:
        chosen = wanted if len(wanted) == 1 else np.ascontiguousarray(wanted[part])
        volumes = room_of(depth, accounts[part[0]].costs, accounts[part[0]].options, close.shape)
        rebalance_each(chosen, opens, closes, first, invest, _numbers(accounts, part), *out, held, volumes)

    def rules(account: AccountOf) -> Rules | None:
        return run.weighed_rules(market, opens, closes, account.costs, account.options)

    found = _each(accounts, call, rules, 1024 + bars * symbols // 8, bars)
    return [
        Result(ledger, equity, run.counts_of(refused), first, account.options.capital, symbols)
        for account, (ledger, equity, refused) in zip(accounts, found, strict=True)
    ]


def _numbers(accounts: Sequence[AccountOf], part: list[int]) -> Floats:
    chosen = [accounts[k] for k in part]
    return np.array(
        [(a.options.capital, *run.option_numbers(a.options), *run.cost_numbers(a.costs)) for a in chosen], np.float64
    )


def _each(
    accounts: Sequence[AccountOf], call: Callable[..., None], rules: Callable[[AccountOf], Rules | None], room: int,
    bars: int,
) -> list[tuple[NDArray[np.void], Floats, NDArray[np.int64]]]:  # fmt: skip
    """Return ledger, equity and refusals of each account; who obeys the same rules runs in one call."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for k, account in enumerate(accounts):
        costs, options = account.costs, account.options
        key = (
            costs.levies, costs.borrow, costs.funding, options.order_maximum,
            costs.spread, costs.volume_impact, costs.root_impact, options.participation,
        )  # fmt: skip
        groups.setdefault(key, []).append(k)
    found: dict[int, tuple[NDArray[np.void], Floats, NDArray[np.int64]]] = {}
    for part in groups.values():
        held, counts, most = rules(accounts[part[0]]), np.zeros(len(part), np.int64), room
        while True:
            ledger, equity = np.empty((len(part), most), LEDGER), np.empty((len(part), bars))
            refused = np.zeros((len(part), len(REFUSALS)), np.int64)
            call(part, held, (ledger, refused, equity, counts))
            if counts.max() <= most:
                break
            most = int(counts.max())
        found |= {k: (ledger[i, : counts[i]].copy(), equity[i], refused[i]) for i, k in enumerate(part)}
    return [found[k] for k in range(len(accounts))]
