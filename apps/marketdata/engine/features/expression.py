"""Expressions in Qlib's syntax, such as ``Ref($close, 5)/$close - 1``, as trees of nodes.

The text is read by Python's own grammar, so that precedence is what users of Qlib know, and
then only the handful of forms below are let through: nothing is ever evaluated as code.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from apps.marketdata.engine.features.vocabulary import OPERATORS, Operator
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

MOST_CHARACTERS = 4_000
LONGEST_WINDOW = 5_000
#: Stands for ``$`` while Python's grammar reads the text: one letter, so that places stay the same.
DOLLAR = "ǂ"

BAD = N_("The expression %(text)s cannot be read at character %(place)s. Write it like Ref($close, 5)/$close - 1.")
TOO_LONG = N_("The expression has %(length)s characters; at most %(most)s are read.")
UNKNOWN = N_("There is no operator %(name)s. There are %(known)s.")
ARGUMENTS = N_("%(name)s is written %(form)s.")
WINDOW = N_("The window of %(name)s is %(value)s; use a whole number from %(low)s to %(high)s.")
FUTURE = N_(
    "%(text)s looks %(bars)s bars into the future. A feature may use only what was known; labels may look ahead."
)
CONSTANT = N_("%(name)s needs a field such as $close, not a number alone.")

_BINARY: dict[type, str] = {
    ast.Add: "Add", ast.Sub: "Sub", ast.Mult: "Mul", ast.Div: "Div", ast.Pow: "Power",
    ast.BitAnd: "And", ast.BitOr: "Or",
}  # fmt: skip
_COMPARE: dict[type, str] = {
    ast.Gt: "Gt", ast.GtE: "Ge", ast.Lt: "Lt", ast.LtE: "Le", ast.Eq: "Eq", ast.NotEq: "Ne",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Node:
    """One step: a field (``op`` "field", ``name``), a number (``op`` "number") or an operator.

    Two nodes with the same ``key`` compute the same; ``params`` are windows and shares.
    """

    op: str
    key: str
    args: tuple[Node, ...] = ()
    params: tuple[float, ...] = ()
    name: str = ""
    ahead: int = field(default=0)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and other.key == self.key

    def __hash__(self) -> int:
        return hash(self.key)

    def walk(self) -> Iterator[Node]:
        """Yield this node and everything below it, children first."""
        for argument in self.args:
            yield from argument.walk()
        yield self

    @property
    def fields(self) -> set[str]:
        return {node.name for node in self.walk() if node.op == "field"}


def parse(text: str, *, future: bool = False) -> Node:
    """Return the tree of ``text``; with ``future`` (labels) ``Ref`` may look ahead.

    Raises ``Refusal``: ``bad_expression``, ``unknown_operator``, ``bad_arguments``,
    ``bad_window``, ``looks_ahead``.
    """
    node = _parse(text)
    if node.ahead > 0 and not future:
        raise Refusal("looks_ahead", FUTURE, field="expression", text=shorten(text), bars=node.ahead)
    return node


@lru_cache(maxsize=4096)
def _parse(text: str) -> Node:
    if len(text) > MOST_CHARACTERS:
        raise Refusal("bad_expression", TOO_LONG, field="expression", length=len(text), most=MOST_CHARACTERS)
    if DOLLAR in text or not text.strip():
        raise _bad(text, 1)
    plain = re.sub(r"\s", " ", text).replace("$", DOLLAR)
    lead = len(plain) - len(plain.lstrip())
    try:
        tree = ast.parse(plain.strip(), mode="eval")
        return _Reader(text, lead).node(tree.body)
    except SyntaxError as error:
        raise _bad(text, lead + error.offset if error.offset else len(text) + 1) from error
    except (RecursionError, MemoryError, ValueError, OverflowError) as error:
        raise _bad(text, 1) from error


def shorten(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"


def _bad(text: str, place: int) -> Refusal:
    return Refusal("bad_expression", BAD, field="expression", text=shorten(text), place=place)


def number(value: float) -> Node:
    return Node("number", repr(float(value)), params=(float(value),))


def column(name: str) -> Node:
    return Node("field", f"${name}", name=name)


def call(operator: Operator, args: tuple[Node, ...], params: tuple[float, ...]) -> Node:
    """Return ``operator`` applied; the key is the canonical text."""
    inside = [arg.key for arg in args] + [f"{p:g}" for p in params]
    ahead = max((arg.ahead for arg in args), default=0)
    if operator.shifts:
        ahead = max(0, ahead - int(params[0])) if params[0] >= 0 else ahead - int(params[0])
    return Node(operator.name, f"{operator.name}({','.join(inside)})", args, params, ahead=ahead)


class _Reader:
    """Turns Python's tree into ours, refusing every form outside the vocabulary."""

    def __init__(self, text: str, lead: int) -> None:
        self.text, self.lead = text, lead

    def node(self, tree: ast.expr) -> Node:
        if isinstance(tree, ast.Constant) and type(tree.value) in (int, float):
            return number(tree.value)  # type: ignore[arg-type]
        if isinstance(tree, ast.Name):
            return self._field(tree)
        if isinstance(tree, ast.UnaryOp):
            return self._unary(tree)
        if isinstance(tree, ast.BinOp) and type(tree.op) in _BINARY:
            return self._apply(_BINARY[type(tree.op)], [tree.left, tree.right])
        if isinstance(tree, ast.Compare) and len(tree.ops) == 1 and type(tree.ops[0]) in _COMPARE:
            return self._apply(_COMPARE[type(tree.ops[0])], [tree.left, tree.comparators[0]])
        if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and not tree.keywords:
            return self._call(tree.func, list(tree.args))
        raise self._bad(tree)

    def _bad(self, tree: ast.expr) -> Refusal:
        before = self.text.strip().replace("$", DOLLAR).encode()[: tree.col_offset].decode(errors="ignore")
        return _bad(self.text, self.lead + len(before) + 1)

    def _field(self, tree: ast.Name) -> Node:
        if not re.fullmatch(DOLLAR + r"[A-Za-z_]\w*", tree.id):
            raise self._bad(tree)
        return column(tree.id[1:])

    def _unary(self, tree: ast.UnaryOp) -> Node:
        inside = self.node(tree.operand)
        if isinstance(tree.op, ast.UAdd):
            return inside
        if isinstance(tree.op, ast.USub):
            return number(-inside.params[0]) if inside.op == "number" else self._made("Mul", (number(-1), inside))
        if isinstance(tree.op, ast.Invert):
            return self._made("Not", (inside,))
        raise self._bad(tree)

    def _call(self, function: ast.Name, args: list[ast.expr]) -> Node:
        if function.id not in OPERATORS:
            known = ", ".join(OPERATORS)
            raise Refusal("unknown_operator", UNKNOWN, field="expression", name=function.id[:40], known=known)
        return self._apply(function.id, args)

    def _apply(self, name: str, trees: list[ast.expr]) -> Node:
        return self._made(name, tuple(self.node(tree) for tree in trees))

    def _made(self, name: str, given: tuple[Node, ...]) -> Node:
        operator = OPERATORS[name]
        least = operator.series + len(operator.params) - len(operator.defaults)
        if not least <= len(given) <= operator.series + len(operator.params):
            raise Refusal("bad_arguments", ARGUMENTS, field="expression", name=name, form=operator.form)
        args, rest = given[: operator.series], given[operator.series :]
        if any(arg.op != "number" for arg in rest):
            raise Refusal("bad_arguments", ARGUMENTS, field="expression", name=name, form=operator.form)
        values = [arg.params[0] for arg in rest]
        missing = len(operator.params) - len(values)
        values += list(operator.defaults)[len(operator.defaults) - missing :] if missing else []
        if all(arg.op == "number" for arg in args):
            return self._folded(operator, args)
        if operator.params and any(arg.op == "number" for arg in args):
            raise Refusal("bad_arguments", CONSTANT, field="expression", name=name)
        self._check(operator, values)
        return call(operator, args, tuple(values))

    def _folded(self, operator: Operator, args: tuple[Node, ...]) -> Node:
        a = [arg.params[0] for arg in args]
        try:
            folds = {
                "Add": lambda: a[0] + a[1], "Sub": lambda: a[0] - a[1], "Mul": lambda: a[0] * a[1],
                "Div": lambda: a[0] / a[1], "Power": lambda: math.pow(a[0], a[1]),
            }  # fmt: skip
            return number(folds[operator.name]())
        except (KeyError, ArithmeticError, ValueError):
            raise Refusal("bad_arguments", CONSTANT, field="expression", name=operator.name) from None

    def _check(self, operator: Operator, values: list[float]) -> None:
        for parameter, value in zip(operator.params, values, strict=True):
            low, high = parameter.low, parameter.high or LONGEST_WINDOW
            whole = value == int(value) or not parameter.whole
            if not (whole and low <= value <= high):
                params: dict[str, Any] = {"value": f"{value:g}", "low": f"{low:g}", "high": f"{high:g}"}
                raise Refusal("bad_window", WINDOW, field="expression", name=operator.name, **params)
