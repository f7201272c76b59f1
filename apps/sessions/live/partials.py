"""The fragments of the session pages, drawn for a page, for htmx and for a push in the same way."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterable

from django.template.loader import render_to_string
from django.utils import timezone, translation

from apps.sessions.live.follower import Look
from apps.sessions.live.source import own_connection
from apps.sessions.models import Session
from apps.sessions.pages import detail_context, row_context, session_of

#: View → fragment → (template, keys of the payload that change it).
FRAGMENTS: dict[str, dict[str, tuple[str, frozenset[str]]]] = {
    "detail": {
        "status": ("status", frozenset({"status"})),
        "actions": ("actions", frozenset({"status", "result"})),
        "notice": ("notice", frozenset({"status"})),
        "progress": ("progress", frozenset({"status", "progress", "checkpoint"})),
        "result": ("result", frozenset({"status", "result"})),
        "captions": ("captions", frozenset({"status", "findings"})),
        "log": ("log", frozenset({"logs"})),
        "resources": ("resources", frozenset({"status", "resources"})),
        "flags": ("flags", frozenset({"flags"})),
        "checkpoints": ("checkpoints", frozenset({"status", "checkpoint"})),
        "attempts": ("attempts", frozenset({"status"})),
        "verification": ("verification", frozenset({"status"})),
        "environment": ("environment", frozenset({"status"})),
    },
    "row": {"row": ("row", frozenset({"status", "progress", "result"}))},
    "row-owner": {"row": ("row", frozenset({"status", "progress", "result"}))},
    "none": {},
}
#: Without the chart library the curves travel as server-made SVG, with the findings' rhythm.
FRAGMENTS["detail-svg"] = {name: entry for name, entry in FRAGMENTS["detail"].items() if name != "captions"} | {
    "curves": ("curves", frozenset({"status", "findings"}))
}


# Who may only watch sees the same without the commands.
FRAGMENTS |= {"detail-watch": FRAGMENTS["detail"], "detail-watch-svg": FRAGMENTS["detail-svg"]}


def register(view: str, name: str, template: str, changed_by: Iterable[str]) -> None:
    """Add a fragment for pages of other rooms; ``template`` is a path, its context that of a row."""
    FRAGMENTS.setdefault(view, {})[name] = (template, frozenset(changed_by))


def named(view: str, changes: frozenset[str]) -> list[str]:
    """Return the fragments of a view that the changes touch."""
    return [name for name, (_, keys) in FRAGMENTS.get(view, {}).items() if keys & changes]


def template_of(view: str, name: str) -> str:
    template = FRAGMENTS[view][name][0]
    return template if "/" in template else f"sessions/partials/{template}.html"


@own_connection
def draw(session_id: int, changes: frozenset[str], looks: tuple[Look, ...]) -> dict[Look, str]:
    """Return the fragments for each look as one text of out-of-band swaps, empty where none changed."""
    session = session_of(session_id)
    drawn: dict[Look, str] = {}
    for look in looks:
        names = named(look.view, changes) if session else []
        with translation.override(look.language), timezone.override(_zone(look.time_zone)):
            drawn[look] = "".join(fragments(session, look.view, names)) if session and names else ""
    return drawn


def fragments(session: Session, view: str, names: list[str]) -> list[str]:
    """Return the named fragments of a view as out-of-band swaps."""
    if view.startswith("detail"):
        context = detail_context(session, frozenset(names), watching=view.startswith("detail-watch"))
    else:
        context = row_context(session, show_owner=view == "row-owner")
    return [render_to_string(template_of(view, name), {**context, "oob": True}).strip() for name in names]


def _zone(name: str) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return zoneinfo.ZoneInfo("UTC")
