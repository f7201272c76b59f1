"""pyqlib: Alpha158, rolling operators, loading, IC and Top-k dropout on a folder in its own layout, one kernel."""

import json
import sys
import tempfile
import warnings
from contextlib import redirect_stdout

try:
    import pandas as pd
    import qlib
    from qlib.data import D
except ImportError as error:
    print(json.dumps({"missing": f"{error.name} is not installed"}), flush=True)
    raise SystemExit from None

from common import answer

warnings.simplefilter("ignore")
kind, folder = sys.argv[1:3]
tracker = {
    "class": "MLflowExpManager", "module_path": "qlib.workflow.expm",
    "kwargs": {"uri": f"sqlite:///{tempfile.mkdtemp()}/runs.db", "default_exp_name": "bench"},
}  # fmt: skip
qlib.init(provider_uri=folder, region="cn", kernels=1, exp_manager=tracker, logging_level="ERROR")
symbols = D.list_instruments(D.instruments("all"), as_list=True)


def frame(fields):
    from qlib.data.cache import H

    H.clear()
    return D.features(symbols, fields, freq="day")


if kind == "expressions":
    texts = json.loads(sys.argv[3])
    answer(lambda: len(frame(texts)))
elif kind == "ic":
    from qlib.contrib.eva.alpha import calc_ic

    close = frame(["Ref($close, 5)/$close", "Ref($close, -2)/Ref($close, -1) - 1"])
    close.columns = ["score", "label"]
    score, label = close["score"], close["label"]
    index = pd.MultiIndex.from_arrays(
        [score.index.get_level_values("datetime"), score.index.get_level_values(0)], names=["datetime", "instrument"]
    )
    score = pd.Series(score.to_numpy(), index=index)
    label = pd.Series(label.to_numpy(), index=index)
    answer(lambda: float(calc_ic(score, label)[0].mean()))
elif kind == "topk":
    import gymnasium
    import numpy as np

    # Its strategies name a class of gym, which is not installed here (ADR 0002); gymnasium took its place.
    sys.modules["gym"], sys.modules["gym.spaces"] = gymnasium, gymnasium.spaces
    with redirect_stdout(sys.stderr):  # it says which models it lacks, and our answers go there
        from qlib.contrib.evaluate import backtest_daily
        from qlib.contrib.strategy import TopkDropoutStrategy

    days = pd.DatetimeIndex(D.calendar())
    scores = np.load(sys.argv[3])
    index = pd.MultiIndex.from_product([days, sorted(symbols)], names=["datetime", "instrument"])
    signal = pd.Series(scores.ravel(), index=index, name="score")
    exchange = {"freq": "day", "deal_price": "close", "trade_unit": None, **json.loads(sys.argv[4])}

    def trade():
        strategy = TopkDropoutStrategy(signal=signal, topk=10, n_drop=2)
        with redirect_stdout(sys.stderr):
            report, _ = backtest_daily(
                start_time=days[1], end_time=days[-2], strategy=strategy, account=1e8,
                benchmark=pd.Series(0.0, index=days), exchange_kwargs=exchange,
            )  # fmt: skip
        return float(report["account"].iloc[-1])

    answer(trade)
