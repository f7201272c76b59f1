"""Templates whose constant parts are rendered once a language: words, addresses without parameters, icons.

Two thirds of a page's shell are such parts. A run of them becomes one node that keeps the text it came to, by
everything that text can depend on: the language, whether it is escaped, and the prefix of addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from django.template import Library, Template
from django.template.base import FilterExpression, Node, NodeList, TextNode
from django.template.context import Context
from django.template.defaulttags import CommentNode, LoadNode, URLNode
from django.template.library import SimpleNode
from django.template.loaders import base, cached
from django.templatetags.i18n import TranslateNode
from django.templatetags.static import StaticNode
from django.urls import get_script_prefix
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language

Tag = TypeVar("Tag", bound=Callable[..., Any])
#: Texts one run keeps: two languages, escaped or not, and some prefixes, which a caller may invent.
MOST = 16


def constant_tag(register: Library) -> Callable[[Tag], Tag]:
    """Register a simple tag that depends on nothing but its arguments and the language."""

    def registered(function: Tag) -> Tag:
        function.constant = True  # type: ignore[attr-defined]
        return register.simple_tag(function)  # type: ignore[no-any-return]

    return registered


class Run(Node):
    """Neighbours that are the same for every reader of a language."""

    child_nodelists = ()

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = tuple(nodes)
        self.addresses = any(isinstance(node, URLNode | StaticNode) for node in nodes)
        self.kept: dict[tuple[str | None, bool, str], SafeString] = {}

    def render(self, context: Context) -> SafeString:
        key = get_language(), context.autoescape, get_script_prefix() if self.addresses else ""
        text = self.kept.get(key)
        if text is None:
            text = mark_safe("".join(node.render(context) for node in self.nodes))  # noqa: S308 - each node escaped it
            if len(self.kept) < MOST:
                self.kept[key] = text
        return text


class _Compiling(base.Loader):
    def get_template(self, template_name: str, skip: Any = None) -> Template:
        template = super().get_template(template_name, skip)
        fold(template.nodelist)
        return template


class Loader(cached.Loader, _Compiling):
    """Django's loader that keeps compiled templates; they are folded before anybody renders them."""


def fold(nodes: NodeList) -> None:
    """Put the constant runs of ``nodes``, and of everything within, in place."""
    folded: list[Node] = []
    run: list[Node] = []
    for node in nodes:
        if isinstance(node, LoadNode | CommentNode):  # nothing to see
            continue
        if isinstance(node, TextNode) or constant(node):
            run.append(node)
            continue
        folded += _joined(run)
        run = []
        for inner in _inner(node):
            fold(inner)
        folded.append(node)
    nodes[:] = [*folded, *_joined(run)]


def _joined(run: list[Node]) -> Iterable[Node]:
    return [Run(run)] if any(not isinstance(node, TextNode) for node in run) else run


def _inner(node: Node) -> list[NodeList]:
    if hasattr(node, "conditions_nodelists"):  # ``if`` offers a copy of its parts under the usual name
        return [inner for _condition, inner in node.conditions_nodelists]
    found = [getattr(node, name, None) for name in node.child_nodelists]
    return [inner for inner in found if isinstance(inner, NodeList)]


def constant(node: Node) -> bool:
    """Tell whether a node comes to the same text for every reader of a language."""
    if isinstance(node, TranslateNode):
        context = node.message_context
        return node.asvar is None and _literal(node.filter_expression) and (context is None or _literal(context))
    if isinstance(node, URLNode):
        return node.asvar is None and not node.args and not node.kwargs and _literal(node.view_name)
    if isinstance(node, StaticNode):
        return node.varname is None and _literal(node.path)
    if type(node) is SimpleNode and getattr(node.func, "constant", False):
        arguments = [*node.args, *node.kwargs.values()]
        return node.target_var is None and not node.takes_context and all(map(_literal, arguments))
    return False


def _literal(expression: Any) -> bool:
    if not isinstance(expression, FilterExpression) or expression.filters:
        return False
    # ``translate`` wraps its literal in a variable, which has no lookups.
    return not expression.is_var or getattr(expression.var, "lookups", ()) is None
