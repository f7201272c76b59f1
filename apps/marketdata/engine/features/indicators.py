"""Technical indicators, each as expressions of the same engine, by the usual definitions.

Defaults are the platform's (``MA 5/10/20``, ``RSI 14``, ``MACD 12/26/9``, ``Bollinger 20, 2``,
volume over 20). Full windows only: a value before the window is filled is undefined. Sources:
Wilder, "New Concepts in Technical Trading Systems" (1978) for RSI, ATR and ADX; Appel for MACD;
Bollinger (ddof 1 here, as pandas has it); Lane for the stochastic; Lambert for CCI.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.bars import BarPanel

_UP, _DOWN = "Greater(Delta($close, 1), 0)", "Greater(-Delta($close, 1), 0)"
_TYPICAL = "(($high+$low+$close)/3)"
_TRUE_RANGE = "If(Abs(Ref($close, 1))>=0, Greater($high-$low, Greater(Abs($high-Ref($close, 1)), Abs($low-Ref($close, 1)))), $high-$low)"  # noqa: E501
_RISE, _DROP = "Delta($high, 1)", "(-Delta($low, 1))"


@dataclass(frozen=True)
class Indicator:
    """``columns`` maps the name of each output to its expression, given the windows."""

    title: str
    columns: Callable[..., Mapping[str, str]]
    defaults: tuple[float, ...] = ()


def _averages(*windows: float) -> Mapping[str, str]:
    return {f"ma{n:g}": f"SMA($close, {n:g})" for n in windows}


def rsi(window: float = 14, method: str = "sma") -> str:
    """Relative strength: gains over gains and losses, averaged plainly (``sma``) or as Wilder does."""
    mean = {"sma": "SMA", "wilder": "Wilder"}[method]
    return f"100*{mean}({_UP}, {window:g})/({mean}({_UP}, {window:g})+{mean}({_DOWN}, {window:g}))"


def _macd(fast: float, slow: float, signal: float) -> Mapping[str, str]:
    line = f"(EWMA($close, {fast:g})-EWMA($close, {slow:g}))"
    smooth = f"EWMA({line}, {signal:g})"
    return {"macd": line, "macd_signal": smooth, "macd_hist": f"{line}-{smooth}"}


def _bollinger(window: float, width: float) -> Mapping[str, str]:
    middle, away = f"SMA($close, {window:g})", f"{width:g}*SStd($close, {window:g})"
    lower, upper = f"({middle}-{away})", f"({middle}+{away})"
    return {
        "bb_middle": middle, "bb_upper": upper, "bb_lower": lower,
        "bb_position": f"($close-{lower})/({upper}-{lower})", "bb_width": f"({upper}-{lower})/{middle}",
    }  # fmt: skip


def _volume(window: float) -> Mapping[str, str]:
    mean = f"SMA($volume, {window:g})"
    return {"volume_ma": mean, "volume_ratio": f"$volume/{mean}"}


def _directional(window: float) -> Mapping[str, str]:
    plus = f"Wilder(If(And({_RISE}>{_DROP}, {_RISE}>0), {_RISE}, 0*{_RISE}), {window:g})"
    minus = f"Wilder(If(And({_DROP}>{_RISE}, {_DROP}>0), {_DROP}, 0*{_DROP}), {window:g})"
    up, down = f"(100*{plus}/Wilder({_TRUE_RANGE}, {window:g}))", f"(100*{minus}/Wilder({_TRUE_RANGE}, {window:g}))"
    strength = f"Wilder(100*Abs({up}-{down})/({up}+{down}), {window:g})"
    return {"plus_di": up, "minus_di": down, "adx": strength}


def _stochastic(window: float, smooth: float) -> Mapping[str, str]:
    raw = f"(100*($close-SMin($low, {window:g}))/(SMax($high, {window:g})-SMin($low, {window:g})))"
    k, d = f"Wilder({raw}, {smooth:g})", f"Wilder(Wilder({raw}, {smooth:g}), {smooth:g})"
    return {"rsv": raw, "kdj_k": k, "kdj_d": d, "kdj_j": f"3*{k}-2*{d}"}


def _flow(window: float) -> Mapping[str, str]:
    money, move = f"{_TYPICAL}*$volume", f"Delta({_TYPICAL}, 1)"
    up = f"SSum(If({move}>0, {money}, 0*{move}), {window:g})"
    down = f"SSum(If({move}<0, {money}, 0*{move}), {window:g})"
    return {"mfi": f"100*{up}/({up}+{down})"}


def _keltner(window: float, width: float) -> Mapping[str, str]:
    middle, away = f"EWMA($close, {window:g})", f"{width:g}*Wilder({_TRUE_RANGE}, {window:g})"
    return {"keltner_upper": f"{middle}+{away}", "keltner_lower": f"{middle}-{away}"}


INDICATORS: Mapping[str, Indicator] = {
    "ma": Indicator("Moving averages", _averages, (5, 10, 20)),
    "ema": Indicator("Exponential average", lambda n: {"ema": f"EWMA($close, {n:g})"}, (12,)),
    "wma": Indicator("Weighted average", lambda n: {"wma": f"WMA($close, {n:g})"}, (20,)),
    "rsi": Indicator("RSI", lambda n: {"rsi_sma": rsi(n), "rsi_wilder": rsi(n, "wilder")}, (14,)),
    "macd": Indicator("MACD", _macd, (12, 26, 9)),
    "bollinger": Indicator("Bollinger bands", _bollinger, (20, 2)),
    "volume": Indicator("Volume ratio", _volume, (20,)),
    "atr": Indicator(
        "Average true range", lambda n: {"tr": _TRUE_RANGE, "atr": f"Wilder({_TRUE_RANGE}, {n:g})"}, (14,)
    ),
    "adx": Indicator("Directional movement", _directional, (14,)),
    "stochastic": Indicator("Stochastic KDJ", _stochastic, (9, 3)),
    "cci": Indicator(
        "Commodity channel index",
        lambda n: {"cci": f"({_TYPICAL}-SMA({_TYPICAL}, {n:g}))/(0.015*Mad({_TYPICAL}, {n:g}))"}, (20,),
    ),
    "williams": Indicator(
        "Williams %R",
        lambda n: {"williams_r": f"-100*(SMax($high, {n:g})-$close)/(SMax($high, {n:g})-SMin($low, {n:g}))"}, (14,),
    ),
    "obv": Indicator("On-balance volume", lambda: {"obv": "Sum(Sign(Delta($close, 1))*$volume, 0)"}),
    "mfi": Indicator("Money flow index", _flow, (14,)),
    "roc": Indicator("Rate of change", lambda n: {"roc": f"$close/Ref($close, {n:g})-1"}, (12,)),
    "donchian": Indicator(
        "Donchian channel",
        lambda n: {"donchian_upper": f"SMax($high, {n:g})", "donchian_lower": f"SMin($low, {n:g})"}, (20,),
    ),
    "keltner": Indicator("Keltner channel", _keltner, (20, 2)),
    "vwap": Indicator(
        "Rolling VWAP", lambda n: {"vwap_rolling": f"SSum({_TYPICAL}*$volume, {n:g})/SSum($volume, {n:g})"}, (20,)
    ),
    "volatility": Indicator(
        "Realised volatility", lambda n: {"volatility": f"SStd(Log($close/Ref($close, 1)), {n:g})*252**0.5"}, (20,)
    ),
    "bias": Indicator("Distance from the average", lambda n: {"bias": f"$close/SMA($close, {n:g})-1"}, (20,)),
}  # fmt: skip


def indicator_columns() -> Mapping[str, str]:
    """Return every output of every indicator at its defaults: name -> expression."""
    return {name: text for each in INDICATORS.values() for name, text in each.columns(*each.defaults).items()}


def indicator(panel: BarPanel, name: str, *windows: float) -> dict[str, NDArray[np.float64]]:
    """Return the outputs of one indicator, each (S, T); ``windows`` replace its defaults."""
    from apps.marketdata.engine.features.compute import compute

    chosen = INDICATORS[name]
    columns = chosen.columns(*(windows or chosen.defaults))
    values = compute(panel, list(columns.values()), dtype=np.float64)
    return {column: values[i] for i, column in enumerate(columns)}
