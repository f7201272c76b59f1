"""Reading sources and their syncs; who may see what is decided here."""

from __future__ import annotations

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import Http404

from apps.accounts.models import User
from apps.accounts.shares import shared_ids
from apps.marketdata.models import Dataset, Source, SyncRun
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

UNKNOWN = N_("There is no source %(name)s. You can use %(known)s.")


def source_visible(user: User | None) -> QuerySet[Source]:
    """Sources ``user`` may see: their own and those shared with them; an administrator and the program (None) all."""
    if user is None or user.is_administrator:
        return Source.objects.all()
    return Source.objects.filter(Q(owner=user) | Q(pk__in=shared_ids(user, Source)))


def source_for_user(user: User, pk: int, *, run: bool = False, edit: bool = False) -> Source:
    """Return the source, or Http404 where ``user`` may not see, ``run`` (sync, stop, pause) or ``edit`` it.

    Who it is shared with to edit may run it. What it fetches, and into which dataset of its owner, stays the
    owner's and administrators' to say.
    """
    rows = source_visible(user).select_related("owner")
    if not user.is_administrator:
        if edit:
            rows = rows.filter(owner=user)
        elif run:
            rows = rows.filter(Q(owner=user) | Q(pk__in=shared_ids(user, Source, write=True)))
    found = rows.filter(pk=pk).first() if pk < 2**63 else None
    if found is None:
        raise Http404
    return found


def may_run(user: User, source: Source) -> bool:
    """Tell whether ``user`` may sync, stop and pause it."""
    if user.is_administrator or source.owner_id == user.pk:
        return True
    return bool(shared_ids(user, Source, write=True).filter(object_id=source.pk).exists())


def may_edit(user: User, source: Source) -> bool:
    return user.is_administrator or source.owner_id == user.pk


def source_by_name(user: User | None, name: str) -> Source:
    """Return the source of that name. Raises ``Refusal`` ``unknown_source`` (404) that names what there is."""
    rows = source_visible(user)
    found = rows.filter(name=name).select_related("owner").first()
    if found is None:
        known = ", ".join(rows.values_list("name", flat=True)[:12]) or "–"
        raise Refusal("unknown_source", UNKNOWN, status=404, field="source", name=name[:64], known=known)
    return found


def source_list(user: User | None, *, search: str = "", kind: str = "") -> QuerySet[Source]:
    """Return what ``user`` may see, by name, each with its newest sync as ``last_state``, ``last_at``."""
    newest = SyncRun.objects.filter(source=OuterRef("pk")).order_by("-id")
    rows = source_visible(user).select_related("owner")
    if search:
        rows = rows.filter(Q(name__icontains=search) | Q(dataset_name__icontains=search))
    if kind:
        rows = rows.filter(kind=kind)
    return rows.annotate(
        last_state=Subquery(newest.values("state")[:1]), last_at=Subquery(newest.values("created")[:1])
    ).order_by("name")


def run_list(source: Source) -> QuerySet[SyncRun]:
    """Return the syncs of a source, newest first."""
    return source.runs.select_related("dataset", "requested_by")


def run_active(source: Source) -> SyncRun | None:
    """Return the sync that waits or runs."""
    from apps.marketdata.source_models import ACTIVE

    return source.runs.filter(state__in=ACTIVE).first()


def sources_into(user: User, dataset: Dataset) -> QuerySet[Source]:
    """Return the sources ``user`` may see that write the dataset's versions."""
    return source_list(user).filter(dataset_name=dataset.name, owner=dataset.owner_id)


def held_dataset(source: Source) -> Dataset | None:
    """Return the version a sync adds to: the newest of the name that is not put away."""
    return (
        Dataset.objects.filter(name=source.dataset_name, owner=source.owner_id, archived_at=None)
        .order_by("-version")
        .first()
    )
