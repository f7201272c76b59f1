"""Reference cases of kind ``trademaster_env``: asset and reward series of that program's environments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from apps.strategies.engine.envs import BatchedEnv, Prices, TradeMasterAlgorithmicEnv, TradeMasterPortfolioEnv
from apps.strategies.engine.envs.trademaster import Variant
from quant_platform.reference.files import Files, Skip

PORTFOLIOS = ("portfolio", "eiie", "deeptrader")


def run(case: Mapping[str, Any], files: Files) -> dict[str, Any]:
    """Return assets, rewards, final asset and metrics of one case; other environments are skipped."""
    name = case["env"]
    if name != "algorithmic_trading" and name not in PORTFOLIOS:
        raise Skip(f"the environment {name} comes with its engine")
    played = _play(_environment(name, case, files), _actions(case["actions"]))
    return {
        "assets": played["assets"].tolist(),
        "rewards": played["rewards"].tolist(),
        "final_asset": float(played["assets"][-1]),
        "metrics": _metrics(played["assets"], played["profits"]),
    }


def _environment(name: str, case: Mapping[str, Any], files: Files) -> BatchedEnv:
    config, frame = case["config"], _rows(files.table(case["data"], index_col=0), case.get("rows"))
    options: dict[str, Any] = {
        "cost_rate": float(config.get("transaction_cost_pct", 0.001)),
        "initial": float(config.get("initial_amount", 100_000)),
        "dtype": torch.float64,
    }
    if name == "algorithmic_trading":
        back = int(config.get("backward_num_day", 5))
        return TradeMasterAlgorithmicEnv(
            _prices(frame["close"].to_numpy(np.float64)[:, None]), first=back - 1, **options,
            forward=int(config.get("forward_num_day", 5)), max_volume=int(config.get("max_volume", 1)),
            future_weight=float(config.get("future_weights", 0.2)),
        )  # fmt: skip
    table = frame.set_index("tic", append=True)["close"].unstack("tic")
    close = table[list(dict.fromkeys(frame["tic"]))].to_numpy(np.float64)
    first = 0 if name == "portfolio" else int(config.get("time_steps", 10)) - 1
    return TradeMasterPortfolioEnv(_prices(close), first=first, variant=cast("Variant", name), **options)


def _rows(frame: pd.DataFrame, rows: Any) -> pd.DataFrame:
    """Return the part of ``frame`` a case asks for: ``"first:stop"`` or ``[first, stop]`` row numbers, or a count."""
    if rows is None:
        return frame
    if isinstance(rows, str):
        rows = [int(part) if part.strip() else None for part in rows.split(":")]
    return frame.iloc[slice(*rows)] if isinstance(rows, list) else frame.iloc[: int(rows)]


def _prices(close: NDArray[np.float64]) -> Prices:
    return Prices(close, close, np.zeros((*close.shape, 1), np.float32))


def _actions(given: Any) -> Any:
    """Return a function of the step: a list is read in order and then held, ``{"constant": a}`` repeats."""
    if isinstance(given, Mapping):
        if "constant" not in given:
            raise Skip(f"no such rule of actions: {given}")
        return lambda step: given["constant"]
    if not isinstance(given, list):
        raise Skip(f"no such rule of actions: {given}")
    return lambda step: given[min(step, len(given) - 1)]


def _play(env: BatchedEnv, actions: Any) -> dict[str, NDArray[np.float64]]:
    """Step to the end and once more, as that program does; the extra call adds a reward and no asset."""
    env.reset()
    assets, rewards, profits = [float(env.equity)], [], [0.0]  # type: ignore[attr-defined]
    for step in range(env.horizon + 1):
        action = torch.tensor(np.asarray(actions(step), np.float64)).reshape(1, -1)
        result = env.step(action.reshape(1) if action.numel() == 1 else action)
        rewards.append(float(result.reward))
        if step < env.horizon:
            assets.append(float(result.info["equity"]))
            profits.append(float(result.info.get("profit", assets[-1] / assets[-2] - 1)))
    return {"assets": np.array(assets), "rewards": np.array(rewards), "profits": np.array(profits)}


def _metrics(assets: NDArray[np.float64], profits: NDArray[np.float64]) -> dict[str, float]:
    """Return that program's own metrics: population deviations, Calmar and Sortino of summed ``profits``
    (returns in portfolios, money in algorithmic trading)."""
    returns = assets[1:] / assets[:-1] - 1
    spread, losses = float(returns.std()), profits[profits < 0]
    peak = np.maximum.accumulate(assets)
    drawdown = float(((peak - assets) / peak).max())
    down = (float(losses.std()) if len(losses) else 0.0) + 1e-10
    return {
        "total_return": float(assets[-1] / (assets[0] + 1e-10) - 1),
        "sharpe": float(returns.mean() * 252**0.5 / (spread + 1e-10)),
        "volatility_per_step": spread,
        "max_drawdown": drawdown,
        "calmar": float(profits.sum() / (drawdown + 1e-10)),
        "sortino": float(profits.sum() / down / (len(profits) ** 0.5 + 1e-10)),
    }
