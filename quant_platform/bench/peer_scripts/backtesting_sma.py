"""backtesting.py: the moving-average cross on minute bars, or over a grid of windows."""

import json
import sys
import warnings

try:
    import pandas as pd
    from backtesting import Backtest, Strategy
except ImportError as error:
    print(json.dumps({"missing": f"{error.name} is not installed"}), flush=True)
    raise SystemExit from None

from common import answer, load

warnings.simplefilter("ignore")


def average(values, window):
    return pd.Series(values).rolling(window).mean()


class SmaCross(Strategy):
    fast, slow, shares = 10, 30, 0

    def init(self):
        self.quick = self.I(average, self.data.Close, self.fast)
        self.calm = self.I(average, self.data.Close, self.slow)

    def next(self):
        if self.quick[-1] > self.calm[-1]:
            if not self.position:
                self.buy(size=self.shares or int(0.95 * self.equity / self.data.Close[-1]))
        elif self.quick[-1] < self.calm[-1] and self.position:
            self.position.close()


kind, folder = sys.argv[1:3]
columns = dict(zip(("Open", "High", "Low", "Close"), load(folder), strict=True))
frame = pd.DataFrame(columns, index=pd.date_range("2014-01-02", periods=len(columns["Open"]), freq="min"))
cash = 1e8 if kind == "minutes" else 1e6
test = Backtest(frame, SmaCross, cash=cash, commission=0.001, trade_on_close=False, finalize_trades=False)

if kind == "minutes":
    answer(lambda: test.run(shares=100)["Equity Final [$]"])
else:
    # Every tenth point of the grid: its time grows with the number of points.
    pairs = [(f, s) for f in json.loads(sys.argv[3]) for s in json.loads(sys.argv[4])][::10]
    answer(lambda: sum(test.run(fast=f, slow=s)["Equity Final [$]"] for f, s in pairs))
