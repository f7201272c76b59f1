"""Reading the catalogue; who may see what is decided here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from django.conf import settings
from django.db.models import F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import Http404

from apps.accounts.models import User
from apps.accounts.permissions import has_permission
from apps.accounts.shares import shared_ids, stand_in, who
from apps.marketdata.engine import store
from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.corporate import CorporateAction, Mode, adjusted
from apps.marketdata.engine.universe import Membership
from apps.marketdata.models import (
    Adjustment,
    CalendarDay,
    Content,
    Dataset,
    DatasetSymbol,
    ImportJob,
    QualityCheck,
    QualityFinding,
    Verdict,
)
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_
from apps.ui.prepared import Listed, prepared

if TYPE_CHECKING:
    from apps.marketdata.engine.tape import Tape

UNKNOWN = N_("There is no dataset %(name)s. You can use %(known)s.")
UNKNOWN_VERSION = N_("%(name)s has no version %(version)s. It has %(known)s.")
UNKNOWN_SYMBOL = N_("No dataset of yours has the symbol %(symbol)s. There are %(known)s.")
NOT_BARS = N_(
    "%(dataset)s holds %(content)s, not bars. Make bars of it first: on its page, or with the command derive_bars."
)
NO_TAPE = N_("%(dataset)s holds bars, neither trades nor an order book.")
SORTS: Mapping[str, str] = {
    "name": "name", "verdict": "verdict", "rows": "rows", "symbols": "symbol_count",
    "start": "start", "end": "end", "created": "created", "frequency": "frequency", "gaps": "gaps",
}  # fmt: skip


def dataset_visible(user: User | None) -> QuerySet[Dataset]:
    """Datasets ``user`` may see: the built-in ones, their own and those shared with them.

    An administrator, and the program itself (None), see all.
    """
    if user is None or user.is_administrator:
        return Dataset.objects.all()
    return Dataset.objects.filter(Q(owner=None) | Q(owner=user) | Q(pk__in=shared_ids(user, Dataset)))


def dataset_writable(user: User | None) -> QuerySet[Dataset]:
    """Datasets whose labels ``user`` may change: their own and those shared for writing; all for who sees all."""
    if user is None or user.is_administrator:
        return Dataset.objects.all()
    return Dataset.objects.filter(Q(owner=user) | Q(pk__in=shared_ids(user, Dataset, write=True)))


def dataset_for_user(user: User, pk: int, write: bool = False) -> Dataset:
    """Return the dataset, or Http404 where ``user`` may not see it (with ``write``: change it)."""
    person, role = who(user)
    dataset = _dataset.first(person, pk, role=role, write=write)
    if dataset is None:
        raise Http404
    return dataset


def dataset_editable(user: User, pk: int) -> bool:
    """Tell whether ``user`` may change the labels of the dataset."""
    person, role = who(user)
    return _dataset.first(person, pk, role=role, write=True) is not None


@prepared
def _dataset(person: int, pk: int, *, role: str, write: bool) -> QuerySet[Dataset]:
    user = stand_in(person, role)
    rows = dataset_writable(user) if write else dataset_visible(user)
    return rows.select_related("owner", "parent").filter(pk=pk)


def dataset_versions(user: User | None, dataset: Dataset) -> list[Dataset]:
    """Return what it makes sense to compare ``dataset`` with: its other versions and where it came from."""
    related = Q(name=dataset.name) | Q(pk=dataset.parent_id) | Q(parent=dataset)
    return list(dataset_visible(user).filter(related).exclude(pk=dataset.pk).order_by("name", "-version")[:50])


def dataset_by_name(user: User | None, name: str, *, write: bool = False) -> Dataset:
    """Return the newest version of ``name``, or the one of ``name@version``; with ``write`` one ``user`` may change.

    Raises ``Refusal`` ``unknown_dataset`` (404) that names what there is.
    """
    base, _, version = name.partition("@")
    number = {"version": int(version)} if version.isdecimal() and len(version) < 9 else {}
    newest = None
    if number or not version:
        newest = _numbered.first(base, number["version"]) if number else _newest.first(base)
    # The plain question is asked first: most data is everybody's or one's own, and who may see more need not be asked.
    if newest is not None and (user is None or user.is_administrator or newest.owner_id in _owners(user, write)):
        return newest
    rows = (dataset_writable(user) if write else dataset_visible(user)).filter(archived_at=None)
    versions = rows.filter(name=base).order_by("-version")
    found = versions.filter(**number).first() if newest is not None else None
    if found is not None:
        return found
    numbers = ", ".join(f"{base}@{number}" for number in versions.values_list("version", flat=True)[:12])
    if numbers:
        raise Refusal(
            "unknown_dataset", UNKNOWN_VERSION, status=404, field="dataset", name=base, version=version, known=numbers
        )
    known = ", ".join(rows.order_by("name").values_list("name", flat=True).distinct()[:12]) or "–"
    raise Refusal("unknown_dataset", UNKNOWN, status=404, field="dataset", name=name, known=known)


@prepared
def _newest(name: str) -> QuerySet[Dataset]:
    return Dataset.objects.filter(name=name, archived_at=None).order_by("-version")[:1]


@prepared
def _numbered(name: str, version: int) -> QuerySet[Dataset]:
    return Dataset.objects.filter(name=name, archived_at=None, version=version)[:1]


def _owners(user: User, write: bool) -> tuple[int | None, ...]:
    """Return the owners whose data ``user`` may see, or change, without a share."""
    return (user.pk,) if write else (user.pk, None)


def dataset_to_override(user: User, name: str) -> Dataset | None:
    """Return the dataset called ``name`` where its verdict blocks runs and ``user`` may run on it with a reason."""
    if not has_permission(user, "data.override"):
        return None
    try:
        found = dataset_by_name(user, name)
    except Refusal:
        return None
    return found if found.verdict == Verdict.BLOCKED else None


def bar_names(user: User | None) -> QuerySet[Dataset, str]:
    """Return the names of the datasets of bars ``user`` may see, sorted."""
    rows = dataset_visible(user).filter(archived_at=None, content=Content.BARS)
    return rows.order_by("name").values_list("name", flat=True).distinct()


def dataset_with_symbol(user: User | None, symbol: str) -> Dataset:
    """Return the newest dataset ``user`` may see that has ``symbol``, adjusted prices before raw ones.

    Raises ``Refusal`` ``unknown_symbol`` (404) that names what there is.
    """
    person, role = who(user)
    found = _with_symbol.first(person, symbol, role=role)
    if found is None:
        rows = dataset_visible(user).filter(archived_at=None, content=Content.BARS)
        names = DatasetSymbol.objects.filter(dataset__in=rows).order_by("symbol").values_list("symbol", flat=True)
        known = ", ".join(names.distinct()[:12]) or "–"
        raise Refusal("unknown_symbol", UNKNOWN_SYMBOL, status=404, field="symbol", symbol=symbol[:40], known=known)
    return found


@prepared
def _with_symbol(person: int, symbol: str, *, role: str) -> QuerySet[Dataset]:
    rows = dataset_visible(stand_in(person, role)).filter(archived_at=None, content=Content.BARS)
    return rows.filter(symbols__symbol=symbol).order_by("adjustment", "-created")[:1]


def datasets_listed(
    user: User | None, *, sort: str = "name", newest_only: bool = True, **filters: str
) -> Listed[Dataset] | QuerySet[Dataset]:
    """``with_gaps`` of ``dataset_list`` for reading a page at a time."""
    if any(filters.values()):
        return with_gaps(dataset_list(user, sort=sort, newest_only=newest_only, **filters))
    person, role = who(user)
    known = sort if sort.lstrip("-") in SORTS else "name"
    return _datasets.listed(person, role=role, sort=known, newest_only=newest_only)


@prepared
def _datasets(person: int, *, role: str, sort: str, newest_only: bool) -> QuerySet[Dataset]:
    return with_gaps(dataset_list(stand_in(person, role), sort=sort, newest_only=newest_only))


def bars_newest(user: User | None) -> list[Dataset]:
    """Return the bars ``user`` may see by name, the newest version of each first."""
    person, role = who(user)
    return _bars(person, role=role)


@prepared
def _bars(person: int, *, role: str) -> QuerySet[Dataset]:
    rows = dataset_visible(stand_in(person, role)).filter(archived_at=None, content=Content.BARS)
    return rows.order_by("name", "-version")


def dataset_list(
    user: User | None,
    *,
    search: str = "",
    verdict: str = "",
    frequency: str = "",
    tag: str = "",
    content: str = "",
    sort: str = "name",
    newest_only: bool = True,
) -> QuerySet[Dataset]:
    """Return what ``user`` may see, filtered; ``sort`` is a key of ``SORTS``, with ``-`` from the end."""
    rows = dataset_visible(user).filter(archived_at=None).select_related("owner")
    if newest_only:
        newest = Dataset.objects.filter(name=OuterRef("name"), archived_at=None).order_by("-version")
        rows = rows.filter(version=Subquery(newest.values("version")[:1]))
    if search:
        found = Q(name__icontains=search) | Q(title__icontains=search) | Q(source__icontains=search)
        rows = rows.filter(found | Q(pk__in=Dataset.objects.filter(symbols__symbol__iexact=search).values("pk")))
    if verdict:
        rows = rows.filter(verdict=verdict)
    if frequency:
        rows = rows.filter(frequency=frequency)
    if tag:
        rows = rows.filter(tags__contains=f",{tag.lower().replace(',', ' ')},")
    if content:
        rows = rows.filter(content=content)
    known = sort.lstrip("-")
    if known == "gaps":
        rows = with_gaps(rows)
    column = F(SORTS.get(known, "name"))
    return rows.order_by(column.desc() if sort.startswith("-") else column.asc(), "name", "-version")


def with_gaps(rows: QuerySet[Dataset]) -> QuerySet[Dataset]:
    """Add ``gaps``: how many bars the last check missed, of all symbols together; 0 where there was none."""
    if "gaps" in rows.query.annotations:
        return rows
    sums = DatasetSymbol.objects.filter(dataset=OuterRef("pk")).order_by().values("dataset").annotate(all=Sum("gaps"))
    return rows.annotate(gaps=Coalesce(Subquery(sums.values("all")), 0))


def tags_in_use(user: User | None) -> list[str]:
    """Return the tags of the datasets ``user`` may see, sorted."""
    person, role = who(user)
    return sorted({tag for text in _tags(person, role=role) for tag in text.split(",") if tag})


@prepared
def _tags(person: int, *, role: str) -> QuerySet[Dataset, str]:
    rows = dataset_visible(stand_in(person, role)).filter(archived_at=None).exclude(tags="")
    return rows.values_list("tags", flat=True).distinct()[:1000]


def import_visible(user: User | None) -> QuerySet[ImportJob]:
    """Return the imports ``user`` may see and command: their own; all for administrators and the program."""
    rows = ImportJob.objects.select_related("owner", "dataset")
    return rows if user is None or user.is_administrator else rows.filter(owner=user)


def import_for_user(user: User | None, pk: int) -> ImportJob:
    """Return the import, or Http404 where it is not ``user``'s."""
    job = import_visible(user).filter(pk=pk).first()
    if job is None:
        raise Http404
    return job


