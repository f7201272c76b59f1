"""The ledger every door of the backtester writes: one row a fill, a payout or a split."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Why a fill happened (``reason`` in the ledger).
SIGNAL, STOP_LOSS, TAKE_PROFIT, RUIN, REBALANCE, DIVIDEND, SPLIT, FUNDING, BORROW = range(9)
REASONS = ("signal", "stop_loss", "take_profit", "ruin", "rebalance", "dividend", "split", "funding", "borrow")

#: Widths leave no padding, so equal ledgers are equal bytes. A row with side 0 is no trade: it brings
#: ``quantity * price`` of money: a dividend, the fraction of a share that a split leaves, funding or a borrow fee
#: (negative: paid).
LEDGER = np.dtype(
    [
        ("bar", np.int64),
        ("symbol", np.int32),
        ("side", np.int16),
        ("reason", np.int16),
        ("quantity", np.float64),
        ("price", np.float64),
        ("fee", np.float64),
    ]
)


def trades_of(ledger: NDArray[np.void]) -> NDArray[np.void]:
    """Return the rows of a ledger that are trades, without corporate actions, funding and borrow fees."""
    kept = ledger["reason"] < DIVIDEND
    return ledger if kept.all() else np.asarray(ledger[kept])
