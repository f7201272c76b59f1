"""The feature sets of Qlib: Alpha158 and Alpha360, by name and expression.

Definitions: Yang et al., "Qlib: An AI-oriented Quantitative Investment Platform" (2020) and
the handlers of pyqlib 0.9.7. They want fields open, high, low, close, volume and vwap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

WINDOWS = (5, 10, 20, 30, 60)
#: The label both handlers use: enter at the next close, leave one bar later.
LABEL = "Ref($close, -2)/Ref($close, -1) - 1"

_CANDLE = {
    "KMID": "($close-$open)/$open",
    "KLEN": "($high-$low)/$open",
    "KMID2": "($close-$open)/($high-$low+1e-12)",
    "KUP": "($high-Greater($open, $close))/$open",
    "KUP2": "($high-Greater($open, $close))/($high-$low+1e-12)",
    "KLOW": "(Less($open, $close)-$low)/$open",
    "KLOW2": "(Less($open, $close)-$low)/($high-$low+1e-12)",
    "KSFT": "(2*$close-$high-$low)/$open",
    "KSFT2": "(2*$close-$high-$low)/($high-$low+1e-12)",
    "OPEN0": "$open/$close", "HIGH0": "$high/$close", "LOW0": "$low/$close", "VWAP0": "$vwap/$close",
}  # fmt: skip


def _share(up: str, x: str, n: int) -> str:
    """Return the part of all moves of ``x`` over ``n`` bars that went ``up`` (the sum given)."""
    return f"{up}/(Sum(Abs({x}-Ref({x}, 1)), {n})+1e-12)"


def _rise(x: str, n: int) -> str:
    return f"Sum(Greater({x}-Ref({x}, 1), 0), {n})"


def _fall(x: str, n: int) -> str:
    return f"Sum(Greater(Ref({x}, 1)-{x}, 0), {n})"


_C, _V = "$close", "$volume"
_TURN = "Abs($close/Ref($close, 1)-1)*$volume"
_ROLLING: Mapping[str, Callable[[int], str]] = {
    "ROC": lambda n: f"Ref($close, {n})/$close",
    "MA": lambda n: f"Mean($close, {n})/$close",
    "STD": lambda n: f"Std($close, {n})/$close",
    "BETA": lambda n: f"Slope($close, {n})/$close",
    "RSQR": lambda n: f"Rsquare($close, {n})",
    "RESI": lambda n: f"Resi($close, {n})/$close",
    "MAX": lambda n: f"Max($high, {n})/$close",
    "MIN": lambda n: f"Min($low, {n})/$close",
    "QTLU": lambda n: f"Quantile($close, {n}, 0.8)/$close",
    "QTLD": lambda n: f"Quantile($close, {n}, 0.2)/$close",
    "RANK": lambda n: f"Rank($close, {n})",
    "RSV": lambda n: f"($close-Min($low, {n}))/(Max($high, {n})-Min($low, {n})+1e-12)",
    "IMAX": lambda n: f"IdxMax($high, {n})/{n}",
    "IMIN": lambda n: f"IdxMin($low, {n})/{n}",
    "IMXD": lambda n: f"(IdxMax($high, {n})-IdxMin($low, {n}))/{n}",
    "CORR": lambda n: f"Corr($close, Log($volume+1), {n})",
    "CORD": lambda n: f"Corr($close/Ref($close,1), Log($volume/Ref($volume, 1)+1), {n})",
    "CNTP": lambda n: f"Mean($close>Ref($close, 1), {n})",
    "CNTN": lambda n: f"Mean($close<Ref($close, 1), {n})",
    "CNTD": lambda n: f"Mean($close>Ref($close, 1), {n})-Mean($close<Ref($close, 1), {n})",
    "SUMP": lambda n: _share(_rise(_C, n), _C, n),
    "SUMN": lambda n: _share(_fall(_C, n), _C, n),
    "SUMD": lambda n: _share(f"({_rise(_C, n)}-{_fall(_C, n)})", _C, n),
    "VMA": lambda n: f"Mean($volume, {n})/($volume+1e-12)",
    "VSTD": lambda n: f"Std($volume, {n})/($volume+1e-12)",
    "WVMA": lambda n: f"Std({_TURN}, {n})/(Mean({_TURN}, {n})+1e-12)",
    "VSUMP": lambda n: _share(_rise(_V, n), _V, n),
    "VSUMN": lambda n: _share(_fall(_V, n), _V, n),
    "VSUMD": lambda n: _share(f"({_rise(_V, n)}-{_fall(_V, n)})", _V, n),
}


@cache
def alpha158() -> Mapping[str, str]:
    """Return the 158 features by name, in pyqlib's order."""
    rolling = {f"{name}{n}": write(n) for name, write in _ROLLING.items() for n in WINDOWS}
    return {**_CANDLE, **rolling}


@cache
def alpha360() -> Mapping[str, str]:
    """Return the 360 features by name: 60 bars of five prices over the close, and of volume over volume."""
    out: dict[str, str] = {}
    for name in ("close", "open", "high", "low", "vwap"):
        for back in range(59, -1, -1):
            out[f"{name.upper()}{back}"] = f"Ref(${name}, {back})/$close" if back else f"${name}/$close"
    for back in range(59, -1, -1):
        out[f"VOLUME{back}"] = f"Ref($volume, {back})/($volume+1e-12)" if back else "$volume/($volume+1e-12)"
    return out


SETS: Mapping[str, Callable[[], Mapping[str, str]]] = {"Alpha158": alpha158, "Alpha360": alpha360}