def dataset_root() -> Path:
    return Path(settings.VAR_DIR) / "datasets"


def dataset_folder(dataset: Dataset) -> Path:
    """Return the folder of the files; it may be gone."""
    return dataset_root() / dataset.content_hash


def require_bars(dataset: Dataset) -> None:
    """Refuse trades and books where bars are needed (``not_bars``), saying how to make bars of them."""
    if dataset.content != Content.BARS:
        content = str(Content(dataset.content).label)
        raise Refusal("not_bars", NOT_BARS, status=409, field="dataset", dataset=str(dataset), content=content)


def dataset_panel(dataset: Dataset, *, verify: bool = False) -> BarPanel:
    """Open the bars, memory-mapped.

    Raises ``Refusal`` ``not_bars`` for trades and books, ``dataset_missing`` where files are gone and, with
    ``verify`` (reads every byte), ``dataset_changed`` where they are not what was imported.
    """
    require_bars(dataset)
    folder, name = dataset_folder(dataset), str(dataset)
    if verify:
        store.verify_hash(folder, name=name)
    panel = store.load_panel(folder, name=name)
    # The files belong to the content, which two datasets may share; the labels belong to the dataset.
    return replace(panel, currency=dataset.currency, frequency=dataset.frequency)


def dataset_tape(dataset: Dataset, *, verify: bool = False) -> Tape:
    """Open the trades or the book, memory-mapped.

    Raises ``Refusal`` ``no_tape`` for bars, ``dataset_missing`` and, with ``verify``, ``dataset_changed``.
    """
    if dataset.content == Content.BARS:
        raise Refusal("no_tape", NO_TAPE, status=409, field="dataset", dataset=str(dataset))
    from apps.marketdata.engine.tape import load_tape, verify_tape

    if verify:
        verify_tape(dataset_folder(dataset), name=str(dataset))
    return load_tape(dataset_folder(dataset), name=str(dataset))


