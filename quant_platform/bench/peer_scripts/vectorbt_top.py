"""vectorbt: target weights over many names in one account, decided at the close and filled at the next open."""

import json
import sys

try:
    import numpy as np
    import pandas as pd
    import vectorbt as vbt
except ImportError as error:
    print(json.dumps({"missing": f"{error.name} is not installed"}), flush=True)
    raise SystemExit from None

from pathlib import Path

from common import answer

FEES, INVEST = 0.001, 0.95

weights, open_, close = (np.load(Path(sys.argv[1]) / f"{name}.npy").T for name in ("weights", "open", "close"))
closes, opens = pd.DataFrame(close), pd.DataFrame(open_)


def work():
    wanted = np.full_like(weights, np.nan)
    wanted[1:] = INVEST * weights[:-1]
    portfolio = vbt.Portfolio.from_orders(
        closes, wanted, size_type="targetpercent", price=opens, fees=FEES, init_cash=1e6, size_granularity=1.0,
        cash_sharing=True, group_by=True, call_seq="auto", freq="1D",
    )  # fmt: skip
    return portfolio.final_value()


answer(work)
