"""Reading the audit: filters, and the two forms it is exported in."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from datetime import datetime, time, timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from apps.accounts.audit_chain import content
from apps.accounts.models import AuditEntry, AuditLink, User
from apps.accounts.permissions import require_permission
from apps.ui.tables import harmless

BATCH = 1_000
#: What acts are done to, by the label of its model → the page that shows one; "" where there is none.
OBJECTS = {
    "strategies.strategy": "strategies:detail",
    "quant_sessions.session": "sessions:detail",
    "marketdata.dataset": "marketdata:detail",
    "marketdata.importjob": "marketdata:import_job",
    "marketdata.source": "marketdata:source",
    "marketdata.feed": "marketdata:feed",
    "marketdata.calendar": "",
    "accounts.user": "accounts:person",
    "accounts.invitation": "",
    "accounts.apitoken": "",
    "accounts.credential": "",
    "accounts.share": "",
    "auth.group": "accounts:group",
    "quant_sessions.worker": "",
}


def audit_list(user: User | None, given: Mapping[str, Any]) -> QuerySet[AuditEntry]:
    """Return the entries that fit, newest first; for who may read the audit, and the command line (None)."""
    if user is not None:
        require_permission(user, "audit.read")
    rows = AuditEntry.objects.select_related("actor")
    if given.get("actor"):
        rows = rows.filter(actor__username__iexact=given["actor"])
    if given.get("action"):
        rows = rows.filter(action__startswith=given["action"])
    if given.get("object_type"):
        rows = rows.filter(object_type=given["object_type"])
    if given.get("object_id"):
        rows = rows.filter(object_id=given["object_id"])
    if given.get("start"):
        rows = rows.filter(created__gte=_midnight(given["start"]))
    if given.get("end"):
        rows = rows.filter(created__lt=_midnight(given["end"]) + timedelta(days=1))
    return rows


def _midnight(day: Any) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


def actions() -> list[str]:
    """Return every action that is in the trail, for the filter."""
    return list(AuditEntry.objects.order_by("action").values_list("action", flat=True).distinct()[:300])


def _chained(rows: QuerySet[AuditEntry]) -> Iterator[dict[str, Any]]:
    """Yield entries, oldest first, with their place in the chain."""
    last = 0
    ordered = rows.order_by("pk")
    while batch := list(ordered.filter(pk__gt=last)[:BATCH]):
        last = batch[-1].pk
        links = {one.entry_id: one for one in AuditLink.objects.filter(entry_id__in=[entry.pk for entry in batch])}
        for entry in batch:
            link = links.get(entry.pk)
            yield {
                **content(entry),
                "actor": entry.actor_id,
                "actor_name": entry.actor.username if entry.actor else None,
                "position": link.position if link else None,
                "digest": link.digest if link else None,
                "chain": link.chain if link else None,
            }


def as_jsonl(rows: QuerySet[AuditEntry]) -> Iterator[str]:
    """Yield one JSON document a line; each can be checked against ``digest`` and ``chain``."""
    for row in _chained(rows):
        yield json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n"


def as_csv(rows: QuerySet[AuditEntry]) -> Iterator[str]:
    """Yield CSV with a header; cells that a spreadsheet would run are quoted with an apostrophe."""
    names = ["position", "created", "actor_name", "action", "object_type", "object_id", "details", "address", "chain"]
    yield ",".join(names) + "\r\n"
    for row in _chained(rows):
        buffer = io.StringIO()
        cells = [json.dumps(row[name], ensure_ascii=False) if name == "details" else row[name] for name in names]
        csv.writer(buffer).writerow([harmless(cell) for cell in cells])
        yield buffer.getvalue()
