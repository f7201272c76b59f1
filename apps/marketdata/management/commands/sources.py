"""manage.py sources: kinds, sources, and what can be done with them but the sync itself (``sync_data``)."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.accounts.models import User
from apps.marketdata.adapters.source_probe import source_symbols, source_test
from apps.marketdata.engine.sources.registry import kinds
from apps.marketdata.management.reading import user_named
from apps.marketdata.models import Source
from apps.marketdata.services.sources import source_create, source_delete, source_pause, source_update
from apps.marketdata.source_pages import kind_document, run_document, source_document
from apps.marketdata.source_selectors import run_list, source_by_name, source_list
from apps.ui.commands import refusals_as_errors
from apps.ui.engine.config import InvalidConfig


class Command(BaseCommand):
    help = "List sources and their kinds; create, change, test, pause, resume and delete one. `sync_data` asks one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        for name, words in (("list", "every source, with its next and last sync"), ("kinds", "kinds of source")):
            acts.add_parser(name, help=words).add_argument("--json", action="store_true")
        for name, words in (
            ("show", "one source with its last syncs"), ("test", "reach it and say what is there"),
            ("symbols", "symbols that can be asked for"), ("pause", "take it off its schedule"),
            ("resume", "put it back"), ("delete", "forget it and its history; datasets stay"),
        ):  # fmt: skip
            one = acts.add_parser(name, help=words)
            one.add_argument("source")
            one.add_argument("--json", action="store_true")
        create = acts.add_parser("create", help="write a source down")
        create.add_argument("source", help="its name")
        create.add_argument("kind", help="as in `sources kinds`")
        create.add_argument("--owner", required=True, help="user the source and its dataset belong to")
        change = acts.add_parser("change", help="change fields of its configuration")
        change.add_argument("source")
        for one in (create, change):
            one.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="repeat for each field")
            one.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals_as_errors():
            try:
                getattr(self, f"_{options['act']}")(options)
            except InvalidConfig as invalid:
                lines = [f"{one.field or 'configuration'}: {one.message % one.params}" for one in invalid.errors]
                raise CommandError("\n".join(lines)) from invalid

    def _print(self, options: dict[str, Any], document: Any, text: str) -> None:
        self.stdout.write(json.dumps(document) if options["json"] else text)

    def _list(self, options: dict[str, Any]) -> None:
        rows = [source_document(source) for source in source_list(None)]
        lines = [
            f"{row['name']:<24}{row['kind']:<10}{row['dataset']:<24}{row['owner']:<16}"
            f"{'paused' if row['paused'] else row['next_at'] or 'by hand':<34}{row['last_state'] or 'never'}"
            for row in rows
        ]
        self._print(options, rows, "\n".join(lines) or "There is no source yet: manage.py sources create")

    def _kinds(self, options: dict[str, Any]) -> None:
        rows = [kind_document(kind) for kind in kinds()]
        lines = [
            f"{row['kind']:<16}{row['label']:<28}"
            + (
                row["problem"]
                or (f"needs pip install {row['missing']}" if row["missing"] else row["package"] or "ready")
            )
            for row in rows
        ]
        self._print(options, rows, "\n".join(lines))

    def _show(self, options: dict[str, Any]) -> None:
        source = source_by_name(None, options["source"])
        document = {**source_document(source), "runs": [run_document(run) for run in run_list(source)[:10]]}
        self._print(options, document, json.dumps(document, indent=2, ensure_ascii=False))

    def _test(self, options: dict[str, Any]) -> None:
        said = source_test(source_by_name(None, options["source"]))
        self._print(options, {"said": said}, said)

    def _symbols(self, options: dict[str, Any]) -> None:
        found = source_symbols(source_by_name(None, options["source"]))
        self._print(options, found, "\n".join(found))

    def _pause(self, options: dict[str, Any]) -> None:
        self._written(options, source_pause(source_by_name(None, options["source"]), actor=None, paused=True))

    def _resume(self, options: dict[str, Any]) -> None:
        self._written(options, source_pause(source_by_name(None, options["source"]), actor=None, paused=False))

    def _delete(self, options: dict[str, Any]) -> None:
        source = source_by_name(None, options["source"])
        source_delete(source, actor=None)
        self._print(options, {"deleted": source.name}, f"{source.name} is deleted")

    def _create(self, options: dict[str, Any]) -> None:
        owner: User | None = user_named(options["owner"])
        if owner is None:
            raise CommandError("Name the owner.")
        made = source_create(owner=owner, name=options["source"], kind=options["kind"], values=_fields(options["set"]))
        self._written(options, made)

    def _change(self, options: dict[str, Any]) -> None:
        source = source_by_name(None, options["source"])
        values = {**source.config, **_fields(options["set"])}
        self._written(options, source_update(source, actor=source.owner, values=values))

    def _written(self, options: dict[str, Any], source: Source) -> None:
        document = source_document(source)
        when = "paused" if document["paused"] else document["next_at"] or "by hand"
        self._print(options, document, f"{source.name}: {source.kind} into {source.dataset_name}, next sync: {when}")


def _fields(pairs: list[str]) -> dict[str, str]:
    wrong = next((pair for pair in pairs if "=" not in pair), None)
    if wrong:
        raise CommandError(f"--set {wrong}: write FIELD=VALUE.")
    return {name.strip(): value for name, _, value in (pair.partition("=") for pair in pairs)}
