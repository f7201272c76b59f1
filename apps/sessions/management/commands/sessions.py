"""Lists and controls sessions from the command line."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.http import Http404

from apps.accounts.models import User
from apps.sessions import comparing
from apps.sessions.capsules import capsule_of
from apps.sessions.engine.states import HUMAN, State
from apps.sessions.engine.states import Command as Order
from apps.sessions.limits import given_limits
from apps.sessions.management.following import acting_user, outcome, refused
from apps.sessions.management.starting import limit_arguments, override_argument
from apps.sessions.models import Session
from apps.sessions.notices import reason_text
from apps.sessions.selectors import session_for_user, session_list, session_owned
from apps.sessions.services.commands import give
from apps.sessions.services.deleting import attached, check_deletable, session_delete
from apps.sessions.services.labels import session_label, split_tags
from apps.sessions.services.sessions import session_again, session_clone
from apps.sessions.waiting import Queue, queue_of
from apps.strategies.engine.overrides import parse_overrides
from apps.strategies.engine.registry import strategy_type
from apps.ui.commands import number_in
from apps.ui.engine.refusal import Refusal

NEW = ("clone", "again")
READ = ("show", "capsule", *NEW)
ACTIONS = ["list", "show", "compare", "capsule", *map(str, HUMAN), *NEW, "label", "delete"]


def brief(session: Session, queue: Queue | None = None) -> dict[str, Any]:
    """Return a session in short; for one that waits the reason says for what and how long."""
    waits = queue is not None and session.status == State.QUEUED
    return {
        "id": session.pk,
        "title": session.title,
        "kind": session.kind,
        "status": session.status,
        "progress": round(session.progress, 4),
        "owner": session.owner.username,
        "created": session.created.isoformat(timespec="seconds"),
        "reason": (queue.sentence(session) if waits and queue else reason_text(session.reason_code, session.reason))
        or None,
    }


class Command(BaseCommand):
    help = (
        "List sessions, show one or its run capsule, compare several; pause, resume, cancel, retry, clone, label, "
        "delete one, or run it again with changes."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", nargs="?", default="list", choices=ACTIONS)
        parser.add_argument("session", nargs="*", type=int)
        parser.add_argument("--user", default="", help="who acts; the first administrator without")
        parser.add_argument("--status", default="", choices=["", *map(str, State)], help="only sessions in this state")
        parser.add_argument("--tag", default="", help="only sessions with this tag")
        parser.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", help="what clone or again changes"
        )
        limit_arguments(parser)
        override_argument(parser)
        parser.add_argument("--tags", help="label: the tags, separated by commas; empty removes them")
        parser.add_argument("--notes", help="label: the notes; empty removes them")
        parser.add_argument("--yes", action="store_true", help="delete: do it, instead of showing what would go")
        parser.add_argument("--limit", type=number_in(1, 10_000), default=25)
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        user = acting_user(options["user"])
        if options["action"] == "list":
            found = session_list(user, status=options["status"], tag=options["tag"])[: options["limit"]]
            queue = queue_of(found)
            return self._print([brief(row, queue) for row in found], options["json"])
        if not options["session"]:
            raise CommandError(f"{options['action']} needs the number of a session.")
        if options["action"] == "compare":
            return self._compare(user, options["session"], options["json"])
        number = options["session"][0]
        try:
            if options["action"] == "delete":
                return self._delete(user, session_owned(user, number), options)
            session = session_for_user(user, number, write=options["action"] not in READ)
            if options["action"] == "show":
                document = {
                    **outcome(session),
                    **brief(session, queue_of([session])),
                    "config": session.config,
                    "params": session.params,
                }
                return self.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, default=str))
            if options["action"] == "capsule":
                return self.stdout.write(json.dumps(capsule_of(session), indent=1, ensure_ascii=False))
            moved = self._moved(user, session, options)
        except Http404:
            raise CommandError(f"There is no session {number}.") from None
        except Refusal as refusal:
            raise refused(refusal) from refusal
        return self._print([brief(moved)], options["json"])

    def _moved(self, user: User, session: Session, options: dict[str, Any]) -> Session:
        """Do what the action says and return the session it concerns, a new one for ``clone`` and ``again``."""
        action = options["action"]
        if action in NEW:
            overrides = parse_overrides(strategy_type(session.version.strategy.type).config, options["set"])
            if action == "clone":
                return session_clone(session=session, actor=user, overrides=overrides)
            reason = options["override_reason"].strip()
            params = {"override_reason": reason} if reason else {}
            return session_again(
                session=session, actor=user, overrides=overrides, params=params, **given_limits(options)
            )
        if action == "label":
            tags = None if options["tags"] is None else split_tags(options["tags"])
            return session_label(session=session, actor=user, tags=tags, notes=options["notes"])
        return give(session=session, command=Order(action), actor=user, **given_limits(options))

    def _delete(self, user: User, session: Session, options: dict[str, Any]) -> None:
        """Show what hangs on the session; delete only with ``--yes``."""
        if options["yes"]:
            found = session_delete(session=session, actor=user)
        else:
            check_deletable(session)
            found = attached(session)
        document = {"session": options["session"][0], "done": options["yes"], **found.document()}
        if options["json"]:
            return self.stdout.write(json.dumps(document, indent=1))
        for word in ("deleted", "kept"):
            self.stdout.write(f"{word}: " + ", ".join(f"{name} {value}" for name, value in document[word].items()))
        if not options["yes"]:
            self.stdout.write("Nothing is deleted yet: add --yes.")
        return None

    def _compare(self, user: User, numbers: list[int], as_json: bool) -> None:
        try:
            choice = comparing.choice_of([str(number) for number in numbers], "", "")
            found = comparing.chosen_sessions(user, choice.ids)
        except Refusal as refusal:
            raise refused(refusal) from refusal
        if not found:
            raise CommandError("There is no session of such a number.")
        if as_json:
            return self.stdout.write(json.dumps(comparing.document(found, choice), ensure_ascii=False, default=str))
        tables = comparing.figure_rows(found) + [row for row in comparing.config_rows(found) if row.differs]
        self.stdout.write("".ljust(24) + "".join(str(session.pk).rjust(16) for session in found))
        for row in tables + comparing.resource_rows(found):
            self.stdout.write(row.label[:23].ljust(24) + "".join(cell[:15].rjust(16) for cell in row.cells))
        return None

    def _print(self, rows: list[dict[str, Any]], as_json: bool) -> None:
        if as_json:
            return self.stdout.write(json.dumps(rows, indent=2, ensure_ascii=False))
        for row in rows:
            left = f"{row['id']:>6}  {row['status']:<12} {row['progress']:>5.0%}  {row['kind']:<9}"
            self.stdout.write(f"{left} {row['title']}  {row['reason'] or ''}".rstrip())
        if not rows:
            self.stdout.write("No session.")
        return None
