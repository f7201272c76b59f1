"""``manage.py messages extract|check|compile``: translations without GNU gettext."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation.template import templatize

from apps.ui.engine import catalogues


class Command(BaseCommand):
    help = "Translations: extract the texts of the rooms, check that all are translated, compile them."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=("extract", "check", "compile"))
        parser.add_argument("rooms", nargs="*", choices=(*catalogues.ROOMS, []), metavar="room")

    def handle(self, *args: Any, **options: Any) -> None:
        rooms = options["rooms"] or catalogues.ROOMS
        getattr(self, f"_{options['action']}")(rooms)

    def _extract(self, rooms: list[str]) -> None:
        for room in rooms:
            left = catalogues.extract(settings.BASE_DIR, room, templatize)
            self.stdout.write(f"{room}: {left} to translate")

    def _check(self, rooms: list[str]) -> None:
        problems = [p for room in rooms for p in catalogues.check(settings.BASE_DIR, room, templatize)]
        problems += catalogues.conflicts(settings.BASE_DIR)
        for problem in problems:
            self.stderr.write(str(problem))
        if problems:
            raise CommandError(f"{len(problems)} translations are not complete.")
        self.stdout.write("Every text is translated.")

    def _compile(self, rooms: list[str]) -> None:
        self.stdout.write(f"{catalogues.compile_all(settings.BASE_DIR)} catalogues compiled.")
