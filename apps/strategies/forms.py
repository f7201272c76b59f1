"""The form of a strategy, made from its configuration: nothing about a field is said twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic.fields import FieldInfo

from apps.accounts.models import User
from apps.marketdata.models import Dataset
from apps.marketdata.selectors import bars_newest, dataset_by_name
from apps.strategies.engine.diff import Line, config_diff
from apps.strategies.engine.registry import strategy_type
from apps.strategies.wording import choice_label
from apps.ui import config_forms
from apps.ui.config_forms import FormField, FormGroup, entered
from apps.ui.engine.refusal import Refusal

__all__ = [
    "ConfigForm", "FormField", "FormGroup", "config_form", "config_rows", "diff_lines", "entered",
    "posted_values", "schema",
]  # fmt: skip
#: Symbols offered in a form; a dataset may have thousands.
MANY_SYMBOLS = 500


class ConfigForm(config_forms.ConfigForm):
    """The form of one strategy type; it knows datasets, symbols and universes."""

    def __init__(
        self,
        type_key: str,
        values: Mapping[str, Any] | None = None,
        *,
        base: Mapping[str, Any] | None = None,
        datasets: list[tuple[str, str]] | None = None,
        symbols: list[str] | None = None,
        universes: list[str] | None = None,
    ) -> None:
        self.type = strategy_type(type_key)
        super().__init__(self.type.config, values, base=base)
        self.datasets, self.symbols, self.universes = datasets or [], symbols or [], universes or []

    def _kind(self, info: FieldInfo, extra: Mapping[str, Any]) -> tuple[str, list[tuple[str, str]]]:
        widget = extra.get("widget", "")
        if widget == "dataset" and self.datasets:
            return "select", self.datasets
        if widget in {"symbol", "symbols"}:
            return widget, [(symbol, symbol) for symbol in self.symbols]
        if widget == "universe":
            return widget, [(universe, universe) for universe in self.universes]
        return super()._kind(info, extra)

    def choice_label(self, value: str) -> str:
        return choice_label(value)


def config_form(user: User, key: str, values: dict[str, Any], base: dict[str, Any] | None = None) -> ConfigForm:
    """Return the form of a type with the datasets ``user`` sees and the symbols of the chosen one."""
    newest: dict[str, Dataset] = {}
    for dataset in bars_newest(user):
        newest.setdefault(dataset.name, dataset)
    chosen = str(values.get("dataset") or strategy_type(key).config.model_fields["dataset"].default)
    datasets = [(name, f"{name} ({dataset.get_verdict_display()})") for name, dataset in newest.items()]
    if chosen and chosen not in newest:
        datasets.append((chosen, chosen))
    try:
        found = dataset_by_name(user, chosen)
        symbols = list(found.symbols.values_list("symbol", flat=True)[:MANY_SYMBOLS])
        universes = sorted(found.universes)
    except Refusal:
        symbols, universes = [], []
    return ConfigForm(key, values, base=base, datasets=datasets, symbols=symbols, universes=universes)


def posted_values(type_key: str, data: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of a posted form as the type's configuration wants them."""
    return config_forms.posted_values(strategy_type(type_key).config, data)


def schema(type_key: str) -> dict[str, Any]:
    """Return the JSON schema of a type, with titles and help in the active language."""
    return config_forms.schema(strategy_type(type_key).config)


def config_rows(type_key: str, config: Mapping[str, Any]) -> list[FormGroup]:
    """Return a configuration as groups of rows to read; fields that do not matter in it are left out."""
    return config_forms.shown_rows(ConfigForm(type_key, config))


def diff_lines(type_key: str, old: Mapping[str, Any], new: Mapping[str, Any], *, context: bool = False) -> list[Line]:
    """Return what changed between two configurations in the words of their form, with units."""
    words = {"-": _read(type_key, old), "+": _read(type_key, new)}
    words[" "] = words["+"]
    return [
        Line(line.sign, *words[line.sign].get(line.name, (line.name, line.value)))
        for line in config_diff(old, new, context=context)
    ]


def _read(type_key: str, config: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return each field of a configuration -> its label and its value as it is read."""
    fields = [field for group in ConfigForm(type_key, config).groups() for field in group.fields]
    return {field.name: (field.label, field.read) for field in fields}
