"""The steps of one sync: ask the source, read what it brought, lay it over what is held, import the whole."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from django.utils import timezone

from apps.accounts.credentials import credential_open
from apps.accounts.engine.redact import redact, redacted, remember
from apps.marketdata.engine.assemble import Imported, is_daily, stamped_at_end
from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.quality import guess_calendar
from apps.marketdata.engine.readers import ReadOptions, read_bars
from apps.marketdata.engine.sources.config import SourceConfig
from apps.marketdata.engine.sources.http import secret_fields
from apps.marketdata.engine.sources.merge import Merged, merged, restated
from apps.marketdata.engine.sources.network import MEGABYTE, network_of
from apps.marketdata.engine.sources.port import Fetched, Job, Stopped
from apps.marketdata.engine.sources.registry import ready_source
from apps.marketdata.forms import import_folder
from apps.marketdata.models import Content, Dataset, Source, SyncRun, SyncState
from apps.marketdata.selectors import dataset_events, dataset_membership, dataset_panel
from apps.marketdata.services.imports import dataset_import
from apps.marketdata.services.sources import source_config
from apps.marketdata.source_selectors import held_dataset
from apps.marketdata.times import as_datetime, as_datetime64
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

NOT_BARS = N_("%(dataset)s holds no bars. Sync into a dataset of another name.")
#: Parts written down of one sync, in the run and in the dataset's lineage.
MOST_PIECES = 500
LINEAGE_PIECES = 50
#: Time between two looks at whether somebody asked for the end, and two notes of how far it is.
LOOK_SECONDS = 1.0
#: Shares of the progress: what comes before is fetching.
READING, STORING = 0.6, 0.85


@dataclass(frozen=True)
class Outcome:
    """What a sync came to: whether a version was made, the fields of the run, the marks for the next one."""

    made: bool
    record: Mapping[str, Any]
    marks: Mapping[str, Any] = field(default_factory=dict)


class Watch:
    """Shows how far a run is and raises ``Stopped`` once somebody asked for its end."""

    def __init__(self, run: SyncRun, seconds: float = LOOK_SECONDS) -> None:
        self._run, self._seconds = run, seconds
        self._looked = -seconds
        self._base, self._room = 0.0, READING

    def part(self, base: float, room: float) -> None:
        """From now on a share of 0 to 1 lies between ``base`` and ``base + room`` of the whole."""
        self._base, self._room, self._looked = base, room, -self._seconds

    def __call__(self, share: float, what: str, rows: int = 0) -> None:
        now = time.monotonic()
        if now - self._looked < self._seconds:
            return
        self._looked = now
        done = self._base + self._room * min(max(share, 0.0), 1.0)
        going = SyncRun.objects.filter(pk=self._run.pk, state=SyncState.RUNNING, stop_requested_at=None)
        if not going.update(progress=done, doing=redact(what)[:120], beat_at=timezone.now()):
            raise Stopped

    def received(self, size: int) -> None:
        self(0.0, f"{size / MEGABYTE:.1f} MB")


def secret_of(source: Source, config: SourceConfig) -> dict[str, str]:
    """Return the fields of the chosen secret, opened for this use; from now on they are taken out of every log."""
    if not config.credential:
        return {}
    fields = secret_fields(credential_open(source.owner, config.credential).value)
    for value in fields.values():
        remember(value)
    return fields


def carry_out(run: SyncRun, scratch: Path, watch: Watch) -> Outcome:
    """Do all a sync does; raises ``Refusal`` or ``Stopped`` and has stored nothing then."""
    from django.conf import settings

    source, config = run.source, source_config(run.source)
    kind = ready_source(source.kind)
    held = held_dataset(source)
    if held is not None and held.content != Content.BARS:
        raise Refusal("not_bars", NOT_BARS, status=409, field="dataset", dataset=str(held))
    fresh = run.whole or held is None
    job = Job(
        config=config, folder=scratch, root=import_folder(), network=network_of(settings, watch.received),
        now=timezone.now(), progress=watch, secret=secret_of(source, config),
        held={} if fresh or held is None else _held(held), marks={} if fresh else source.marks,
    )  # fmt: skip
    fetched = kind.fetch(job)
    if not fetched.files:
        return _nothing(fetched, held, job)
    panel = dataset_panel(held) if held is not None else None
    watch.part(READING, STORING - READING)
    new = _read(job, fetched, panel, watch)
    if fetched.restates and not fetched.whole and panel is not None and restated(panel, new.panel):
        # What is held stands on another scale by now: everything is asked again.
        for file in scratch.iterdir():
            file.unlink()
        watch.part(0.0, READING)
        fetched = replace(kind.fetch(replace(job, held={}, marks={})), whole=True)
        watch.part(READING, STORING - READING)
        new = _read(job, fetched, panel, watch)
    result = _merged(held, panel, new, fetched.whole)
    watch.part(STORING, 1.0 - STORING)
    watch(0.0, source.dataset_name)
    made = _store(run, config, held, result, fetched)
    unit = next((f.params["unit"] for f in new.findings if f.check == "volume_in_lots"), 1)
    return Outcome(made.pk != (held.pk if held else None), _record(fetched, held, made, result),
                   {**fetched.marks, "volume_unit": job.marks.get("volume_unit", unit)})  # fmt: skip


def _held(dataset: Dataset) -> dict[str, np.datetime64]:
    return {symbol: as_datetime64(end) for symbol, end in dataset.symbols.values_list("symbol", "end")}


def _nothing(fetched: Fetched, held: Dataset | None, job: Job) -> Outcome:
    marks = {**fetched.marks, **{name: job.marks[name] for name in ("volume_unit",) if name in job.marks}}
    end = held.end if held else None
    return Outcome(False, {"since": end, "until": end, "dataset": held}, marks)


def _read(job: Job, fetched: Fetched, panel: BarPanel | None, watch: Watch) -> Imported:
    """Read the files a source brought, by the same code as an import by hand."""
    config: SourceConfig = job.config
    unit = config.volume_unit or int(job.marks.get("volume_unit", 0))
    options = ReadOptions(
        currency=config.currency or (panel.currency if panel else ""), time_zone=config.time_zone, volume_unit=unit,
        stamp=config.stamp, limit_bytes=job.network.limit,
        # One intraday bar shows one clock, as daily bars do.
        daily=False if panel is not None and not is_daily(panel) else None,
    )  # fmt: skip
    options = replace(options, **fetched.reading)
    if panel is None or options.stamp == "end" or is_daily(panel):
        return read_bars(job.folder, options, watch, after=None if fetched.whole else panel)
    # A few new bars alone do not tell how long a bar is; those held do.
    new = read_bars(job.folder, replace(options, stamp="end"), watch)
    return stamped_at_end(replace(new, panel=replace(new.panel, frequency=panel.frequency)))


def _merged(held: Dataset | None, panel: BarPanel | None, new: Imported, whole: bool) -> Merged:
    if held is None or panel is None:
        return Merged(new, new.rows, 0, 0)
    laid = merged(panel, dataset_events(held), dataset_membership(held), new)
    return replace(laid, imported=replace(new, membership=laid.imported.membership)) if whole else laid


def _store(run: SyncRun, config: SourceConfig, held: Dataset | None, result: Merged, fetched: Fetched) -> Dataset:
    source = run.source
    what = fetched.pieces[0].what if fetched.pieces else ""
    label = f"{source.name}: {what}" + (f" (+{len(fetched.pieces) - 1})" if len(fetched.pieces) > 1 else "")
    calendar = config.calendar or (held.calendar if held else "") or guess_calendar(result.imported.panel)
    zone = str(fetched.reading.get("time_zone", config.time_zone))
    lineage = {
        "kind": "sync", "source": source.name, "source_kind": source.kind, "run": run.pk,
        "received": [piece.as_dict() for piece in fetched.pieces[:LINEAGE_PIECES]],
        "received_count": len(fetched.pieces), "received_hash": received_hash(fetched),
        "added": result.added, "changed": result.changed, "parent_hash": held.content_hash if held else "",
    }  # fmt: skip
    return dataset_import(
        name=source.dataset_name, imported=result.imported, source=redact(label), owner=source.owner,
        title=held.title if held else "", adjustment=config.prices, calendar=calendar, time_zone=zone,
        licence=config.licence or (held.licence if held else ""), tags=held.tag_list if held else (),
        lineage=redacted(lineage),
    )  # fmt: skip


def received_hash(fetched: Fetched) -> str:
    """Return one SHA-256 over all that was received, whatever order it came in."""
    lines = sorted(f"{piece.sha256} {piece.what}" for piece in fetched.pieces)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest() if lines else ""


def _record(fetched: Fetched, held: Dataset | None, made: Dataset, result: Merged) -> dict[str, Any]:
    return {
        "since": held.end if held else None, "until": as_datetime(result.imported.panel.times[-1]),
        "pieces": redacted([piece.as_dict() for piece in fetched.pieces[:MOST_PIECES]]),
        "piece_count": len(fetched.pieces), "received_hash": received_hash(fetched),
        "added": result.added, "changed": result.changed, "same": result.same, "dataset": made,
        "content_hash": made.content_hash,
    }  # fmt: skip
