"""Evaluates expressions on dense bars: block by block of symbols, shared steps once.

A block holds ``BLOCK`` symbols as (T, B) arrays that stay in the processor's cache; blocks run
on several threads, since kernels and numpy let go of the GIL. Only one block a thread is in
memory besides the result, so the size of the universe does not matter.

Feature t of a symbol reads bars 0 … t of it (and, for ``CS…`` operators, bar t of the others).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.features import operators as ops
from apps.marketdata.engine.features.expression import Node, column, parse
from apps.marketdata.engine.features.vocabulary import OPERATORS
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

Floats = NDArray[np.float64]
BLOCK = 16
UNKNOWN_FIELD = N_("The bars have no field %(name)s. They have %(known)s.")
Stop = Callable[[float], None]


def compute(
    panel: BarPanel,
    expressions: Sequence[str | Node],
    *,
    dtype: type[np.floating[Any]] = np.float32,
    qlib: bool = False,
    future: bool = False,
    threads: int | None = None,
    on_progress: Stop | None = None,
) -> NDArray[Any]:
    """Return the features (F, S, T) of ``panel``, NaN where undefined.

    ``qlib`` repeats pyqlib's own single precision, its handling of suspended bars in ``IdxMax`` and
    ``IdxMin`` and its scale of ``WMA``; ``future`` lets ``Ref`` look ahead, for labels. ``on_progress`` gets the
    share done after each block and may raise to stop. Raises ``Refusal`` as ``parse`` does, and
    ``unknown_field``.
    """
    out = np.empty((len(expressions), len(panel.symbols), len(panel.times)), dtype)

    def keep(rows: slice, index: int, values: Floats) -> None:
        out[index, rows] = values.T

    _run(panel, expressions, keep, qlib, future, threads, on_progress)
    return out


def stream(
    panel: BarPanel, expressions: Sequence[str | Node], *, qlib: bool = False, future: bool = False
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield (rows, features (F, B, T)) block by block: for universes whose result does not fit in memory."""
    nodes, fields = _prepared(panel, expressions, future, qlib)
    plan = _Plan(nodes, qlib)
    for rows in _blocks(len(panel.symbols)):
        out = np.empty((len(nodes), rows.stop - rows.start, len(panel.times)), np.float32)
        for index, values in plan.run(_loader(fields, rows, qlib)):
            out[index] = values.T
        yield rows, out


def _run(
    panel: BarPanel, expressions: Sequence[str | Node], keep: Callable[[slice, int, Floats], None],
    qlib: bool, future: bool, threads: int | None, on_progress: Stop | None,
) -> None:  # fmt: skip
    nodes, fields = _prepared(panel, expressions, future, qlib)
    plan = _Plan(nodes, qlib)
    blocks = list(_blocks(len(panel.symbols)))

    def work(rows: slice) -> None:
        for index, values in plan.run(_loader(fields, rows, qlib)):
            keep(rows, index, values)

    many = min(threads or os.cpu_count() or 1, len(blocks))
    if many <= 1:
        for done, rows in enumerate(blocks, 1):
            work(rows)
            if on_progress:
                on_progress(done / len(blocks))
        return
    with ThreadPoolExecutor(many) as pool:
        try:
            for done, _ in enumerate(pool.map(work, blocks), 1):
                if on_progress:
                    on_progress(done / len(blocks))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _blocks(symbols: int) -> Iterator[slice]:
    for first in range(0, symbols, BLOCK):
        yield slice(first, min(first + BLOCK, symbols))


def _prepared(
    panel: BarPanel, expressions: Sequence[str | Node], future: bool, qlib: bool
) -> tuple[list[Node], Mapping[str, Floats]]:
    """Return the trees and the fields they need; cross-section steps are computed here and become fields.

    A ``vwap`` that nothing gives is unknown on every bar, so that Alpha158 works without it.
    """
    nodes = [parse(each, future=future) if isinstance(each, str) else each for each in expressions]
    fields: dict[str, Floats] = {name: np.asarray(values) for name, values in panel.fields.items()}
    if "vwap" not in fields and {"amount", "volume"} <= set(fields):
        with np.errstate(divide="ignore", invalid="ignore"):
            fields["vwap"] = np.where(fields["volume"] > 0, fields["amount"] / fields["volume"], np.nan)
    fields.setdefault("vwap", np.full((len(panel.symbols), len(panel.times)), np.nan))
    for name in sorted(set().union(*(node.fields for node in nodes)) if nodes else ()):
        if name not in fields:
            raise Refusal(
                "unknown_field", UNKNOWN_FIELD, field="expression", name=name[:40], known=", ".join(sorted(fields))
            )
    return [_without_across(node, panel, fields, qlib) for node in nodes], fields