def dataset_events(dataset: Dataset, symbol: str = "") -> tuple[CorporateAction, ...]:
    """Return the corporate actions (of one symbol), by symbol and ex-day; none where the source told none."""
    found = store.load_events(dataset_folder(dataset)) if dataset.event_count else ()
    return tuple(event for event in found if event.symbol == symbol) if symbol else found


def dataset_membership(dataset: Dataset, universe: str = "") -> tuple[Membership, ...]:
    """Return who belongs to ``universe`` (empty: to any) from which day to which, both included."""
    found = store.load_membership(dataset_folder(dataset)) if dataset.universes else ()
    return tuple(span for span in found if span.universe == universe) if universe else found


def dataset_adjusted(dataset: Dataset, mode: Mode) -> BarPanel:
    """Return the bars raw, or forward or backward adjusted by the dataset's own events."""
    return adjusted(dataset_panel(dataset), dataset_events(dataset), mode)


def dataset_comparable(dataset: Dataset) -> BarPanel:
    """Return bars whose prices can be compared across time: raw ones are adjusted by the stated events.

    Forward, which leaves the newest price as it is; every ratio of prices is the same in both directions.
    """
    return dataset_adjusted(dataset, "forward" if dataset.adjustment == Adjustment.RAW else "raw")


def calendar_days(calendar: str) -> dict[np.datetime64, bool]:
    """Return the days an administrator added to ``calendar`` (True) or took from it (False)."""
    rows = CalendarDay.objects.filter(calendar=calendar).values_list("day", "is_open") if calendar else ()
    return {np.datetime64(day, "D"): is_open for day, is_open in rows}


def check_latest(dataset: Dataset) -> QualityCheck | None:
    return _check.first(dataset.pk)


@prepared
def _check(dataset: int) -> QuerySet[QualityCheck]:
    return Dataset(pk=dataset).checks.all()[:1]


def finding_list(check: QualityCheck | None, *, severity: str = "", symbol: str = "") -> QuerySet[QualityFinding]:
    """Return the findings of a check in its order: errors first, then by symbol and time."""
    rows = QualityFinding.objects.filter(check_run=check) if check else QualityFinding.objects.none()
    if severity:
        rows = rows.filter(severity=severity)
    return rows.filter(symbol=symbol) if symbol else rows
