"""Yahoo Finance through the package yfinance.

Calls, as https://ranaroussi.github.io/yfinance/reference/ documents them: ``Ticker(symbol).history(interval,
start, end, auto_adjust, actions, timeout, raise_errors)``; end is exclusive, intraday times are the start
of the bar with their zone. With ``auto_adjust=False`` prices are adjusted for splits all the same
(advanced/price_adjustment), so splits are no events here, and the history is restated by each new one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar, Literal

from pydantic import Field

from apps.marketdata.engine.sources.config import FROM, SourceConfig, extra, symbol_list
from apps.marketdata.engine.sources.port import Fetched, Job, Said
from apps.marketdata.engine.sources.vendors import (
    FEW_DAYS,
    VendorConfig,
    Writer,
    asked,
    columns_of,
    each,
    first_day,
    last_day,
    tried,
)
from apps.ui.engine.text import N_

VENDOR = "yfinance"
CALENDAR = "XNYS"
COLUMNS = ("Open", "High", "Low", "Close", "Volume", "Dividends")
HEADER = ("datetime", "open", "high", "low", "close", "volume", "dividends")
SECONDS = {"1h": 3600, "30m": 1800, "15m": 900, "5m": 300}
#: How far back Yahoo has bars of an hour, and shorter ones.
REACH = {"1h": 729, "30m": 59, "15m": 59, "5m": 59}


class YfinanceConfig(VendorConfig):
    interval: Literal["1d", "1h", "30m", "15m", "5m"] = Field(
        "1d",
        title=N_("Bars"),
        description=N_("Of shorter ones than a day Yahoo has the last two months or two years."),
        json_schema_extra=extra(FROM),
    )


class YfinanceSource:
    """Daily or intraday bars, adjusted for splits (raw) or for everything (adjusted)."""

    label: ClassVar[str] = "Yahoo Finance"
    summary: ClassVar[str] = N_("Shares, funds, indices, currencies worldwide. Needs the package yfinance.")
    config: ClassVar[type[SourceConfig]] = YfinanceConfig
    secret: ClassVar[str] = ""
    requires: ClassVar[str] = "yfinance"

    def test(self, job: Job) -> Said:
        name = symbol_list(job.config.symbols)[0]
        day = job.now.date()
        frame = self._bars(job, name, day - timedelta(days=FEW_DAYS), day + timedelta(days=1))
        return tried(VENDOR, name, [f"{moment:%Y-%m-%d}" for moment in frame.index])

    def symbols(self, job: Job) -> Sequence[str]:
        return symbol_list(job.config.symbols)  # Yahoo tells no list

    def fetch(self, job: Job) -> Fetched:
        writer, daily, whole = Writer(job, VENDOR), job.config.interval == "1d", job.config.prices == "adjusted"
        last = last_day(job, CALENDAR)
        for name in each(job, VENDOR):
            start = job.config.start if whole else first_day(job, name)
            if not daily:
                start = max(start, job.now.date() - timedelta(days=REACH[job.config.interval]))
            frame = self._bars(job, name, start, job.now.date() + timedelta(days=1))
            rows = [
                [_time(moment, job.config.interval), *values]
                for moment, values in zip(frame.index, _values(frame, whole), strict=True)
                if (moment.date() <= last if daily else _end(moment, job.config.interval) <= job.now)
            ]
            writer.add(name, HEADER[:6] if whole else HEADER, rows)
        return writer.fetched(whole=whole, restates=True, reading={"volume_unit": 1, "daily": daily})

    @staticmethod
    def _bars(job: Job, name: str, start: date, end: date) -> Any:
        import yfinance

        def ask() -> Any:
            try:
                return yfinance.Ticker(name).history(
                    interval=job.config.interval, start=str(start), end=str(end), actions=True, timeout=30,
                    auto_adjust=job.config.prices == "adjusted", raise_errors=True,
                )  # fmt: skip
            except Exception as error:
                # "No prices in this range" is no failure of a symbol that is held already.
                if type(error).__name__ == "YFPricesMissingError" and job.since(name) is not None:
                    import pandas

                    return pandas.DataFrame(columns=list(COLUMNS))
                raise

        frame = asked(VENDOR, ask)
        columns_of(VENDOR, frame, COLUMNS)
        return frame


def _values(frame: Any, whole: bool) -> Any:
    return frame[list(COLUMNS[:5] if whole else COLUMNS)].values.tolist()


def _end(moment: datetime, interval: str) -> datetime:
    """Return when an intraday bar ends; it carries its start."""
    return moment.astimezone(UTC) + timedelta(seconds=SECONDS[interval])


def _time(moment: datetime, interval: str) -> str:
    return f"{moment:%Y-%m-%d}" if interval == "1d" else f"{_end(moment, interval):%Y-%m-%dT%H:%M:%S+00:00}"
