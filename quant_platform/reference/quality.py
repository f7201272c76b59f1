"""Cases of the kind ``quality``: flaws that must be found in real files, and look-alikes that must not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from apps.marketdata.engine.findings import Finding
from apps.marketdata.engine.quality import check_imported
from apps.marketdata.engine.readers import ReadOptions, read_bars, refusal_finding
from apps.marketdata.engine.symbols import same
from apps.ui.engine.refusal import Refusal
from quant_platform.reference.files import Files, finding_name

#: Other words for our checks that a case may use.
FAMILIES: dict[str, tuple[str, ...]] = {
    "duplicate_bar": ("duplicate", "duplicate_time", "duplicate_row", "duplicate_rows", "duplicate_timestamp"),
    "unsorted_time": ("unsorted", "out_of_order", "not_sorted"),
    "newest_first": ("reversed_order", "descending_time"),
    "zero_volume": ("suspension", "suspended", "halt", "no_volume"),
    "missing_bars": ("gap", "missing_bar", "intraday_gap"),
    "outlier": ("outlier", "bad_tick", "spike"),
    "constant_volume": ("fake_volume", "invented_volume"),
    "non_positive_price": ("zero_price", "negative_price"),
    "missing_value": ("missing_cell", "missing_cells", "nan"),
    "stale_price": ("stale", "stale_series", "constant_price"),
    "flat_bars": ("flat", "flat_series", "constant_series"),
    "amount_mismatch": ("amount_inconsistent", "amount_volume_mismatch", "turnover_mismatch"),
    "split_like_jump": ("split", "unadjusted_split"),
    "volume_unit_change": ("volume_scale", "volume_scale_change", "volume_in_lots"),
    "mixed_time_zones": ("mixed_timezones", "mixed_time_zone"),
    "survivorship": ("survivorship_bias", "missing_members"),
    "price_move_without_volume": ("move_without_volume",),
    "truncated_file": ("cut_file", "truncated"),
    "missing_session": ("missing_sessions",),
    "extra_session": ("extra_sessions",),
}
OPTIONS = {field.name for field in fields(ReadOptions)} - {"lenient", "limit_bytes"}


def run(case: Mapping[str, Any], files: Files) -> dict[str, bool]:
    """Return for each finding the case names whether the checks report it."""
    found = findings_of(case, files)
    items = [*case.get("must_report", ()), *case.get("must_not_report", ())]
    return {finding_name(item): any(_is(finding, item) for finding in found) for item in items}


def findings_of(case: Mapping[str, Any], files: Files) -> tuple[Finding, ...]:
    """Read the case's data as ``check_data`` does and return every finding, none cut from a long list."""
    options = {name: value for name, value in case.items() if name in OPTIONS}
    try:
        imported = read_bars(files.path(str(case["data"])), ReadOptions(lenient=True, **options))
    except Refusal as refusal:
        return (refusal_finding(refusal),)
    return check_imported(imported, calendar=str(case.get("calendar", "")), everything=True).findings


def _is(finding: Finding, item: Mapping[str, Any]) -> bool:
    return all(_agrees(finding, key, value) for key, value in item.items() if key != "why")


def _agrees(finding: Finding, key: str, value: Any) -> bool:
    if key == "check":
        return finding.check in _names(str(value))
    if key == "symbol":
        return same(finding.symbol, str(value))
    if key == "date":
        return finding.date is not None and finding.date.startswith(str(value)[:19].replace(" ", "T"))
    return bool(getattr(finding, key, finding.params.get(key)) == value)


def _names(word: str) -> Iterable[str]:
    """Return our checks that a case's word may mean."""
    family = {name for name, words in FAMILIES.items() if word in words}
    return family | {word}
