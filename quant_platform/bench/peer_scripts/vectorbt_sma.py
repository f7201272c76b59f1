"""vectorbt: the moving-average cross on minute bars, or over a grid of windows."""

import json
import sys

try:
    import numpy as np
    import pandas as pd
    import vectorbt as vbt
except ImportError as error:
    print(json.dumps({"missing": f"{error.name} is not installed"}), flush=True)
    raise SystemExit from None

from common import answer, load

FEES = 0.001


def minutes(open_, close):
    close_, price = pd.Series(close), pd.Series(open_)

    def work():
        fast, slow = close_.rolling(10).mean(), close_.rolling(30).mean()
        entries, exits = (fast > slow).shift(1, fill_value=False), (fast < slow).shift(1, fill_value=False)
        portfolio = vbt.Portfolio.from_signals(
            close_, entries, exits, price=price, size=100, fees=FEES, init_cash=1e8, freq="1min"
        )
        return portfolio.final_value()

    return work


def grid(open_, close, fasts, slows):
    close_, price = pd.Series(close), pd.Series(open_)
    pairs = [(f, s) for f in fasts for s in slows]

    def work():
        averages = {w: close_.rolling(w).mean().to_numpy() for w in {*fasts, *slows}}
        quick = np.column_stack([averages[f] for f, _ in pairs])
        calm = np.column_stack([averages[s] for _, s in pairs])
        entries, exits = np.zeros(quick.shape, bool), np.zeros(quick.shape, bool)
        entries[1:], exits[1:] = (quick > calm)[:-1], (quick < calm)[:-1]
        portfolio = vbt.Portfolio.from_signals(
            close_, entries, exits, price=price, size=0.95, size_type="percent", fees=FEES, init_cash=1e6, freq="1D"
        )
        return portfolio.final_value().iloc[0]

    return work


kind, folder = sys.argv[1:3]
bars = load(folder)
if kind == "minutes":
    answer(minutes(bars[0], bars[3]))
else:
    answer(grid(bars[0], bars[3], json.loads(sys.argv[3]), json.loads(sys.argv[4])))
