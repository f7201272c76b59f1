"""Real shares through their dividends and splits: raw prices with events earn what adjusted prices earn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from apps.trading.engine.backtest import Bars, Options, run_on_bar, run_targets, run_weights
from apps.trading.engine.backtest.market import Event, Market

#: So much money that whole shares weigh nothing.
RICH = Options(capital=1e11, fraction=1.0, cash_short="reduce")
SHARES = ("SH600000", "SH600519", "SZ000002")


@pytest.fixture
def shares(market_data):
    """Opens and closes (S, T) as traded, in yuan, and the vendor's factor; NaN where there was no bar."""
    table = pd.read_parquet(
        market_data / "cn_csi300" / "cn_csi300_ever_daily.parquet", filters=[("symbol", "in", list(SHARES))]
    )
    wide = {
        name: table.pivot(index="date", columns="symbol", values=name)[list(SHARES)].to_numpy(float).T
        for name in ("open_cents", "close_cents", "factor")
    }
    days = np.array(sorted(table["date"].unique()), "datetime64[D]")
    return days, wide["open_cents"] / 100, wide["close_cents"] / 100, wide["factor"]


def events_of(factor):
    """Return what changes the factor (S, T) as shares for one, on the first bar that has the new one."""
    found = []
    for s, own in enumerate(factor):
        known = np.flatnonzero(np.isfinite(own))
        changed = known[1:][own[known[1:]] != own[known[:-1]]]
        found += [Event(int(t), s, ratio=float(own[t] / own[known[known < t][-1]])) for t in changed]
    return found


def rules(days, events, count):
    return Market.build([None] * count, days, np.full((count, len(days)), np.nan), events=events)


@pytest.mark.parametrize("row", range(len(SHARES)))
def test_one_share_held_now_and_then_earns_the_same_in_both(shares, row):
    days, opens, closes, factor = (part if part.ndim == 1 else part[[row]] for part in shares)
    events = events_of(factor)
    assert len(events) > 10
    raw = Bars.of(opens[0], closes[0])
    adjusted = Bars.of(opens[0] * factor[0], closes[0] * factor[0])
    targets = np.random.default_rng(row).integers(0, 2, len(days) // 40 + 1).repeat(40)[: len(days)].astype(np.int8)
    targets[: len(days) // 4] = 1
    market = rules(days, events, 1)
    ours = run_targets(targets, raw, None, RICH, market=market)
    plain = run_targets(targets, adjusted, None, RICH)
    assert ours.equity == pytest.approx(plain.equity, rel=1e-5)
    wanted = {"side": 0}

    def on_bar(ctx, bar):
        if int(targets[ctx.t]) == wanted["side"] or not bar.close > 0:
            return
        wanted["side"] = int(targets[ctx.t])
        ctx.order_target_percent(1.0) if wanted["side"] else ctx.order_target(0)

    third = run_on_bar(on_bar, raw, None, RICH, market=market).result
    assert third.equity == pytest.approx(ours.equity, rel=1e-9)


def test_several_by_weight_earn_the_same_in_both(shares):
    days, opens, closes, factor = shares
    rng = np.random.default_rng(9)
    weights = np.full(closes.shape, np.nan)
    weights[:, ::25] = rng.random((len(closes), len(range(0, len(days), 25)))) / 3
    ours = run_weights(weights, opens, closes, None, RICH, market=rules(days, events_of(factor), len(closes)))
    plain = run_weights(weights, opens * factor, closes * factor, None, RICH)
    assert len(plain.ledger) > 200
    assert ours.equity == pytest.approx(plain.equity, rel=1e-5)
