"""What every source asks: into which dataset, how the bars are to be read, when, with which secret."""

from __future__ import annotations

import re
from copy import copy
from datetime import date
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from apps.marketdata.engine.sources.schedule import parse_cron
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

FROM, BARS, WHEN = N_("Source"), N_("Dataset and bars"), N_("Schedule")
DATASET = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
BAD_DATASET = N_("A dataset's name is 1 to 64 lower-case letters, digits, - or _, like us-daily.")
BAD_ZONE = N_("%(zone)s is not a time zone. Write it like UTC, America/New_York or Asia/Shanghai.")
NO_CALENDAR = N_("Syncing after the close needs the exchange's calendar, like XNYS or XSHG.")
NO_CRON = N_("Write when: minute, hour, day, month, weekday, like 30 18 * * 1-5.")
MOST_SYMBOLS_ASKED = 6_000
TOO_MANY = N_("Name at most %(most)s symbols.")
SYMBOL_LENGTH = 32
LONG_SYMBOL = N_("The symbol %(symbol)s has more than 32 characters.")


def extra(group: str, unit: str = "", **more: Any) -> dict[str, Any]:
    """Return what the form shows of a field besides its title and help."""
    return {"group": group, "unit": unit, **more}


def first_day_asked(default: date, description: str) -> Any:
    """Return the field of the day from which on a source is asked by its first sync."""
    return Field(default, title=N_("First day"), description=description, json_schema_extra=extra(FROM))


def days_again(default: int, least: int, description: str) -> Any:
    """Return the field of the days before the newest bar that are asked for again."""
    return Field(
        default,
        ge=least,
        le=400,
        title=N_("Ask again for"),
        description=description,
        json_schema_extra=extra(FROM, N_("days")),
    )


class SourceConfig(BaseModel):
    """Fields every source has; a source adds its own in the group ``FROM``."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    dataset: str = Field(
        "",
        max_length=64,
        title=N_("Dataset"),
        description=N_("Its name in the catalogue; each change makes a new version. Empty: the source's name."),
        json_schema_extra=extra(BARS),
    )
    prices: Literal["raw", "adjusted"] = Field(
        "raw",
        title=N_("Prices"),
        description=N_("As traded, or adjusted for splits and payouts by the source."),
        json_schema_extra=extra(BARS),
    )
    calendar: str = Field(
        "",
        max_length=16,
        title=N_("Calendar"),
        description=N_("Like XNYS, XSHG or 24/7. Empty: recognised from the days where it can be."),
        json_schema_extra=extra(BARS),
    )
    currency: str = Field(
        "", max_length=8, title=N_("Currency"), description=N_("Like USD or CNY."), json_schema_extra=extra(BARS)
    )
    time_zone: str = Field(
        "UTC",
        max_length=64,
        title=N_("Time zone"),
        description=N_("The clock of intraday times without an offset."),
        json_schema_extra=extra(BARS),
    )
    stamp: Literal["end", "start"] = Field(
        "end",
        title=N_("Intraday times name"),
        description=N_("The platform keeps the end of a bar; starts are moved by one bar."),
        json_schema_extra=extra(BARS),
    )
    volume_unit: int = Field(
        0,
        ge=0,
        le=1_000_000,
        title=N_("Volume unit"),
        description=N_("Shares in one unit of volume, 100 for lots. 0: recognised by the first sync."),
        json_schema_extra=extra(BARS),
    )
    licence: str = Field(
        "",
        max_length=120,
        title=N_("Licence"),
        description=N_("What the source allows; kept with the dataset."),
        json_schema_extra=extra(BARS),
    )
    when: Literal["manual", "interval", "close", "cron"] = Field(
        "manual",
        title=N_("Sync"),
        description=N_("A sync that finds nothing new makes no version."),
        json_schema_extra=extra(WHEN),
    )
    minutes: int = Field(
        60,
        ge=5,
        le=43_200,
        title=N_("Every"),
        description=N_("Counted from the sync before."),
        json_schema_extra=extra(WHEN, N_("minutes"), only={"when": "interval"}),
    )
    after_close: int = Field(
        30,
        ge=0,
        le=1_380,
        title=N_("After the close by"),
        description=N_("Of each session of the dataset's calendar."),
        json_schema_extra=extra(WHEN, N_("minutes"), only={"when": "close"}),
    )
    cron: str = Field(
        "",
        max_length=120,
        title=N_("Cron"),
        description=N_("Minute, hour, day, month, weekday in the time zone above, like 30 18 * * 1-5."),
        json_schema_extra=extra(WHEN, only={"when": "cron"}),
    )
    credential: str = Field(
        "",
        max_length=80,
        title=N_("Secret"),
        description=N_("One of your secrets of kind “source”, kept encrypted."),
        json_schema_extra=extra(FROM, widget="credential"),
    )

    @field_validator("dataset")
    @classmethod
    def _dataset_name(cls, value: str) -> str:
        if value and not DATASET.fullmatch(value):
            raise Refusal("bad_dataset_name", BAD_DATASET, field="dataset")
        return value

    @field_validator("currency")
    @classmethod
    def _upper(cls, value: str) -> str:
        return value.upper()

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise Refusal("bad_time_zone", BAD_ZONE, field="time_zone", zone=value[:40]) from error
        return value

    @model_validator(mode="after")
    def _schedule(self) -> SourceConfig:
        if self.when == "cron":
            if not self.cron:
                raise Refusal("bad_cron", NO_CRON, field="cron")
            parse_cron(self.cron)
        if self.when == "close" and not self.calendar:
            raise Refusal("no_calendar", NO_CALENDAR, field="calendar")
        return self


def preset(name: str, default: Any, **more: Any) -> Any:
    """Return the field ``name`` of every source with another default (and title, help …), for a source's own class."""
    found = copy(SourceConfig.model_fields[name])
    found.default = default
    for attribute, value in more.items():
        setattr(found, attribute, value)
    return found


def symbol_list(text: str) -> list[str]:
    """Return the symbols of a text, separated by commas or blanks, each once. Raises ``Refusal``."""
    found = list(dict.fromkeys(part for part in re.split(r"[,，;\s]+", text) if part))
    if len(found) > MOST_SYMBOLS_ASKED:
        raise Refusal("too_many_symbols", TOO_MANY, field="symbols", most=MOST_SYMBOLS_ASKED)
    wrong = next((symbol for symbol in found if len(symbol) > SYMBOL_LENGTH), None)
    if wrong:
        raise Refusal("bad_symbol", LONG_SYMBOL, field="symbols", symbol=wrong[:64])
    return found
