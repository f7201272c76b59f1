"""A form made from a configuration: nothing about a field is said twice."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from django.utils.translation import gettext
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from apps.ui.engine.config import InvalidConfig

#: More choices than these are a list to open, not buttons beside each other.
MOST_SIDE_BY_SIDE = 5


@dataclass
class FormField:
    """One row of the form: what to show, what was entered, what is wrong with it."""

    name: str
    label: str
    help: str
    unit: str
    kind: str
    value: Any
    default: str
    choices: list[tuple[str, str]] = field(default_factory=list)
    only_name: str = ""
    only_value: str = ""
    error: str = ""
    changed: bool = False
    #: What is read in place of the value, where it means something else than it says (0 is no limit).
    word: str = ""

    @property
    def shown(self) -> str:
        """Return the value as it is read, not as it is entered."""
        if self.word:
            return self.word
        if self.kind == "bool":
            return gettext("yes") if self.value else gettext("no")
        if self.kind in {"choice", "select"}:
            return dict(self.choices).get(self.value, self.value)
        return self.value or "–"

    @property
    def read(self) -> str:
        """Return the value as it is read, with its unit where it has one."""
        return f"{self.shown} {self.unit}" if self.value and self.unit and not self.word else self.shown


@dataclass
class FormGroup:
    title: str
    fields: list[FormField]


class ConfigForm:
    """The form of a configuration, filled with ``values``, with the errors of the last try."""

    def __init__(
        self,
        config: type[BaseModel],
        values: Mapping[str, Any] | None = None,
        *,
        base: Mapping[str, Any] | None = None,
    ) -> None:
        self.config = config
        self.values = dict(values or {})
        self.base = dict(base) if base is not None else None
        self.errors: dict[str, str] = {}

    def add_errors(self, invalid: InvalidConfig) -> None:
        for item in invalid.errors:
            self.errors.setdefault(item.field, gettext(item.message) % item.params)

    @property
    def error_lines(self) -> list[tuple[str, str]]:
        """Return (label, sentence) of every error, in the order of the form."""
        fields = self.config.model_fields
        order = [name for name in fields if name in self.errors] + [name for name in self.errors if name not in fields]
        return [(gettext(fields[name].title or name) if name in fields else "", self.errors[name]) for name in order]

    @property
    def other_error(self) -> str:
        """Return an error that belongs to no field of the form."""
        return next((text for name, text in self.errors.items() if name not in self.config.model_fields), "")

    @property
    def first_error(self) -> str:
        return next((name for name in self.config.model_fields if name in self.errors), "")

    def groups(self) -> list[FormGroup]:
        found: dict[str, FormGroup] = {}
        for name, info in self.config.model_fields.items():
            title = _extra(info).get("group", "")
            group = found.setdefault(title, FormGroup(gettext(title) if title else "", []))
            group.fields.append(self._field(name, info))
        return list(found.values())

    def _field(self, name: str, info: FieldInfo) -> FormField:
        extra, default = _extra(info), _default(info)
        value = self.values.get(name, default)
        only = next(iter(extra.get("only", {}).items()), ("", ""))
        kind, choices = self._kind(info, extra)
        return FormField(
            name=name,
            label=gettext(info.title or name),
            help=gettext(info.description) if info.description else "",
            unit=gettext(extra["unit"]) if extra.get("unit") else "",
            kind=kind,
            value=entered(value),
            default=entered(default),
            choices=choices,
            only_name=only[0],
            only_value=" ".join([only[1]] if isinstance(only[1], str) else only[1]),
            error=self.errors.get(name, ""),
            changed=self.base is not None and entered(self.base.get(name)) != entered(value),
            word=word_of(info, value),
        )

    def _kind(self, info: FieldInfo, extra: Mapping[str, Any]) -> tuple[str, list[tuple[str, str]]]:
        """Return how the field is entered and among what; a subclass knows more widgets."""
        if extra.get("widget") in {"expression", "text_area"}:
            return extra["widget"], []
        plain = _plain(info.annotation)
        if typing.get_origin(plain) is Literal:
            choices = [(str(item), self.choice_label(str(item))) for item in typing.get_args(plain)]
            return "choice" if len(choices) <= MOST_SIDE_BY_SIDE else "select", choices
        kinds = {bool: "bool", int: "number", float: "number", date: "date"}
        return kinds.get(plain, "text"), []

    def choice_label(self, value: str) -> str:
        """Return the word of a choice; a subclass has words for its own."""
        return value


def posted_values(config: type[BaseModel], data: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of a posted form as the configuration wants them.

    An empty field means none where the field allows it, and its default otherwise.
    """
    values: dict[str, Any] = {}
    for name, info in config.model_fields.items():
        plain = _plain(info.annotation)
        if plain is bool:
            values[name] = name in data
        elif name in data:
            text = data[name].replace("\x00", "").strip()  # which PostgreSQL cannot store
            if typing.get_origin(plain) is list:
                values[name] = [item for item in text.replace("\uff0c", ",").replace(" ", ",").split(",") if item]
            elif text or _optional(info.annotation) or typing.get_origin(plain) is Literal:
                values[name] = text if text or typing.get_origin(plain) is Literal else None
    return values


def schema(config: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema of a configuration, with titles and help in the active language."""
    document = config.model_json_schema()
    for item in document["properties"].values():
        for key in ("title", "description", "group", "unit"):
            if item.get(key):
                item[key] = gettext(item[key])
        if item.get("words"):
            item["words"] = {value: gettext(word) for value, word in item["words"].items()}
    return document


def word_of(info: FieldInfo, value: Any) -> str:
    """Return what a value means where it does not say so itself (``words`` of the field), in the active language."""
    word = _extra(info).get("words", {}).get(entered(value), "")
    return gettext(word) if word else ""


def entered(value: Any) -> str:
    """Return a value as it stands in an input."""
    if value is None or value is PydanticUndefined:
        return ""
    if isinstance(value, bool):
        return "1" if value else ""
    if isinstance(value, (list, tuple)):
        return ", ".join(str(item) for item in value)
    if isinstance(value, float):
        return f"{value:.12g}"
    return str(value)


def _extra(info: FieldInfo) -> dict[str, Any]:
    return info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}


def _default(info: FieldInfo) -> Any:
    return info.get_default(call_default_factory=True)  # type: ignore[call-arg]


def _optional(annotation: Any) -> bool:
    return isinstance(annotation, types.UnionType) and type(None) in typing.get_args(annotation)


def _plain(annotation: Any) -> Any:
    """Return the type without its None."""
    if _optional(annotation):
        return next(item for item in typing.get_args(annotation) if item is not type(None))
    return annotation


def shown_rows(form: ConfigForm) -> list[FormGroup]:
    """Return a filled form as groups of rows to read; fields that do not matter in it are left out."""
    groups = form.groups()
    values = {field.name: field.value for group in groups for field in group.fields}
    for group in groups:
        group.fields = [
            f for f in group.fields if not f.only_name or str(values.get(f.only_name)) in f.only_value.split(" ")
        ]
    return groups
