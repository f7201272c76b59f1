"""Times out of text: the ways vendors write them, one way per file, the odd one refused with its line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from apps.marketdata.engine.readers.numbers import shorten
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

if TYPE_CHECKING:
    import pandas as pd

BAD = N_("%(file)s, line %(line)s, column %(column)s: “%(value)s” is not a time like “%(example)s”. Correct it.")
UNKNOWN = N_(
    "%(file)s, line %(line)s, column %(column)s: “%(value)s” is not a date this program knows. "
    "Write it as 2024-03-28 or 2024-03-28 15:00:00."
)
AMBIGUOUS = N_(
    "%(file)s, line %(line)s, column %(column)s: “%(value)s” may be month/day or day/month. "
    "Say which (date order mdy or dmy), or write 2024-03-28."
)
NO_SUCH_HOUR = N_(
    "%(file)s, line %(line)s, column %(column)s: %(value)s does not exist once in the time zone %(zone)s "
    "(clocks change). Choose the zone the file was written in, or UTC."
)
_CLOCK = (
    r"(?:[T\s_-]\s*(?P<H>\d{1,2}):?(?P<M>\d{2})(?::?(?P<S>\d{2}))?(?:[.,](?P<f>\d{1,9}))?)?"
    r"\s*(?P<p>[AaPp][Mm])?\s*(?P<z>Z|UTC|[+-]\d{2}(?::?\d{2})?)?$"
)
_MONTH = r"(?P<mon>[A-Za-z]{3,9})\.?"
PATTERNS = {
    "ymd": r"^(?P<y>\d{4})[-/.年](?P<m>\d{1,2})[-/.月](?P<d>\d{1,2})日?" + _CLOCK,
    "compact": r"^(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})" + _CLOCK,
    "stamp": r"^(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})(?P<H>\d{2})(?P<M>\d{2})(?P<S>\d{2})?(?P<f>\d{3})?$",
    "dotted": r"^(?P<d>\d{1,2})\.(?P<m>\d{1,2})\.(?P<y>\d{4})" + _CLOCK,
    "either": r"^(?P<a>\d{1,2})[/-](?P<b>\d{1,2})[/-](?P<y>\d{4})" + _CLOCK,
    "month": rf"^{_MONTH}\s+(?P<d>\d{{1,2}}),?\s+(?P<y>\d{{4}})" + _CLOCK,
    "day": rf"^(?P<d>\d{{1,2}})[-\s]{_MONTH}[-\s](?P<y>\d{{4}})" + _CLOCK,
}
# Digits of a number since 1970 and its unit; 8, 12, 14 and 17 digits are dates written together.
EPOCHS = {9: "s", 10: "s", 12: "ms", 13: "ms", 15: "us", 16: "us", 18: "ns", 19: "ns"}
YEARS = (1700, 2200)
#: Date alone, with hours and minutes, with seconds, with a fraction of a second.
ISO_LENGTHS = frozenset({10, 16, 19, *range(21, 30)})
MONTHS = {
    name: number
    for number, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
    )
}


@dataclass(frozen=True)
class Where:
    """Where the cells came from, for the sentence of a refusal."""

    file: str
    column: str
    lines: NDArray[np.int64]

    def refuse(self, code: str, message: str, at: int, value: object, **params: Any) -> Refusal:
        return Refusal(
            code, message, field="file", file=self.file, line=int(self.lines[at]), column=self.column,
            value=shorten(value), **params,
        )  # fmt: skip


@dataclass(frozen=True)
class Times:
    """``wall`` is what the clock showed, ``utc`` the instant where the text says it (else NaT), both (N,).

    ``offsets`` are the offsets from UTC that the texts carry, an empty one where some carry none. ``orders``: of dates
    like 3/4/2024, whether a first and whether a second number is above 12; nothing for others.
    """

    wall: NDArray[np.datetime64]
    utc: NDArray[np.datetime64]
    offsets: tuple[str, ...] = ()
    orders: tuple[bool, bool] | None = None


def parse_times(texts: pd.Series, where: Where, *, date_order: str = "") -> Times:
    """Return the times of (N,) texts; raises ``Refusal`` ``bad_time`` or ``ambiguous_dates``."""
    import pandas as pd

    codes, unique = pd.factorize(texts)
    return parse_coded_times(codes, pd.Series(unique, dtype=str), where, date_order=date_order)


def parse_coded_times(
    codes: NDArray[np.int64], unique: pd.Series, where: Where, *, date_order: str = "", part: bool = False
) -> Times:
    """Return the times of (N,) texts, given as ``unique[codes]``.

    ``part``: of ambiguous dates the month is taken to come first instead of refusing them.
    """
    plain = _iso(unique)
    if plain is not None:
        return Times(plain[codes], np.full(len(codes), np.datetime64("NaT", "ns")))
    cells = unique.str.strip()
    if not len(cells) or (cells == "").any():
        at = int(np.argmax(codes == int(np.argmax(cells == "")))) if len(cells) else 0
        raise where.refuse("bad_time", UNKNOWN, at, "")
    cells = cells.str.replace(r"^(\d+)\.0$", r"\1", regex=True)
    first = np.full(len(unique), -1)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    parsed = _epochs(cells)
    if parsed is None:
        parsed = _written(cells, where, first, date_order, part)
    return Times(parsed.wall[codes], parsed.utc[codes], parsed.offsets, parsed.orders)


def _iso(unique: pd.Series) -> NDArray[np.datetime64] | None:
    """Return the times where all are written like 2024-03-28 or 2024-03-28 15:00:00, as most are; else None.

    What the patterns below would read the same way, a hundred times faster; whatever is in doubt is left to them.
    """
    texts = pa.array(unique, pa.string())
    lengths = set(pc.unique(pc.utf8_length(texts)).to_pylist())
    if lengths == {8} and pc.all(pc.match_substring_regex(texts, r"^[0-9]{8}$")).as_py():
        parts = [pc.utf8_slice_codeunits(texts, *span) for span in ((0, 4), (4, 6), (6, 8))]
        texts = pc.binary_join_element_wise(*parts, "-")
    elif not lengths or not lengths <= ISO_LENGTHS:
        return None
    try:
        times = texts.cast(pa.timestamp("ns")).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        return None
    first, last = YEARS
    inside = (times >= np.datetime64(f"{first}-01-01")) & (times < np.datetime64(f"{last + 1}-01-01"))
    return np.asarray(times, dtype="datetime64[ns]") if inside.all() else None


def _epochs(cells: pd.Series) -> Times | None:
    """Read numbers since 1970, where all cells are; they are instants, shown as UTC."""
    if not cells.str.fullmatch(r"\d{9,19}").all():
        return None
    lengths = set(cells.str.len())
    units = {EPOCHS.get(length) for length in lengths}
    if len(units) != 1 or None in units or (lengths == {12} and cells.str.match(r"(19|20)\d\d[01]").all()):
        return None
    step = {"s": 10**9, "ms": 10**6, "us": 1000, "ns": 1}[str(units.pop())]
    counts = cells.astype("uint64").to_numpy()
    if (counts > np.uint64((2**63 - 1) // step)).any():
        return None
    utc = (counts.astype(np.int64) * step).astype("datetime64[ns]")
    return Times(utc, utc)


def _written(cells: pd.Series, where: Where, first: NDArray[np.int64], date_order: str, part: bool) -> Times:
    name = next((name for name, pattern in PATTERNS.items() if re.match(pattern, cells.iloc[0], re.ASCII)), None)
    if name is None:
        raise where.refuse("bad_time", UNKNOWN, int(first[0]), cells.iloc[0])
    parts = cells.str.extract(PATTERNS[name], flags=re.ASCII)
    orders = None
    if name == "either":
        import pandas as pd

        orders = ((pd.to_numeric(parts["a"]) > 12).any().item(), (pd.to_numeric(parts["b"]) > 12).any().item())
        parts = _which_first(parts, cells, where, date_order or which_order(*orders) or ("mdy" if part else ""))
    if "mon" in parts:
        parts["m"] = parts["mon"].str.lower().str[:3].map(MONTHS)
    wall = _wall(parts)
    if np.isnat(wall).any():
        at = int(np.argmax(np.isnat(wall)))
        good = cells[~np.isnat(wall)]
        if not len(good):
            raise where.refuse("bad_time", UNKNOWN, int(first[at]), cells.iloc[at])
        raise where.refuse("bad_time", BAD, int(first[at]), cells.iloc[at], example=shorten(good.iloc[0]))
    offsets = tuple(sorted(parts["z"].fillna("").unique())) if "z" in parts else ()
    return Times(wall, _instants(parts, wall), offsets, orders)


def which_order(first_above: bool, second_above: bool) -> str:
    """Return dmy or mdy where a number above 12 tells it, else nothing."""
    return "dmy" if first_above else "mdy" if second_above else ""


def _which_first(parts: pd.DataFrame, cells: pd.Series, where: Where, order: str) -> pd.DataFrame:
    if not order:
        raise where.refuse("ambiguous_dates", AMBIGUOUS, 0, cells.iloc[0])
    day, month = ("a", "b") if order == "dmy" else ("b", "a")
    return parts.rename(columns={day: "d", month: "m"})


def _wall(parts: pd.DataFrame) -> NDArray[np.datetime64]:
    import pandas as pd

    def number(name: str) -> pd.Series:
        column = parts[name] if name in parts else pd.Series(np.nan, index=parts.index)
        return pd.to_numeric(column, errors="coerce")

    # Nanoseconds since 1970 end in 2262; what lies outside is no market's time.
    year = number("y").where(lambda years: years.between(*YEARS))
    dates = pd.DataFrame({"year": year, "month": number("m"), "day": number("d")})
    days = pd.to_datetime(dates, errors="coerce").to_numpy().astype("datetime64[ns]")
    hour, minute, second = (number(name).fillna(0).to_numpy(dtype=np.int64) for name in ("H", "M", "S"))
    if "p" in parts:
        half = parts["p"].str.lower()
        bad = half.notna().to_numpy() & ((hour < 1) | (hour > 12))
        hour = np.where(half.notna(), hour % 12, hour) + np.where(half == "pm", 12, 0)
        days = np.where(bad, np.datetime64("NaT"), days)
    fraction = parts["f"].fillna("").str.pad(9, "right", "0").to_numpy(dtype=object).astype(np.int64)
    outside = (hour > 23) | (minute > 59) | (second > 59)
    nanoseconds = ((hour * 60 + minute) * 60 + second) * 10**9 + fraction
    return np.where(outside, np.datetime64("NaT"), days + nanoseconds.astype("timedelta64[ns]"))


def _instants(parts: pd.DataFrame, wall: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """Return UTC where the text carries an offset, NaT elsewhere."""
    import pandas as pd

    if "z" not in parts or not parts["z"].notna().any():
        return np.full(len(wall), np.datetime64("NaT", "ns"))
    zone = parts["z"].replace({"Z": "+0000", "UTC": "+0000"}).str.replace(":", "")
    hours, minutes = (pd.to_numeric(text, errors="coerce").fillna(0) for text in (zone.str[1:3], zone.str[3:5]))
    minutes = (hours * 60 + minutes) * np.where(zone.str[0] == "-", -1, 1)
    offset = minutes.to_numpy(dtype=np.int64).astype("timedelta64[m]")
    return np.where(zone.notna(), wall - offset, np.datetime64("NaT"))


def is_daily(wall: NDArray[np.datetime64]) -> bool:
    """Tell whether every time shows the same clock, so that only the date means something."""
    of_day = wall - wall.astype("datetime64[D]")
    if not (of_day == of_day[0]).all():
        return False
    return bool(of_day[0] == np.timedelta64(0, "ns")) or len(np.unique(wall)) > 1


def bar_times(
    times: Times, where: Where, *, time_zone: str, daily: bool | None = None
) -> tuple[NDArray[np.datetime64], bool]:
    """Return the bars' times and whether they are daily: the session's date, or UTC of an intraday bar.

    ``daily`` None: where every time shows the same clock.
    """
    import pandas as pd

    if is_daily(times.wall) if daily is None else daily:
        return times.wall.astype("datetime64[D]").astype("datetime64[ns]"), True
    naive = np.isnat(times.utc)
    if not naive.any():
        return times.utc, False
    local = pd.DatetimeIndex(times.wall).tz_localize(time_zone, ambiguous="NaT", nonexistent="NaT")  # type: ignore[arg-type]
    utc = local.tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[ns]")
    lost = naive & np.isnat(utc)
    if lost.any():
        at = int(np.argmax(lost))
        raise where.refuse("bad_time", NO_SUCH_HOUR, at, times.wall[at].astype("datetime64[s]"), zone=time_zone)
    return np.where(naive, utc, times.utc), False


def strange_offsets(offsets: Sequence[str]) -> tuple[str, ...]:
    """Return the offsets where they are more than one zone explains: some without, or further apart than an hour."""
    if len(offsets) < 2:
        return ()
    minutes = [_minutes(text) for text in offsets if text]
    if "" in offsets or max(minutes) - min(minutes) > 60:
        return tuple(text or "–" for text in offsets)
    return ()


def _minutes(offset: str) -> int:
    if offset in ("Z", "UTC"):
        return 0
    digits = offset[1:].replace(":", "").ljust(4, "0")
    return (int(digits[:2]) * 60 + int(digits[2:])) * (-1 if offset[0] == "-" else 1)
