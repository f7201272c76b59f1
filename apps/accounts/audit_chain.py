"""Seals audit entries into the chain, and checks it.

Entries are written in the transaction of the act; they are linked right after it commits, in a
transaction of their own, so that a busy act never waits for another one's commit (ADR 0050).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from django.db import DatabaseError, connection, transaction

from apps.accounts.engine.chain import GENESIS, digest, link
from apps.accounts.models import AuditEntry, AuditLink

logger = logging.getLogger(__name__)
#: Entries below the last linked one that may still be unlinked: they committed late.
LATE = 5_000
BATCH = 2_000
#: PostgreSQL's advisory lock of the chain; SQLite has one writer anyway.
LOCK = int.from_bytes(hashlib.sha256(b"quant-platform audit chain").digest()[:7], "big")


@dataclass(frozen=True)
class Finding:
    """One place where table and chain disagree."""

    position: int | None
    entry_id: int | None
    problem: str


def content(entry: AuditEntry) -> dict[str, Any]:
    """Return what an entry says, as the chain commits to it."""
    return {
        "id": entry.pk,
        "actor": entry.actor_id,
        "action": entry.action,
        "object_type": entry.object_type,
        "object_id": entry.object_id,
        "details": entry.details,
        "address": entry.address,
        "created": entry.created.astimezone(UTC).isoformat(timespec="microseconds"),
    }


def seal() -> int:
    """Link every entry that is not linked yet, oldest first; return how many were."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        last = AuditLink.objects.order_by("-position").first()
        position, previous = (last.position, last.chain) if last else (0, GENESIS)
        links = []
        for entry in _unlinked(last):
            position += 1
            value = digest(content(entry))
            previous = link(previous, position, entry.pk, value)
            links.append(AuditLink(position=position, entry_id=entry.pk, digest=value, chain=previous))
        AuditLink.objects.bulk_create(links, batch_size=500)
    return len(links)


def _unlinked(last: AuditLink | None) -> list[AuditEntry]:
    linked = AuditLink.objects.order_by("-entry_id").values_list("entry_id", flat=True)
    floor = (linked.first() or 0) - LATE if last else 0
    known = set(AuditLink.objects.filter(entry_id__gt=floor).values_list("entry_id", flat=True))
    rows = AuditEntry.objects.filter(pk__gt=floor).order_by("pk")
    return [entry for entry in rows.iterator(BATCH) if entry.pk not in known]


def seal_quietly() -> None:
    """Seal after a commit; what fails here is sealed with the next entry, and said in the log."""
    try:
        seal()
    except DatabaseError:
        logger.exception("the audit chain could not be extended; the next entry will try again")


def head() -> tuple[int, str]:
    """Return position and value of the newest link; (0, GENESIS) of an empty chain."""
    last = AuditLink.objects.order_by("-position").first()
    return (last.position, last.chain) if last else (0, GENESIS)


def verify(expected_head: str = "") -> list[Finding]:
    """Return every disagreement of table and chain, in order; none means that nothing was changed.

    ``expected_head`` is a chain value printed earlier: it must still be in the chain, or the tail was cut.
    """
    seal()
    found = list(_walk())
    if expected_head and not AuditLink.objects.filter(chain=expected_head).exists():
        found.append(Finding(None, None, "the expected link is not in the chain: entries at its end were removed"))
    return found


def _walk() -> Iterator[Finding]:
    previous, expected = GENESIS, 1
    for start in range(0, AuditLink.objects.count() + BATCH, BATCH):
        links = list(AuditLink.objects.order_by("position")[start : start + BATCH])
        entries = AuditEntry.objects.in_bulk([one.entry_id for one in links])
        for one in links:
            if one.position != expected:
                yield Finding(expected, None, f"links {expected} to {one.position - 1} are missing")
            yield from _check(one, previous, entries.get(one.entry_id))
            previous, expected = one.chain, one.position + 1


def _check(one: AuditLink, previous: str, entry: AuditEntry | None) -> Iterator[Finding]:
    if entry is None:
        yield Finding(one.position, one.entry_id, "the entry was removed")
    elif digest(content(entry)) != one.digest:
        yield Finding(one.position, one.entry_id, "the entry was changed")
    if link(previous, one.position, one.entry_id, one.digest) != one.chain:
        yield Finding(one.position, one.entry_id, "the link does not follow from the one before it")
