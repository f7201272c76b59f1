"""What the adapters of vendors' packages have in common: symbols asked one by one, only what is over, as CSV."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from math import isnan
from typing import Any, TypeVar

from pydantic import Field, field_validator

from apps.marketdata.engine.market_status import last_closed_session
from apps.marketdata.engine.sources.config import FROM, SourceConfig, days_again, extra, first_day_asked, symbol_list
from apps.marketdata.engine.sources.port import Fetched, Job, Piece, Said, Stopped, TryAgain
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

NO_SYMBOLS = N_("Name the symbols to fetch.")
FAILED = N_("%(vendor)s failed: %(reason)s")
CHANGED = N_(
    "%(vendor)s answered without the columns %(missing)s. This source does not know the installed version of it."
)
NO_TOKEN = N_("%(vendor)s needs your token: keep it as a secret and choose it.")
REACHED = N_("%(vendor)s answers: %(rows)s bars of %(symbol)s, the newest of %(day)s.")
NOTHING = N_("%(vendor)s answers, but has no bars of %(symbol)s.")
FEW_DAYS = 30
T = TypeVar("T")


class VendorConfig(SourceConfig):
    """Which symbols, from when."""

    symbols: str = Field(
        "",
        max_length=60_000,
        title=N_("Symbols"),
        description=N_("As the vendor spells them, separated by commas."),
        json_schema_extra=extra(FROM, widget="expression"),
    )
    start: date = first_day_asked(date(2010, 1, 1), N_("Where the first sync begins."))
    overlap: int = days_again(7, 1, N_("Days before the newest bar, for corrections."))

    @field_validator("symbols")
    @classmethod
    def _names(cls, value: str) -> str:
        found = symbol_list(value)
        if not found:
            raise Refusal("no_symbols", NO_SYMBOLS, field="symbols")
        return ", ".join(found)


def asked(vendor: str, ask: Callable[[], T]) -> T:
    """Return the vendor's answer; whatever its package raises is a reason to try again later."""
    try:
        return ask()
    except (Refusal, Stopped):
        raise
    except Exception as error:  # packages of vendors raise anything, plain Exception among it
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise TryAgain("vendor_failed", FAILED, status=502, vendor=vendor, reason=reason) from error


def columns_of(vendor: str, frame: Any, names: Iterable[str]) -> list[str]:
    """Return ``names`` if the table has them all. Raises ``Refusal`` ``vendor_changed``."""
    wanted = list(names)
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        raise Refusal("vendor_changed", CHANGED, status=502, vendor=vendor, missing=", ".join(missing))
    return wanted


def last_day(job: Job, calendar: str) -> date:
    """Return the newest day whose bar cannot change any more; yesterday where the calendar does not know."""
    try:
        return last_closed_session(job.config.calendar or calendar, job.now)
    except Refusal:
        return job.now.date() - timedelta(days=1)


@dataclass
class Writer:
    """Writes the bars of each symbol to a file of its own in the job's folder, and what they were to the provenance."""

    job: Job
    vendor: str
    files: list[Any] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)

    def add(self, symbol: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Keep rows (the first cell is the time); none are no file."""
        if not rows:
            return
        path = self.job.folder / f"{re.sub(r'[^A-Za-z0-9.-]', '_', symbol)[:60]}.csv"
        if path.exists():  # BTC/USDT and BTC_USDT
            path = path.with_stem(f"{path.stem}.{len(self.files)}")
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([header[0], "symbol", *header[1:]])
            writer.writerows([row[0], symbol, *(_cell(value) for value in row[1:])] for row in rows)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        self.files.append(path)
        self.pieces.append(Piece(f"{self.vendor} {symbol}", digest, path.stat().st_size, len(rows)))

    def fetched(self, **more: Any) -> Fetched:
        return Fetched(tuple(self.files), tuple(self.pieces), **more)


def _cell(value: Any) -> Any:
    return "" if value is None or (isinstance(value, float) and isnan(value)) else value


def each(job: Job, vendor: str) -> Iterable[str]:
    """Yield the symbols of the configuration and show how far it is."""
    names = symbol_list(job.config.symbols)
    for number, name in enumerate(names):
        job.progress(number / len(names), f"{vendor} {name}")
        yield name


def first_day(job: Job, name: str) -> date:
    """Return where to begin with a symbol: some days before its newest bar, or where the configuration says."""
    return job.since(name, job.config.overlap) or job.config.start


def tried(vendor: str, symbol: str, days: Sequence[Any]) -> Said:
    """Return what a test found."""
    if not len(days):
        return Said(NOTHING, {"vendor": vendor, "symbol": symbol})
    params = {"vendor": vendor, "symbol": symbol, "rows": len(days), "day": max(map(str, days))}
    return Said(REACHED, params)


def token_of(job: Job, vendor: str) -> str:
    """Return the token of the chosen secret. Raises ``Refusal`` ``no_token``."""
    token = job.secret.get("token", "")
    if not token:
        raise Refusal("no_token", NO_TOKEN, field="credential", vendor=vendor)
    return token


def frame_rows(frame: Any, columns: Mapping[str, str]) -> tuple[list[str], list[list[Any]]]:
    """Return header and rows of a table under our names; ``columns`` maps the vendor's names to ours."""
    return list(columns.values()), frame[list(columns)].values.tolist()
