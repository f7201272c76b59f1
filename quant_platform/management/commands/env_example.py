"""Writes ``.env.example`` from the declared settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from apps.ui.commands import refusals_as_errors
from quant_platform.settings.declared import DECLARED
from quant_platform.settings.env import Setting

HEADER = (
    "# Every setting of the platform with its type and default. Copy to .env and change what you need.\n"
    "# Written by: python manage.py env_example\n"
)


def shown(value: Any) -> str:
    """Return a default as it is written in the environment."""
    if isinstance(value, bool):
        return "1" if value else "0"
    return ",".join(value) if isinstance(value, list) else str(value)


def entry(setting: Setting) -> str:
    choices = f" ({', '.join(setting.choices)})" if setting.choices else ""
    return f"\n# {setting.help} [{setting.type}]{choices}\n{setting.name}={shown(setting.default)}\n"


def document() -> str:
    """Return the whole text of ``.env.example``."""
    return HEADER + "".join(entry(setting) for setting in DECLARED)


class Command(BaseCommand):
    help = "Write .env.example from the declared settings."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--output", type=Path, default=Path(settings.BASE_DIR) / ".env.example")

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals_as_errors():
            options["output"].write_text(document(), encoding="utf-8")
