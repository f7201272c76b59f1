"""What may change of a dataset without changing it: its tags and the note of what its source allows."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction

from apps.accounts.models import User
from apps.accounts.services import audit
from apps.marketdata.models import Dataset
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

MOST_TAGS, LONGEST_TAG, LONGEST_LICENCE = 8, 32, 120
BAD_TAGS = N_("A dataset may have %(most)s tags of up to %(longest)s characters, without commas.")
LONG_TEXT = N_("Say it in at most %(most)s characters.")


def split_tags(text: str) -> list[str]:
    """Return the tags of a line in which commas part them, Chinese ones too."""
    return [word.strip() for word in text.replace("\uff0c", ",").split(",") if word.strip()]


def clean_tags(tags: Iterable[str]) -> list[str]:
    """Return tags in lower case, trimmed, each once, in order; refuses (``invalid_tags``) too many or too long ones."""
    found = dict.fromkeys(" ".join(str(tag).replace("\x00", "").lower().split()) for tag in tags)
    kept = [tag for tag in found if tag]
    if len(kept) > MOST_TAGS or any(len(tag) > LONGEST_TAG or "," in tag for tag in kept):
        raise Refusal("invalid_tags", BAD_TAGS, field="tags", most=MOST_TAGS, longest=LONGEST_TAG)
    if len(tag_text(kept)) > Dataset._meta.get_field("tags").max_length:  # type: ignore[operator]
        raise Refusal("invalid_tags", BAD_TAGS, field="tags", most=MOST_TAGS, longest=LONGEST_TAG)
    return kept


def tag_text(tags: Iterable[str]) -> str:
    """Return tags as the catalogue keeps them: between commas, ",a-shares,daily,"."""
    kept = list(tags)
    return f",{','.join(kept)}," if kept else ""


def clean_licence(text: str) -> str:
    """Return the note on one line; refuses (``text_too_long``) more than ``LONGEST_LICENCE`` characters."""
    plain = " ".join(text.replace("\x00", "").split())
    if len(plain) > LONGEST_LICENCE:
        raise Refusal("text_too_long", LONG_TEXT, field="licence", most=LONGEST_LICENCE)
    return plain


def dataset_label(
    dataset: Dataset, *, actor: User | None, tags: Iterable[str] | None = None, licence: str | None = None
) -> Dataset:
    """Replace the tags, or the licence note, of a dataset; None leaves them as they are. The content stays.

    Raises ``Refusal`` ``invalid_tags`` or ``text_too_long`` (422).
    """
    changed: dict[str, str] = {}
    if tags is not None:
        changed["tags"] = tag_text(clean_tags(tags))
    if licence is not None:
        changed["licence"] = clean_licence(licence)
    if not changed:
        return dataset
    for name, value in changed.items():
        setattr(dataset, name, value)
    with transaction.atomic():
        dataset.save(update_fields=list(changed))
        audit(actor, "dataset.label", dataset, {"name": str(dataset), **changed})
    return dataset
