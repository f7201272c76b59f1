"""The verdict: named gates with the value, what is needed and whether it holds.

A gate of merit says whether the result is good, a gate of evidence whether there is enough of
it. A failed gate of merit makes the verdict ``fail``; else a failed gate of evidence makes it
``not_yet``; else it is ``pass``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apps.ui.engine.text import N_

MERIT, EVIDENCE = "merit", "evidence"


@dataclass(frozen=True)
class Gate:
    """``value`` must be above (``strict``), at least or (``at_most``) no more than ``need``.

    ``unit`` says how to print both.
    """

    title: str
    need: float
    unit: str
    kind: str = MERIT
    strict: bool = False
    at_most: bool = False


GATES: dict[str, Gate] = {
    "beats_benchmark": Gate(N_("Return above the benchmark's, both after costs"), 0.0, "percent", strict=True),
    "drawdown": Gate(N_("Largest drawdown"), -0.25, "percent"),
    "sharpe": Gate(N_("Sharpe ratio"), 0.0, "ratio", strict=True),
    "double_costs": Gate(N_("Return at twice the costs"), 0.0, "percent", strict=True),
    "leaks": Gate(N_("Leaks found by the leak check"), 0, "count", at_most=True),
    "deflated": Gate(N_("Deflated Sharpe, all trials counted"), 0.95, "ratio", EVIDENCE),
    "trades": Gate(N_("Closed trades"), 30, "count", EVIDENCE),
    "unseen": Gate(N_("Share of the bars that were unseen"), 1.0, "percent", EVIDENCE),
}

#: Checks a caller may leave out.
OPTIONAL = {"leaks", "deflated"}

VERDICTS = {
    "pass": N_("Passes every gate."),
    "not_yet": N_("Good so far, but not enough evidence."),
    "fail": N_("Does not pass."),
}


def _holds(gate: Gate, value: float) -> bool:
    if gate.at_most:
        return value <= gate.need
    return value > gate.need if gate.strict else value >= gate.need


def judge(values: Mapping[str, float | None]) -> dict[str, Any]:
    """Return ``{"word", "gates": [{"name", "value", "need", "strict", "unit", "kind", "passed"}]}``.

    A value that is undefined does not pass. Gates of checks that were not made (no key) are left out.
    """
    gates = []
    for name, gate in GATES.items():
        if name in OPTIONAL and name not in values:
            continue
        value = values.get(name)
        passed = value is not None and _holds(gate, value)
        gates.append(
            {"name": name, "value": value, "need": gate.need, "strict": gate.strict, "unit": gate.unit,
             "kind": gate.kind, "passed": passed, "at_most": gate.at_most}
        )  # fmt: skip
    failed = {gate["kind"] for gate in gates if not gate["passed"]}
    return {"word": "fail" if MERIT in failed else "not_yet" if EVIDENCE in failed else "pass", "gates": gates}
