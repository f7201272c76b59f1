"""Imports: bars into the store and the catalogue, all or nothing."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from numpy.typing import NDArray

from apps.accounts.models import User
from apps.accounts.services import audit
from apps.marketdata.engine import store
from apps.marketdata.engine.assemble import Imported
from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.builtin import LICENCE, SOURCE, builtin_catalogue
from apps.marketdata.engine.quality import Report, check_panel, guess_calendar
from apps.marketdata.engine.quality.sessions import sessions
from apps.marketdata.engine.readers import ReadOptions, read_bars
from apps.marketdata.engine.readers.options import MEGABYTE, Progress, no_progress
from apps.marketdata.engine.streaming import forget, is_large, read_streamed, seat, space_needed
from apps.marketdata.engine.tape import tape_format
from apps.marketdata.engine.universe import universes
from apps.marketdata.models import Dataset, DatasetSymbol
from apps.marketdata.selectors import calendar_days, dataset_root
from apps.marketdata.services.checks import findings_to_json, store_report, timed
from apps.marketdata.services.labels import clean_licence, clean_tags, tag_text
from apps.marketdata.times import as_datetime
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

BAD_NAME = N_("A dataset's name is 1 to 64 lower-case letters, digits, - or _, like us-daily. %(name)s is not.")
NAME_TAKEN = N_("The name %(name)s belongs to somebody else. Choose another.")
LONG_SYMBOL = N_("The symbol %(symbol)s has more than 32 characters.")
NO_SPACE = N_("The import needs about %(needed)s MB of disk for a while; %(free)s MB are free. Free some space.")
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def no_stage(stage: str) -> None:
    """Tell nobody how far an import is."""


def dataset_import(
    *,
    name: str,
    imported: Imported,
    source: str,
    owner: User | None = None,
    title: str = "",
    adjustment: str = "raw",
    calendar: str = "",
    time_zone: str = "UTC",
    licence: str = "",
    tags: Sequence[str] = (),
    parent: Dataset | None = None,
    lineage: Mapping[str, Any] | None = None,
    on_stage: Callable[[str], None] = no_stage,
) -> Dataset:
    """Store the bars and add them to the catalogue as the next version of ``name``, checked.

    Importing what the newest version already holds, with the same labels, returns that one.
    All or nothing: a refusal leaves neither files in use nor rows. ``on_stage`` hears ``checking``
    and ``storing`` before each, and may raise to stop: nothing was written then.
    """
    newest, kept_tags, licence = _newest(name, owner), tag_text(clean_tags(tags)), clean_licence(licence)
    refuse_long_symbols(imported.panel.symbols)
    labels = {
        "adjustment": adjustment, "calendar": calendar, "currency": imported.panel.currency, "time_zone": time_zone,
    }  # fmt: skip
    on_stage("checking")
    report, seconds = timed(lambda: _check(imported, calendar))
    on_stage("storing")
    events = imported.events if adjustment == "raw" else ()
    folder = store.write_panel(
        imported.panel, dataset_root(), lines=imported.lines, meta=dict(imported.meta), events=events,
        membership=imported.membership,
    )  # fmt: skip
    same = newest and not newest.archived_at and newest.content_hash == folder.name
    if newest and same and all(getattr(newest, key) == labels[key] for key in labels):
        return newest
    dataset = Dataset(
        name=name, version=newest.version + 1 if newest else 1, parent=parent or newest, owner=owner, title=title,
        source=source[:200], licence=licence, content_hash=folder.name, size_bytes=store.folder_size(folder),
        lineage=_lineage(imported) | dict(lineage or {}), event_count=len(events), tags=kept_tags,
        universes=universes(imported.membership), **labels, **_shape(imported),
    )  # fmt: skip
    return _insert(dataset, imported, report, seconds)


def refuse_long_symbols(symbols: Sequence[str]) -> None:
    """Refuse a name that the catalogue cannot hold."""
    too_long = next((symbol for symbol in symbols if len(symbol) > 32), None)
    if too_long:
        raise Refusal("bad_symbol", LONG_SYMBOL, field="file", symbol=too_long[:64])


def _check(imported: Imported, calendar: str) -> Report:
    return check_panel(
        imported.panel, lines=imported.lines, calendar=calendar, reader_findings=imported.findings,
        events=imported.events, membership=imported.membership, more_days=calendar_days(calendar),
    )  # fmt: skip


def _lineage(imported: Imported) -> dict[str, Any]:
    return {
        "files": list(imported.files)[:200],
        "ignored_columns": list(imported.ignored)[:200],
        "import_findings": findings_to_json(imported.findings[:1000]),
    }


def dataset_import_path(
    path: Path,
    *,
    name: str,
    options: ReadOptions,
    owner: User | None = None,
    title: str = "",
    adjustment: str = "raw",
    calendar: str = "",
    source: str = "",
    licence: str = "",
    tags: Sequence[str] = (),
    on_progress: Progress = no_progress,
    on_stage: Callable[[str], None] = no_stage,
) -> Dataset:
    """Read a file or a folder and import it; an empty ``calendar`` is recognised from the days where it can be."""
    check_labels(name, owner, tags, licence)  # before a long read
    check_calendar(calendar)
    if tape_format(path, options):
        from apps.marketdata.services.tapes import tape_import_path

        return tape_import_path(
            path, name=name, options=options, owner=owner, title=title, source=source, calendar=calendar,
            licence=licence, tags=tags, on_progress=on_progress, on_stage=on_stage,
        )  # fmt: skip
    with ExitStack() as held:
        if is_large(path, options):
            _check_spool_space(path, options)
            folder = held.enter_context(seat(path, options, spool_root()))
            imported = read_streamed(path, options, folder, on_progress)
        else:
            imported = read_bars(path, options, on_progress)
        return dataset_import(
            name=name, imported=imported, source=source or path.name, owner=owner, title=title, adjustment=adjustment,
            calendar=calendar or guess_calendar(imported.panel), time_zone=options.time_zone, licence=licence,
            tags=tags, lineage={"kind": "import"}, on_stage=on_stage,
        )  # fmt: skip


def forget_read(path: Path, options: ReadOptions) -> None:
    """Remove what an unfinished import of ``path`` has read."""
    forget(path, options, spool_root())


def check_labels(name: str, owner: User | None, tags: Sequence[str], licence: str) -> None:
    """Refuse a name that is wrong or somebody else's, and labels that do not fit."""
    _newest(name, owner)
    clean_tags(tags)
    clean_licence(licence)


