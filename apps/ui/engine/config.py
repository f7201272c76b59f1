"""Configurations declared as pydantic models, and what is wrong with entered values in words people read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

Config = TypeVar("Config", bound=BaseModel)


@dataclass(frozen=True)
class FieldError:
    """One wrong field: a msgid with its params, for the form, the API and the command line."""

    field: str
    message: str
    params: dict[str, Any]


class InvalidConfig(Refusal):
    """A configuration with errors at its fields."""

    def __init__(self, errors: list[FieldError]) -> None:
        self.errors = errors
        first = errors[0]
        super().__init__("invalid_config", first.message, field=first.field, **first.params)


#: pydantic's error types in words people read; anything else keeps pydantic's own.
MESSAGES = {
    "missing": N_("This field is needed."),
    "extra_forbidden": N_("There is no such field."),
    "greater_than": N_("Enter more than %(gt)s."),
    "greater_than_equal": N_("Enter %(ge)s or more."),
    "less_than": N_("Enter less than %(lt)s."),
    "less_than_equal": N_("Enter %(le)s or less."),
    "int_parsing": N_("Enter a whole number."),
    "int_from_float": N_("Enter a whole number."),
    "int_type": N_("Enter a whole number."),
    "float_parsing": N_("Enter a number."),
    "float_type": N_("Enter a number."),
    "finite_number": N_("Enter a number."),
    "bool_parsing": N_("Enter yes or no."),
    "date_from_datetime_parsing": N_("Enter a date such as 2011-01-03."),
    "date_parsing": N_("Enter a date such as 2011-01-03."),
    "date_type": N_("Enter a date such as 2011-01-03."),
    "literal_error": N_("Choose one of %(expected)s."),
    "list_type": N_("Enter a list."),
    "string_type": N_("Enter a text."),
}


def _whole(value: Any) -> Any:
    """Return 1000 for 1000.0: a limit of a field for fractions reads like any number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def validated(config: type[Config], values: Mapping[str, Any]) -> Config:
    """Return ``values`` as a ``config``, or raise ``InvalidConfig`` with an error per field."""
    try:
        return config.model_validate(dict(values))
    except ValidationError as error:
        raise InvalidConfig(
            [
                FieldError(
                    str(item["loc"][0]) if item["loc"] else "",
                    MESSAGES.get(item["type"], item["msg"].replace("%", "%%")),
                    {name: _whole(value) for name, value in item.get("ctx", {}).items()},
                )
                for item in error.errors(include_url=False, include_input=False)
            ]
        ) from None
    except InvalidConfig:
        raise
    except Refusal as refusal:
        raise InvalidConfig([FieldError(refusal.field or "", refusal.message, refusal.params)]) from None
