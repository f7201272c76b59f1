"""pyqlib: Alpha158, rolling operators, loading and IC on a folder in its own layout, one kernel."""

import json
import sys
import tempfile
import warnings

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
