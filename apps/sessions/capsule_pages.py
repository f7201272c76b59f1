"""The run capsule as pages show it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from apps.sessions.capsules import capsule_of
from apps.sessions.engine.capsule import leaves
from apps.sessions.models import Session
from apps.sessions.presenters import value_text
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_
from apps.ui.refusals import refusal_text

#: The parts in their order, beside the configuration, which the page shows anyway.
GROUPS = {
    "code": N_("Code"), "data": N_("Data"), "benchmark": N_("Benchmark"), "checkpoint": N_("Checkpoint"),
    "seeds": N_("Seed"), "libraries": N_("Libraries"), "device": N_("Device"), "environment": N_("Environment"),
}  # fmt: skip

HASH = re.compile("[0-9a-f]{40,64}")


@dataclass(frozen=True)
class CapsuleGroup:
    """One part: its title and (name, value) of every leaf."""

    title: str
    rows: list[tuple[str, str]]


def short_text(value: Any) -> str:
    """Return a value as people read it; of a hash its beginning, since the file has all of it."""
    text = value_text(value)
    return f"{text[:12]}…" if HASH.fullmatch(text) else text


def path_text(path: str) -> str:
    """Return where a value of a capsule stands, its part by the word of the page."""
    group, _dot, rest = path.partition(".")
    title = _("Configuration") if group == "config" else _(GROUPS.get(group, group))
    return f"{title}: {rest}" if rest else title


def capsule_groups(document: Mapping[str, Any]) -> list[CapsuleGroup]:
    """Return the parts of a capsule that have something to say."""
    groups = []
    for key, title in GROUPS.items():
        found = leaves(document.get(key))
        rows = [(name.lstrip(".") or _(title), short_text(value)) for name, value in found if value != {}]
        if rows:
            groups.append(CapsuleGroup(_(title), rows))
    return groups


def capsule_context(session: Session) -> dict[str, Any]:
    """Return what the page shows of the capsule: its parts, its hash, or why there is none."""
    if not session.capsule_hash:
        return {"capsule": [], "capsule_error": ""}
    try:
        document = capsule_of(session)
    except Refusal as refusal:
        return {"capsule": [], "capsule_error": refusal_text(refusal)}
    changed = [str(one["attempt"]) for one in document.get("earlier", [])]
    return {"capsule": capsule_groups(document), "capsule_error": "", "capsule_changed": ", ".join(changed)}