def _without_across(node: Node, panel: BarPanel, fields: dict[str, Floats], qlib: bool) -> Node:
    if not any(n.op in OPERATORS and OPERATORS[n.op].across for n in node.walk()):
        return node
    args = tuple(_without_across(arg, panel, fields, qlib) for arg in node.args)
    moved = Node(node.op, node.key, args, node.params, node.name, node.ahead)
    if node.op not in OPERATORS or not OPERATORS[node.op].across:
        return moved
    name = f"={node.key}"
    if name not in fields:
        whole = BarPanel(symbols=panel.symbols, times=panel.times, fields=fields)
        fields[name] = ops.across(node.op, compute(whole, list(args), dtype=np.float64, qlib=qlib)[0])
    return column(name)


def _loader(fields: Mapping[str, Floats], rows: slice, qlib: bool) -> Callable[[str], Floats]:
    kind = np.float32 if qlib else np.float64
    return lambda name: np.ascontiguousarray(fields[name][rows].T, dtype=kind)


class _Plan:
    """The steps of all expressions, each once, and how often each result is needed."""

    def __init__(self, outputs: Sequence[Node], qlib: bool) -> None:
        self.outputs, self.qlib = outputs, qlib
        self.uses: Counter[str] = Counter()
        self.shares: dict[str, set[float]] = {}
        #: How many members of a family are wanted.
        self.members: Counter[str] = Counter()
        seen: set[str] = set()
        for node in outputs:
            self.uses[node.key] += 1
            self._count(node, seen)

    def _count(self, node: Node, seen: set[str]) -> None:
        if node.key in seen:
            return
        seen.add(node.key)
        if node.op in ("Rank", "Quantile", "Med"):
            shares = self.shares.setdefault(self._sorted_key(node), set())
            if node.op != "Rank":
                shares.add(0.5 if node.op == "Med" else node.params[1])
            self.members[self._sorted_key(node)] += 1
        elif node.op in ops.FAMILIES:
            self.members[self.family_key(node)] += 1
        for arg in node.args:
            self.uses[arg.key] += 1
            self._count(arg, seen)

    @staticmethod
    def _sorted_key(node: Node) -> str:
        return f"sorted({node.args[0].key},{node.params[0]:g})"

    @staticmethod
    def family_key(node: Node) -> str:
        inside = ",".join(arg.key for arg in node.args)
        return f"{ops.FAMILIES[node.op][0]}({inside},{node.params[0]:g})"

    def run(self, load: Callable[[str], Floats]) -> Iterator[tuple[int, Floats]]:
        """Yield (number of the expression, values (T, B)); what is no longer needed is dropped."""
        state = _Block(self, load)
        with np.errstate(all="ignore"):
            for index, node in enumerate(self.outputs):
                yield index, state.take(node)


class _Block:
    """The results of one block that are still needed."""

    def __init__(self, plan: _Plan, load: Callable[[str], Floats]) -> None:
        self.plan, self.load = plan, load
        self.left = dict(plan.uses)
        self.kept: dict[str, Any] = {}
        self.families: dict[str, Any] = {}

    def take(self, node: Node) -> Any:
        if node.op == "number":
            return node.params[0]
        value = self.kept.get(node.key)
        if value is None:
            value = self._compute(node)
        self.left[node.key] -= 1
        if self.left[node.key] > 0:
            self.kept[node.key] = value
        else:
            self.kept.pop(node.key, None)
        return value

    def _compute(self, node: Node) -> Any:
        if node.op == "field":
            return self.load(node.name)
        args = [self.take(arg) for arg in node.args]
        if node.op in ops.ELEMENTWISE:
            return ops.ELEMENTWISE[node.op](*args)
        args = [np.ascontiguousarray(arg, np.float64) for arg in args] if node.op not in ops.SHIFTS else args
        if node.op in ops.FAMILIES:
            return self._member(node, args)
        if node.op in ("Rank", "Quantile", "Med"):
            return self._ordered(node, args[0])
        return ops.rolling(node.op, args[0], node.params, qlib=self.plan.qlib)

    def _member(self, node: Node, args: list[Floats]) -> Floats:
        name, place = ops.FAMILIES[node.op]
        key = self.plan.family_key(node)
        if node.op in ("Max", "Min") and self.plan.members[key] == 1:
            return ops.extreme_value(args[0], node.params[0], highest=node.op == "Max")
        if key not in self.families:
            self.families[key] = (ops.family(name, args, node.params[0], qlib=self.plan.qlib), self.plan.members[key])
        return cast("Floats", self._kept_family(key)[place])

    def _ordered(self, node: Node, x: Floats) -> Floats:
        key = self.plan._sorted_key(node)
        if key not in self.families:
            shares = tuple(sorted(self.plan.shares[key]))
            found = ops.ordered(x, int(node.params[0]) or ops.EVERYTHING, shares)
            self.families[key] = (found, self.plan.members[key])
        share = 0.5 if node.op == "Med" else node.params[-1]
        return cast("Floats", self._kept_family(key)["Rank" if node.op == "Rank" else f"Quantile:{share:g}"])

    def _kept_family(self, key: str) -> Any:
        """Return the family's results, dropping them after their last member."""
        found, left = self.families.pop(key)
        if left > 1:
            self.families[key] = (found, left - 1)
        return found
