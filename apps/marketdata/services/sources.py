"""Writing down sources: create, change, pause, delete; and when each is asked next."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.accounts.credentials import credentials_of
from apps.accounts.models import User
from apps.accounts.services import audit
from apps.marketdata.engine.sources.config import SourceConfig
from apps.marketdata.engine.sources.registry import source_kind
from apps.marketdata.engine.sources.schedule import next_time
from apps.marketdata.models import Dataset, Source
from apps.marketdata.source_models import ACTIVE
from apps.ui.engine.config import FieldError, InvalidConfig, validated
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
BAD_NAME = N_("A source's name is 1 to 64 lower-case letters, digits, - or _, like us-daily.")
NAME_TAKEN = N_("There is a source %(name)s already. Choose another name.")
DATASET_TAKEN = N_("The dataset %(name)s belongs to somebody else. Choose another.")
NO_CREDENTIAL = N_("You have no secret called %(name)s. Keep it under your secrets first.")
OWNERS_SECRET = N_("Only %(owner)s can change a source that uses a secret of theirs.")
BUSY = N_("A sync of %(source)s is running. Stop it first.")
SYNC = "apps.marketdata.tasks.sync_source"


def source_config(source: Source) -> SourceConfig:
    """Return the configuration as its kind declares it. Raises ``Refusal``: a kind may be gone, or have changed."""
    return validated(source_kind(source.kind).config, source.config)


def source_create(*, owner: User, name: str, kind: str, values: Mapping[str, Any]) -> Source:
    """Write a source down and put it on its schedule. Raises ``InvalidConfig`` with an error per field."""
    name = name.strip()
    if not NAME.fullmatch(name):
        raise Refusal("bad_source_name", BAD_NAME, field="name")
    config = _checked(owner, name, kind, values)
    source = Source(
        owner=owner, name=name, kind=kind, config=config.model_dump(mode="json"), dataset_name=config.dataset or name
    )
    try:
        with transaction.atomic():
            source.save(force_insert=True)
            audit(owner, "source.create", source, {"name": name, "kind": kind})
            source_arm(source, timezone.now())
    except IntegrityError as error:
        raise Refusal("source_name_taken", NAME_TAKEN, status=409, field="name", name=name) from error
    return source


@transaction.atomic
def source_update(source: Source, *, actor: User, values: Mapping[str, Any]) -> Source:
    """Replace the configuration; what the kind remembered of the former one is forgotten.

    A secret is its owner's: with one in it, before or after, nobody else may say where it is sent.
    """
    secret = source.config.get("credential") or values.get("credential")
    if secret and actor.pk != source.owner_id:
        raise Refusal("owners_secret", OWNERS_SECRET, status=403, field="credential", owner=source.owner.username)
    config = _checked(source.owner, source.name, source.kind, values)
    before, source.config = source.config, config.model_dump(mode="json")
    if before != source.config:
        source.dataset_name, source.marks = config.dataset or source.name, {}
        source.failures, source.changed_at = 0, timezone.now()
        source.save()
        changed = sorted(name for name in source.config if source.config[name] != before.get(name))
        audit(actor, "source.change", source, {"name": source.name, "fields": changed})
    source_arm(source, timezone.now())
    return source


def _checked(owner: User, name: str, kind: str, values: Mapping[str, Any]) -> SourceConfig:
    config = validated(source_kind(kind).config, values)
    errors = []
    if config.credential and not credentials_of(owner).filter(name=config.credential).exists():
        errors.append(FieldError("credential", NO_CREDENTIAL, {"name": config.credential}))
    dataset = config.dataset or name
    if Dataset.objects.filter(name=dataset).exclude(owner=owner).exists():
        errors.append(FieldError("dataset", DATASET_TAKEN, {"name": dataset}))
    try:
        next_time(config, timezone.now())
    except Refusal as refusal:
        if refusal.code != "calendar_ended":  # that is the calendar's age, not the person's mistake
            errors.append(FieldError(refusal.field or "when", refusal.message, refusal.params))
    if errors:
        raise InvalidConfig(errors)
    return config


@transaction.atomic
def source_pause(source: Source, *, actor: User | None, paused: bool) -> Source:
    """Take the source off its schedule, or put it back; a sync that runs goes on."""
    if (source.paused_at is not None) != paused:
        source.paused_at = timezone.now() if paused else None
        source.failures = 0
        source.save(update_fields=["paused_at", "failures"])
        audit(actor, "source.pause" if paused else "source.resume", source, {"name": source.name})
    source_arm(source, timezone.now())
    return source


@transaction.atomic
def source_delete(source: Source, *, actor: User | None) -> None:
    """Forget a source and its history; the datasets it made stay, with their lineage."""
    if source.runs.filter(state__in=ACTIVE).exists():
        raise Refusal("sync_running", BUSY, status=409, source=source.name)
    _schedules(source).delete()
    audit(actor, "source.delete", source, {"name": source.name, "kind": source.kind})
    source.delete()


def _schedules(source: Source) -> Any:
    from django_q.models import Schedule

    return Schedule.objects.filter(name=f"sync {source.pk}", func=SYNC)


def source_arm(source: Source, now: datetime, *, retry_at: datetime | None = None) -> None:
    """Write down when the source is asked next; ``retry_at`` where that is sooner.

    The cluster's own repetition (the interval, else a day) only carries on where a worker died before
    it could write the next time down itself.
    """
    from django_q.models import Schedule

    moment, problem = _next(source, now)
    if moment is not None and retry_at is not None:
        moment = min(moment, retry_at)
    source.next_at, source.schedule_problem = moment, problem
    Source.objects.filter(pk=source.pk).update(next_at=moment, schedule_problem=problem)
    if moment is None and not problem:
        _schedules(source).delete()
        return
    by_minutes = source.config.get("when") == "interval"
    values = {
        "args": str(source.pk), "repeats": -1, "next_run": moment or now + timedelta(days=1),
        "schedule_type": Schedule.MINUTES if by_minutes else Schedule.DAILY,
        "minutes": int(source.config["minutes"]) if by_minutes else None,
    }  # fmt: skip
    # Two workers that arm at once leave one row: the name is not unique in the cluster's table.
    if not _schedules(source).update(**values):
        Schedule.objects.create(name=f"sync {source.pk}", func=SYNC, **values)


def _next(source: Source, now: datetime) -> tuple[datetime | None, dict[str, Any]]:
    """Return the next time, and why there is none though there should be."""
    if source.paused_at is not None:
        return None, {}
    try:
        return next_time(source_config(source), now), {}
    except Refusal as refusal:
        return None, {"code": refusal.code, "message": refusal.message, "params": refusal.params}
