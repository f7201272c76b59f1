"""From rows to the dense panel: symbols sorted, one time axis, nothing twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.bars import FIELDS, BarPanel
from apps.marketdata.engine.corporate import CorporateAction
from apps.marketdata.engine.derive import completed, events_of
from apps.marketdata.engine.findings import Finding
from apps.marketdata.engine.store import row_mask, walk
from apps.marketdata.engine.universe import Membership
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

if TYPE_CHECKING:
    import pandas as pd

DUPLICATE = N_(
    "%(file)s, line %(line)s: the bar of %(symbol)s at %(time)s was there before, "
    "on line %(first_line)s of %(first_file)s. Remove one of the two."
)
EMPTY = N_("%(file)s: there is not a single bar in it. Choose a file with rows of open, high, low and close.")
MIXED = N_("%(file)s has daily bars and %(other)s intraday bars. Import them as datasets of their own.")
TOO_LARGE = N_(
    "%(symbols)s symbols × %(times)s times would be mostly empty (%(rows)s bars). "
    "Import symbols with different clocks as datasets of their own."
)
NO_STEP = N_(
    "%(file)s: the bars have no one length, so their end cannot be told from their start. Import them as stamped."
)
# Beyond this many cells a panel that is mostly empty is refused instead of filling the memory.
SPARSE_CELLS = 50_000_000
DAY = np.timedelta64(1, "D")
STEPS = {"1min": 60, "5min": 300, "15min": 900, "30min": 1800, "1h": 3600}


@dataclass(frozen=True)
class RawBars:
    """The rows of one file, in its order: ``line``, ``symbol``, ``time`` are (N,), so is each field.

    ``seen`` is what a part of a file tells of the whole (``ReadOptions.part``).
    """

    file: str
    line: NDArray[np.int64]
    symbol: NDArray[np.object_]
    time: NDArray[np.datetime64]
    fields: Mapping[str, NDArray[np.float64]]
    daily: bool
    findings: tuple[Finding, ...] = ()
    ignored: tuple[str, ...] = ()
    seen: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Imported:
    """A panel with what is known about its source."""

    panel: BarPanel
    lines: NDArray[np.int64] | None = None
    files: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    ignored: tuple[str, ...] = ()
    meta: Mapping[str, object] = field(default_factory=dict)
    events: tuple[CorporateAction, ...] = ()
    membership: tuple[Membership, ...] = ()

    @property
    def rows(self) -> int:
        """Number of bars."""
        return sum(int(row_mask(self.panel, row).sum()) for row in walk(list(self.panel.fields.values())))


def assemble(parts: Sequence[RawBars], *, currency: str = "", keep_duplicates: bool = False) -> Imported:
    """Lay the rows of all files out as one panel.

    A repeated (symbol, time) that says the same counts once and is a finding; one that
    contradicts is refused (``duplicate_bar``) or, with ``keep_duplicates``, becomes a finding
    and the first row counts. The events the bars tell of and the vwap are derived.
    """
    if not sum(len(part.line) for part in parts):
        raise Refusal("no_bars", EMPTY, field="file", file=", ".join(part.file for part in parts[:3]))
    refuse_mixed([(part.file, part.daily) for part in parts if len(part.line)])
    table = _one_table(parts)
    findings = [finding for part in parts for finding in (*part.findings, *order_findings(part))]
    repeated = table.duplicated(["symbol", "time"])
    if repeated.any():
        found = duplicates(table, repeated, [part.file for part in parts])
        wrong = next((finding for finding in found if finding.severity == "error"), None)
        if wrong and not keep_duplicates:
            raise duplicate_refusal(wrong)
        findings += summed(found)
        table = table[~repeated] if wrong else _completed(table)
    panel, lines = _dense(table, [name for part in parts for name in part.fields])
    panel = replace(panel, frequency=frequency_of(panel, daily=all(part.daily for part in parts)), currency=currency)
    ignored = tuple(dict.fromkeys(name for part in parts for name in part.ignored))
    files = tuple(dict.fromkeys(part.file for part in parts if part.file))
    return Imported(completed(panel), lines, files, tuple(findings), ignored, events=events_of(panel))


def continued(held: BarPanel, parts: Sequence[RawBars]) -> list[RawBars]:
    """Return the last bar held of each symbol whose new rows all come after it, as a part to stand before them."""
    import pandas as pd

    rows_of = [pd.DataFrame({"symbol": part.symbol, "time": part.time.astype("datetime64[ns]")}) for part in parts]
    first = pd.concat(rows_of).groupby("symbol")["time"].min().to_dict() if rows_of else {}
    rows, columns, names = [], [], []
    for row, symbol in enumerate(held.symbols):
        at = np.flatnonzero(row_mask(held, row))
        if symbol in first and len(at) and held.times[at[-1]] < first[symbol]:
            rows.append(row)
            columns.append(int(at[-1]))
            names.append(symbol)
    if not names:
        return []
    fields = {name: np.array([held.fields[name][r, c] for r, c in zip(rows, columns, strict=True)]) for name in FIELDS}
    lines = np.zeros(len(names), dtype=np.int64)
    return [RawBars("", lines, np.array(names, dtype=object), held.times[columns], fields, is_daily(held))]


def is_daily(panel: BarPanel) -> bool:
    """Tell whether the bars are of days or longer, however rare they are: every one is stamped with midnight."""
    return panel.frequency in ("1d", "1w") or bool((panel.times == panel.times.astype("datetime64[D]")).all())


def refuse_mixed(filled: Sequence[tuple[str, bool]]) -> None:
    """Refuse files of which some are daily and some are not; ``filled`` are their names and whether they are."""
    other = next((part for part in filled if part[1] != filled[0][1]), None)
    if other:
        daily, intraday = (filled[0], other) if filled[0][1] else (other, filled[0])
        raise Refusal("mixed_frequency", MIXED, field="file", file=daily[0], other=intraday[0])


def _one_table(parts: Sequence[RawBars]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            "part": np.repeat(np.arange(len(parts)), [len(part.line) for part in parts]),
            "line": np.concatenate([part.line for part in parts]),
            "symbol": pd.Categorical(np.concatenate([part.symbol for part in parts])),
            "time": np.concatenate([part.time.astype("datetime64[ns]") for part in parts]),
            **{
                name: np.concatenate([part.fields.get(name, np.full(len(part.line), np.nan)) for part in parts])
                for name in dict.fromkeys(name for part in parts for name in part.fields)
            },
        }
    )


def order_findings(part: RawBars) -> list[Finding]:
    """Say once per file when its rows were not oldest first (within a symbol)."""
    if (part.time[1:] >= part.time[:-1]).all():
        return []
    import pandas as pd

    order = pd.DataFrame({"symbol": pd.Categorical(part.symbol), "time": part.time})
    steps = order.groupby("symbol", observed=True)["time"].diff().dt.total_seconds().to_numpy()
    backward = steps < 0
    if not backward.any():
        return []
    if not (steps > 0).any():
        return [Finding("newest_first", "note", params={})]
    at = int(np.argmax(backward))
    where = {"symbol": str(part.symbol[at]), "time": part.time[at], "line": int(part.line[at])}
    return [Finding("unsorted_time", "warning", **where)]


def duplicates(table: pd.DataFrame, repeated: pd.Series, files: Sequence[str]) -> list[Finding]:
    """One finding per repeated bar, naming the file and line of its first appearance; ``files`` names the parts."""
    import pandas as pd

    first = table[~repeated].drop_duplicates(["symbol", "time"]).set_index(["symbol", "time"])
    later = table.loc[repeated]
    origin = first.loc[pd.MultiIndex.from_frame(later[["symbol", "time"]])]
    names = [name for name in later.columns if name not in ("symbol", "time", "line", "part")]
    ours, theirs = later[names].to_numpy(dtype=np.float64), origin[names].to_numpy(dtype=np.float64)
    unknown = np.isnan(ours) | np.isnan(theirs)
    equal = ((ours == theirs) | unknown).all(axis=1)
    new = ~unknown.all(axis=1)  # trades and quotes of one bar lie in two files and complete each other
    return [
        Finding(
            "duplicate_bar", "warning" if alike else "error", str(symbol), np.datetime64(time, "ns"), int(line),
            params={"first": int(first_line), "file": files[first_part], "again": files[part]},
        )
        for symbol, time, line, part, first_part, first_line, alike, said in zip(
            later["symbol"], later["time"], later["line"], later["part"], origin["part"], origin["line"], equal, new,
            strict=True,
        )
        if said
    ]  # fmt: skip


def _completed(table: pd.DataFrame) -> pd.DataFrame:
    """Join rows of one (symbol, time): of each field the first value known."""
    import pandas as pd

    keys = ["symbol", "time"]
    twice = table.duplicated(keys, keep=False)
    joined = table[twice].groupby(keys, observed=True, sort=False).first().reset_index()
    return pd.concat([table[~twice], joined[table.columns]], ignore_index=True)


def summed(found: Sequence[Finding]) -> list[Finding]:
    """A file that repeats what others say is one finding; a bar twice in one file is one each."""
    across = [f for f in found if f.severity == "warning" and f.params["file"] != f.params["again"]]
    counts = Counter((f.params["again"], f.params["file"]) for f in across)
    rest = [f for f in found if f.severity != "warning" or f.params["file"] == f.params["again"]]
    return rest + [
        Finding("repeated_file", "note", params={"file": again, "first": first, "count": count})
        for (again, first), count in counts.items()
    ]


def duplicate_refusal(finding: Finding) -> Refusal:
    """Return the refusal of a bar that is there twice and says two things."""
    return Refusal(
        "duplicate_bar", DUPLICATE, field="file", file=finding.params["again"], line=finding.line,
        symbol=finding.symbol, time=finding.date, first_line=finding.params["first"], first_file=finding.params["file"],
    )  # fmt: skip


def _dense(table: pd.DataFrame, names: Sequence[str]) -> tuple[BarPanel, NDArray[np.int64]]:
    codes = table["symbol"].cat.remove_unused_categories()
    rows, symbols = codes.cat.codes.to_numpy(), [str(name) for name in codes.cat.categories]
    times, columns = np.unique(table["time"].to_numpy(), return_inverse=True)
    shape = (len(symbols), len(times))
    refuse_sparse(shape, len(table))
    fields = {}
    for name in dict.fromkeys((*FIELDS, *names)):
        array = np.full(shape, np.nan)
        if name in table:
            array[rows, columns] = table[name].to_numpy(dtype=np.float64)
        fields[name] = array
    lines = np.zeros(shape, dtype=np.int64)
    lines[rows, columns] = table["line"].to_numpy()
    return BarPanel(symbols=tuple(symbols), times=times, fields=fields), lines


def refuse_sparse(shape: tuple[int, int], rows: int) -> None:
    """Refuse a panel that would be mostly empty."""
    if shape[0] * shape[1] > max(SPARSE_CELLS, 20 * rows):
        raise Refusal("too_sparse", TOO_LARGE, field="file", symbols=shape[0], times=shape[1], rows=rows)


def frequency_of(panel: BarPanel, *, daily: bool) -> str:
    """Name the usual distance between two bars of a symbol: 1d, 1w, 1h, 30min … or other."""
    close, steps = panel.fields["close"], Counter[int]()
    for row in walk([close]):
        times = panel.times[~np.isnan(close[row])].astype("datetime64[ns]").astype(np.int64)
        values, counts = np.unique(np.diff(times), return_counts=True)
        steps.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
    if not steps:
        return "1d" if daily else "other"
    most = max(steps.values())
    usual = min(step for step, count in steps.items() if count == most) / 1e9
    if daily:
        return "1w" if usual == 7 * 86_400 else "1d" if usual <= 4 * 86_400 else "other"
    return next((name for name, step in STEPS.items() if step == usual), "other")


def stamped_at_end(imported: Imported) -> Imported:
    """Return bars that were stamped with their start stamped with their end: one bar later.

    Raises ``Refusal`` ``unknown_step`` where the bars have no one length.
    """
    panel = imported.panel
    if panel.frequency in ("1d", "1w"):
        return imported
    if panel.frequency not in STEPS:
        raise Refusal("unknown_step", NO_STEP, field="stamp", file=", ".join(imported.files[:3]))
    times = panel.times + np.timedelta64(STEPS[panel.frequency], "s")
    return replace(imported, panel=replace(panel, times=times))
