"""The operators an expression may use: how each is written and what its numbers may be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Parameter:
    """A number after the series: a window in bars, or a share; ``high`` 0 means the longest window."""

    name: str
    low: float = 0
    high: float = 0
    whole: bool = True


@dataclass(frozen=True)
class Operator:
    """``series`` expressions, then numbers. ``shifts``: a negative first number looks ahead."""

    name: str
    series: int = 1
    params: tuple[Parameter, ...] = ()
    defaults: tuple[float, ...] = ()
    shifts: bool = False
    #: Compares the symbols of one bar with each other instead of the bars of one symbol.
    across: bool = False

    @property
    def form(self) -> str:
        """How it is written: ``Quantile(x, window, share)``."""
        names = [*("xyz"[: self.series]), *(p.name for p in self.params)]
        return f"{self.name}({', '.join(names)})"


#: 0 rows: the window grows from the first bar on.
ROWS = Parameter("window")
BARS = Parameter("window", low=1)
SHIFT = Parameter("bars", low=-250)
SHARE = Parameter("share", low=0, high=1, whole=False)
ALPHA = Parameter("window", low=1e-6, whole=False)

_ALL = (
    *(Operator(name) for name in ("Abs", "Sign", "Log", "Exp", "Sqrt", "Not")),
    *(
        Operator(name, series=2)
        for name in ("Add", "Sub", "Mul", "Div", "Power", "Greater", "Less",
                     "Gt", "Ge", "Lt", "Le", "Eq", "Ne", "And", "Or")
    ),
    Operator("If", series=3),
    Operator("Ref", params=(SHIFT,), shifts=True),
    Operator("Delta", params=(SHIFT,), shifts=True),
    *(
        Operator(name, params=(ROWS,))
        for name in ("Sum", "Mean", "Std", "Var", "Skew", "Kurt", "Max", "Min", "IdxMax", "IdxMin",
                     "Med", "Mad", "Rank", "Count", "Slope", "Rsquare", "Resi", "WMA")
    ),
    Operator("Quantile", params=(ROWS, SHARE)),
    Operator("EMA", params=(ALPHA,)),
    Operator("Corr", series=2, params=(ROWS,)),
    Operator("Cov", series=2, params=(ROWS,)),
    # Ours: full windows only, and the recursions of technical analysis.
    Operator("SMA", params=(BARS,)),
    Operator("SSum", params=(BARS,)),
    Operator("SStd", params=(BARS,)),
    Operator("SMax", params=(BARS,)),
    Operator("SMin", params=(BARS,)),
    Operator("EWMA", params=(ALPHA,)),
    Operator("Wilder", params=(BARS,)),
    Operator("CSRank", across=True),
    Operator("CSZScore", across=True),
    Operator("CSDemean", across=True),
)  # fmt: skip
OPERATORS: dict[str, Operator] = {operator.name: operator for operator in _ALL}