def check_calendar(calendar: str) -> None:
    """Refuse (``unknown_calendar``) a calendar that nobody knows; an empty one is recognised later."""
    if calendar:
        day = np.datetime64("2000-01-03", "D")
        sessions(calendar, day, day)


def spool_root() -> Path:
    """Return where large imports keep what they have read."""
    return Path(settings.VAR_DIR) / "spool"


def _check_spool_space(path: Path, options: ReadOptions) -> None:
    """Refuse before hours of reading what the disk cannot hold: spool and arrays take about three times the text."""
    spool_root().mkdir(parents=True, exist_ok=True)
    needed = 3 * space_needed(path, options)
    free = shutil.disk_usage(spool_root()).free
    if free < needed:
        params: dict[str, Any] = {"needed": needed // MEGABYTE, "free": free // MEGABYTE}
        raise Refusal("disk_full", NO_SPACE, status=507, **params)


def _newest(name: str, owner: User | None) -> Dataset | None:
    if not NAME.fullmatch(name):
        raise Refusal("bad_dataset_name", BAD_NAME, field="name", name=name[:80] or "–")
    newest = Dataset.objects.filter(name=name).order_by("-version").first()
    if newest and newest.owner_id != (owner.pk if owner else None):
        raise Refusal("dataset_name_taken", NAME_TAKEN, status=409, field="name", name=name)
    return newest


def _shape(imported: Imported) -> dict[str, Any]:
    panel = imported.panel
    return {
        "columns": [name for name, values in panel.fields.items() if _known(values)],
        "rows": imported.rows, "symbol_count": len(panel.symbols), "frequency": panel.frequency,
        "start": as_datetime(panel.times[0]), "end": as_datetime(panel.times[-1]),
    }  # fmt: skip


def _known(values: NDArray[np.float64]) -> bool:
    """Tell whether a field has a value anywhere."""
    return any(np.isfinite(values[row]).any() for row in store.walk([values]))


def _insert(dataset: Dataset, imported: Imported, report: Report, seconds: float) -> Dataset:
    try:
        with transaction.atomic():
            dataset.save()
            DatasetSymbol.objects.bulk_create(_symbols(dataset, imported.panel), batch_size=500)
            store_report(dataset, report, seconds)
            details = {"name": str(dataset), "hash": dataset.content_hash, "rows": dataset.rows}
            audit(dataset.owner, "dataset.import", dataset, details)
    except IntegrityError as error:
        # Two imports under one name at the same moment: the other one has the version.
        raise Refusal("dataset_name_taken", NAME_TAKEN, status=409, field="name", name=dataset.name) from error
    return dataset


def _symbols(dataset: Dataset, panel: BarPanel) -> list[DatasetSymbol]:
    rows = []
    for position in store.walk(list(panel.fields.values())):
        symbol = panel.symbols[position]
        at = np.flatnonzero(store.row_mask(panel, position))
        first, last = (at[0], at[-1]) if len(at) else (0, 0)
        start, end = as_datetime(panel.times[first]), as_datetime(panel.times[last])
        rows.append(
            DatasetSymbol(dataset=dataset, symbol=symbol, position=position, rows=len(at), start=start, end=end)
        )
    return rows


def load_builtin_catalogue() -> list[Dataset]:
    """Add the built-in datasets; what is there already stays, and lost files are written again."""
    return [
        dataset_import(
            name=item.name, imported=item.imported, source=SOURCE, title=item.title, adjustment=item.adjustment,
            calendar="XNYS", time_zone="America/New_York", licence=LICENCE, lineage={"kind": "builtin"},
        )
        for item in builtin_catalogue()
    ]  # fmt: skip


def dataset_archive(dataset: Dataset, *, actor: User | None = None) -> Dataset:
    """Take the dataset out of the lists; runs that used it keep their link and its files."""
    with transaction.atomic():
        dataset.archived_at = timezone.now()
        dataset.save(update_fields=["archived_at"])
        audit(actor, "dataset.archive", dataset, {"name": str(dataset)})
    return dataset
