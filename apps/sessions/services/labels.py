"""Tags and notes of a session."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction

from apps.accounts.models import User
from apps.accounts.permissions import require_permission
from apps.accounts.services import audit
from apps.sessions.models import Session, SessionTag
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

MOST_TAGS, LONGEST_TAG, LONGEST_NOTES = 20, 32, 10_000


def session_label(
    *, session: Session, actor: User, tags: Iterable[str] | None = None, notes: str | None = None
) -> Session:
    """Replace the tags, or the notes, of a session; None leaves them as they are.

    Raises ``Refusal`` ``invalid_tags`` or ``notes_too_long`` (422).
    """
    require_permission(actor, "session.run")
    wanted = None if tags is None else clean_tags(tags)
    if notes is not None and len(notes) > LONGEST_NOTES:
        raise Refusal("notes_too_long", N_("Notes may have %(most)s characters."), field="notes", most=LONGEST_NOTES)
    with transaction.atomic():
        changed: dict[str, object] = {}
        if wanted is not None:
            changed["tags"] = wanted
            session.tags.exclude(name__in=wanted).delete()
            known = set(session.tags.values_list("name", flat=True))
            SessionTag.objects.bulk_create(
                [SessionTag(session=session, name=name) for name in wanted if name not in known], ignore_conflicts=True
            )
        if notes is not None:
            session.notes = notes.replace("\x00", "").strip()
            Session.objects.filter(pk=session.pk).update(notes=session.notes)
            changed["notes"] = len(session.notes)
        if changed:
            audit(actor, "session.label", session, changed)
    return session


def split_tags(text: str) -> list[str]:
    """Return the tags of a line in which commas part them, Chinese ones too."""
    return [word for word in text.replace("\uff0c", ",").split(",") if word.strip()]


def clean_tags(tags: Iterable[str]) -> list[str]:
    """Return tags trimmed, each once, in order; refuse too many or too long ones."""
    found = list(dict.fromkeys(" ".join(str(tag).replace("\x00", "").split()) for tag in tags))
    found = [tag for tag in found if tag]
    if len(found) > MOST_TAGS or any(len(tag) > LONGEST_TAG or "," in tag for tag in found):
        raise Refusal(
            "invalid_tags",
            N_("A session may have %(most)s tags of up to %(longest)s characters, without commas."),
            field="tags",
            most=MOST_TAGS,
            longest=LONGEST_TAG,
        )
    return found
