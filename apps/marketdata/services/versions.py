"""New versions out of old ones: mended, adjusted; and what two of them differ in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from apps.accounts.models import User
from apps.accounts.services import audit
from apps.marketdata.engine import store
from apps.marketdata.engine.assemble import Imported
from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.corporate import CorporateAction, Mode, adjusted
from apps.marketdata.engine.diff import Difference, diff
from apps.marketdata.engine.findings import Finding
from apps.marketdata.engine.fixes import Fix, apply_fixes, fixes_for, remedies
from apps.marketdata.engine.quality import check_panel
from apps.marketdata.models import Adjustment, Dataset, QualityFinding
from apps.marketdata.selectors import (
    calendar_days,
    dataset_events,
    dataset_folder,
    dataset_membership,
    dataset_panel,
    require_bars,
)
from apps.marketdata.services.checks import findings_from_json
from apps.marketdata.services.imports import dataset_import
from apps.marketdata.times import as_datetime64
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

NOTHING = N_("%(dataset)s has no finding that can be mended by itself.")
NO_EVENTS = N_("%(dataset)s knows no corporate actions, so there is nothing to adjust by.")
ALREADY = N_("The prices of %(dataset)s are adjusted already.")
#: A name that is not one's own gets one's own copy.
LONGEST = 64


def dataset_fix(dataset: Dataset, *, actor: User | None, choices: Mapping[int, str] | None = None) -> Dataset:
    """Mend ``dataset`` and return the new version, checked, with its lineage.

    ``choices`` maps ids of findings to remedies (empty: the usual one); None mends every
    finding that blocks, by the usual remedy. Raises ``Refusal``: ``cannot_fix``, ``nothing_to_fix``.
    """
    panel, events = dataset_panel(dataset), dataset_events(dataset)
    found = _blocking(dataset, panel, events) if choices is None else _chosen(dataset, choices)
    fixes = [fix for finding, kind in found for fix in fixes_for(finding, panel, kind)]
    if not fixes:
        raise Refusal("nothing_to_fix", NOTHING, status=409, dataset=str(dataset))
    mended, left = apply_fixes(panel, fixes, events)
    lineage = {"kind": "fixes", "fixes": [fix.as_dict() for fix in fixes[:1000]], "fix_count": len(fixes)}
    made = _version(dataset, mended, left, actor, lineage, dropped=[fix for fix in fixes if fix.kind == "drop"])
    audit(actor, "dataset.fix", made, {"from": str(dataset), "fixes": len(fixes)})
    return made


def _blocking(dataset: Dataset, panel: BarPanel, events: Sequence[CorporateAction]) -> list[tuple[Finding, str]]:
    """Check again without cutting any list and return what blocks and can be mended."""
    report = check_panel(
        panel, lines=store.load_lines(dataset_folder(dataset)), calendar=dataset.calendar, events=events,
        membership=dataset_membership(dataset), more_days=calendar_days(dataset.calendar), everything=True,
    )  # fmt: skip
    return [(f, "") for f in report.findings if f.severity == "error" and remedies(f.check) and f.time is not None]


def _chosen(dataset: Dataset, choices: Mapping[int, str]) -> list[tuple[Finding, str]]:
    rows = QualityFinding.objects.filter(check_run__dataset=dataset, pk__in=choices)
    return [(_finding(row), choices[row.pk]) for row in rows]


def _finding(row: QualityFinding) -> Finding:
    time = as_datetime64(row.time) if row.time else None
    return Finding(row.check_name, row.severity, row.symbol, time, row.line, row.row, row.params)  # type: ignore[arg-type]


def _version(
    dataset: Dataset,
    panel: BarPanel,
    events: Sequence[CorporateAction],
    actor: User | None,
    lineage: dict[str, Any],
    *,
    name: str = "",
    adjustment: str = "",
    dropped: Sequence[Fix] = (),
) -> Dataset:
    own = actor is None or actor.is_administrator or dataset.owner_id == actor.pk
    seen = [f for f in findings_from_json(dataset.lineage.get("import_findings", [])) if f.check != "duplicate_bar"]
    lines = store.load_lines(dataset_folder(dataset))
    if lines is not None and lines.shape != (len(panel.symbols), len(panel.times)):
        lines = _lines_on(panel, dataset_panel(dataset), lines)
    if lines is not None and dropped:
        lines = _without(panel, lines, dropped)
    imported = Imported(
        replace(panel, currency=dataset.currency), lines, tuple(dataset.lineage.get("files", ())), tuple(seen),
        tuple(dataset.lineage.get("ignored_columns", ())), events=tuple(events), membership=dataset_membership(dataset),
    )  # fmt: skip
    base = name or dataset.name
    return dataset_import(
        name=base if own or actor is None else f"{base[: LONGEST - 1 - len(actor.username)]}-{actor.username.lower()}",
        imported=imported, source=dataset.source, owner=dataset.owner if own else actor, title=dataset.title,
        adjustment=adjustment or dataset.adjustment, calendar=dataset.calendar, time_zone=dataset.time_zone,
        licence=dataset.licence, tags=dataset.tag_list, parent=dataset,
        lineage={**lineage, "parent_hash": dataset.content_hash},
    )  # fmt: skip


def _lines_on(panel: BarPanel, before: BarPanel, lines: Any) -> Any:
    wider = np.zeros((len(panel.symbols), len(panel.times)), dtype=np.int64)
    wider[:, np.searchsorted(panel.times, before.times)] = lines
    return wider


def _without(panel: BarPanel, lines: Any, dropped: Sequence[Fix]) -> Any:
    """Forget the lines of bars that were taken out: a line without a bar reads as a row with nothing in it."""
    left = lines.copy()
    for fix in dropped:
        left[panel.index_of(fix.symbol), np.searchsorted(panel.times, fix.time)] = 0
    return left


def dataset_adjust(dataset: Dataset, *, mode: Mode, actor: User | None) -> Dataset:
    """Return a new dataset ``<name>-forward`` or ``-backward`` with adjusted prices, linked to its origin.

    Raises ``Refusal`` ``no_events`` or ``already_adjusted``.
    """
    require_bars(dataset)
    if dataset.adjustment != Adjustment.RAW:
        raise Refusal("already_adjusted", ALREADY, status=409, dataset=str(dataset))
    events = dataset_events(dataset)
    if not events:
        raise Refusal("no_events", NO_EVENTS, status=409, dataset=str(dataset))
    panel = adjusted(dataset_panel(dataset), events, mode)
    name = f"{dataset.name[: LONGEST - 1 - len(mode)]}-{mode}"
    lineage = {"kind": "adjusted", "mode": mode, "events": len(events)}
    return _version(dataset, panel, (), actor, lineage, name=name, adjustment=Adjustment.ADJUSTED)


def dataset_diff(before: Dataset, after: Dataset) -> Difference:
    """Return what differs between two datasets."""
    return diff(dataset_panel(before), dataset_panel(after), dataset_events(before), dataset_events(after))
