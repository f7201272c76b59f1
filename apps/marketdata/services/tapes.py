"""Trades and order books in the catalogue: import, check, bars made of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.accounts.services import audit
from apps.marketdata.engine.quality import Report
from apps.marketdata.engine.readers import ReadOptions
from apps.marketdata.engine.readers.options import Progress, no_progress
from apps.marketdata.engine.store import folder_size
from apps.marketdata.engine.tape import ReadTape, Tape, load_tape, read_tape
from apps.marketdata.engine.tape.derive import bar_rule, derive_bars
from apps.marketdata.engine.tape.quality import check_tape
from apps.marketdata.models import Content, Dataset, DatasetSymbol
from apps.marketdata.selectors import dataset_root, dataset_tape
from apps.marketdata.services import imports
from apps.marketdata.services.checks import findings_from_json, findings_to_json, store_report, timed
from apps.marketdata.services.labels import clean_licence, clean_tags, tag_text
from apps.marketdata.times import as_datetime
from apps.ui.engine.refusal import Refusal

LONGEST = 64


def tape_import_path(
    path: Path,
    *,
    name: str,
    options: ReadOptions,
    owner: User | None = None,
    title: str = "",
    source: str = "",
    calendar: str = "",
    licence: str = "",
    tags: Sequence[str] = (),
    on_progress: Progress = no_progress,
    on_stage: Callable[[str], None] = imports.no_stage,
) -> Dataset:
    """Read trades or a book from a file, zip or folder and add them as the next version of ``name``, checked.

    Importing what the newest version already holds returns that one. All or nothing, as with bars;
    ``on_progress`` may raise to stop.
    """
    newest = imports._newest(name, owner)
    spool = Path(settings.VAR_DIR) / "spool"
    read = read_tape(path, options, dataset_root(), spool, _reading(on_progress))
    try:
        tape = load_tape(read.folder)
        imports.refuse_long_symbols(tape.symbols)
        same = newest and not newest.archived_at and newest.content_hash == read.folder.name
        if newest and same and newest.time_zone == read.time_zone:
            return newest
        on_stage("checking")
        report, seconds = timed(
            lambda: check_tape(
                tape,
                reader_findings=read.findings,
                on_progress=lambda share: on_progress(0.8 + 0.2 * share, path.name, tape.rows),
            )
        )
        dataset = Dataset(
            name=name, version=newest.version + 1 if newest else 1, parent=newest, owner=owner, title=title,
            source=(source or path.name)[:200], licence=clean_licence(licence), content_hash=read.folder.name,
            calendar=calendar, currency=options.currency, time_zone=read.time_zone,
            size_bytes=folder_size(read.folder), tags=tag_text(clean_tags(tags)), lineage=_lineage(read, tape),
            frequency="other", adjustment="raw", content=Content.BOOK if tape.levels else Content.TICKS, **_shape(tape),
        )  # fmt: skip
        on_stage("storing")
        return _insert(dataset, tape, report, seconds)
    except BaseException:
        # Refused or stopped: what was stored goes too, unless a dataset has the same content.
        if not Dataset.objects.filter(content_hash=read.folder.name).exists():
            shutil.rmtree(read.folder, ignore_errors=True)
        raise


def _reading(on_progress: Progress) -> Progress:
    """Return the progress of reading as four fifths of the import; the rest is checking."""

    def told(share: float, what: str, rows: int = 0) -> None:
        on_progress(0.8 * share, what, rows)

    return told


def _lineage(read: ReadTape, tape: Tape) -> dict[str, Any]:
    return {
        "kind": "import", "format": read.format, "files": list(read.files)[:200], "levels": tape.levels,
        "import_findings": findings_to_json(read.findings[:1000]),
    }  # fmt: skip


def _shape(tape: Tape) -> dict[str, Any]:
    ends = [tape.bounds(symbol) for symbol in tape.symbols]
    time = tape.columns["time"]
    return {
        "columns": [name for name in tape.columns if name != "line"], "rows": tape.rows,
        "symbol_count": len(tape.symbols),
        "start": as_datetime(min(time[first] for first, _ in ends).astype("datetime64[ns]")),
        "end": as_datetime(max(time[end - 1] for _, end in ends).astype("datetime64[ns]")),
    }  # fmt: skip


def _insert(dataset: Dataset, tape: Tape, report: Report, seconds: float) -> Dataset:
    rows = []
    for position, symbol in enumerate(tape.symbols):
        first, end = tape.bounds(symbol)
        start, last = (as_datetime(tape.columns["time"][at].astype("datetime64[ns]")) for at in (first, end - 1))
        rows.append(
            DatasetSymbol(dataset=dataset, symbol=symbol, position=position, rows=end - first, start=start, end=last)
        )
    try:
        with transaction.atomic():
            dataset.save()
            DatasetSymbol.objects.bulk_create(rows, batch_size=500)
            store_report(dataset, report, seconds)
            details = {"name": str(dataset), "hash": dataset.content_hash, "rows": dataset.rows}
            audit(dataset.owner, "dataset.import", dataset, details)
    except IntegrityError as error:
        raise Refusal("dataset_name_taken", imports.NAME_TAKEN, status=409, field="name", name=dataset.name) from error
    return dataset


def tape_report(dataset: Dataset) -> tuple[Report, float]:
    """Read every byte again and check every event; raises ``Refusal`` ``dataset_missing`` or ``dataset_changed``."""
    tape = dataset_tape(dataset, verify=True)
    seen = findings_from_json(dataset.lineage.get("import_findings", []))
    return timed(lambda: check_tape(tape, reader_findings=seen))


def dataset_bars(
    dataset: Dataset, *, rule: str, size: str, actor: User | None, on_progress: Progress = no_progress
) -> Dataset:
    """Make bars of the trades (or of the midpoints of a book) and return the new dataset ``<name>-<size>``.

    ``rule`` is time, volume, dollar or trades; ``size`` is 5min or the volume, money or trades of one bar. The new
    dataset is checked and says what it was made from. Raises ``Refusal`` as ``derive_bars`` does, and ``no_tape``.
    """
    wanted = bar_rule(rule, size)
    tape = dataset_tape(dataset)
    imported = derive_bars(
        tape, wanted, time_zone=dataset.time_zone, on_progress=lambda share: on_progress(share, str(dataset))
    )
    imported = replace(
        imported,
        panel=replace(imported.panel, currency=dataset.currency),
        files=tuple(dataset.lineage.get("files", ())),
    )
    own = actor is None or actor.is_administrator or dataset.owner_id == actor.pk
    ending = f"-{wanted.text}" if rule == "time" else f"-{rule}-{wanted.text}"
    ending = ending.replace("+", "").replace(".", "_")
    if not own and actor is not None:
        ending += f"-{actor.username.lower()}"
    made = imports.dataset_import(
        name=dataset.name[: LONGEST - len(ending)] + ending, imported=imported, source=dataset.source,
        owner=dataset.owner if own else actor, title=dataset.title, adjustment=dataset.adjustment,
        calendar=dataset.calendar, time_zone=dataset.time_zone, licence=dataset.licence, tags=dataset.tag_list,
        parent=dataset,
        lineage={"kind": "bars", "rule": rule, "size": wanted.text, "parent_hash": dataset.content_hash},
    )  # fmt: skip
    audit(actor, "dataset.bars", made, {"from": str(dataset), "rule": rule, "size": wanted.text})
    return made
