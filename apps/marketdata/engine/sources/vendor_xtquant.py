"""Bars of a running QMT terminal through the package xtquant.

Calls, as https://dict.thinktrader.net/nativeApi/xtdata.html documents them: ``xtdata.download_history_data(
stock_code, period, start_time, end_time)`` fills the terminal's cache, ``get_market_data_ex(field_list,
stock_list, period, start_time, end_time, count, dividend_type, fill_data)`` reads it as code → table with
time (ms), open, high, low, close, volume, amount, preClose, suspendFlag, and
``get_stock_list_in_sector(sector_name)`` lists a sector.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import Field

from apps.marketdata.engine.sources.config import FROM, SourceConfig, extra, preset, symbol_list
from apps.marketdata.engine.sources.port import MOST_SYMBOLS, Fetched, Job, Said
from apps.marketdata.engine.sources.vendor_tushare import code
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
from apps.marketdata.engine.symbols import canonical
from apps.ui.engine.text import N_

VENDOR = "xtquant"
CALENDAR = "XSHG"
SHANGHAI = ZoneInfo("Asia/Shanghai")
FIELDS = ("time", "open", "high", "low", "close", "volume", "amount", "preClose", "suspendFlag")
HEADER = ("datetime", "open", "high", "low", "close", "volume", "amount", "prev_close", "suspended")
DIVIDENDS = {"raw": "none", "adjusted": "back_ratio"}


class XtquantConfig(VendorConfig):
    calendar: str = preset("calendar", CALENDAR)
    currency: str = preset("currency", "CNY")
    volume_unit: int = preset(
        "volume_unit", 100, description=N_("Shares in one unit of volume; the terminal counts shares in lots of 100.")
    )
    period: Literal["1d", "5m", "1m"] = Field(
        "1d", title=N_("Bars"), description=N_("Minute bars are stamped with their end."), json_schema_extra=extra(FROM)
    )
    sector: str = Field(
        "沪深A股",
        max_length=40,
        title=N_("Sector"),
        description=N_("Whose symbols are listed."),
        json_schema_extra=extra(FROM),
    )


class XtquantSource:
    """Daily or minute bars from the QMT terminal on this machine."""

    label: ClassVar[str] = "QMT (xtquant)"
    summary: ClassVar[str] = N_("Bars of a QMT terminal that runs on this machine. Needs the package xtquant.")
    config: ClassVar[type[SourceConfig]] = XtquantConfig
    secret: ClassVar[str] = ""
    requires: ClassVar[str] = "xtquant"

    def test(self, job: Job) -> Said:
        name = symbol_list(job.config.symbols)[0]
        end = last_day(job, CALENDAR)
        frame = self._bars(job, name, end - timedelta(days=FEW_DAYS), end)
        return tried(VENDOR, name, [f"{_local(time):%Y-%m-%d}" for time in frame["time"]] if len(frame) else [])

    def symbols(self, job: Job) -> Sequence[str]:
        from xtquant import xtdata

        found = asked(VENDOR, lambda: xtdata.get_stock_list_in_sector(job.config.sector))
        return [str(name) for name in found or ()][:MOST_SYMBOLS]

    def fetch(self, job: Job) -> Fetched:
        writer, end, whole = Writer(job, VENDOR), last_day(job, CALENDAR), job.config.prices == "adjusted"
        daily = job.config.period == "1d"
        for name in each(job, VENDOR):
            start = job.config.start if whole else first_day(job, name)
            if start > end:
                continue
            frame = self._bars(job, name, start, end)
            values = frame[list(FIELDS)].values.tolist() if len(frame) else []
            writer.add(canonical(name), HEADER, [_row(row, daily) for row in values if _local(row[0]).date() <= end])
        reading = {"volume_unit": job.config.volume_unit, "daily": daily, "time_zone": "Asia/Shanghai"}
        return writer.fetched(whole=whole, reading=reading)

    @staticmethod
    def _bars(job: Job, name: str, start: date, end: date) -> Any:
        from xtquant import xtdata

        span = {"start_time": f"{start:%Y%m%d}", "end_time": f"{end:%Y%m%d}"}
        period, spelled = job.config.period, code(name)
        asked(VENDOR, lambda: xtdata.download_history_data(spelled, period, **span))
        found = asked(
            VENDOR,
            lambda: xtdata.get_market_data_ex(
                field_list=[], stock_list=[spelled], period=period, count=-1, fill_data=False,
                dividend_type=DIVIDENDS[job.config.prices], **span,
            ),
        )  # fmt: skip
        frame = found.get(spelled)
        if frame is None or not len(frame):
            return []
        columns_of(VENDOR, frame, FIELDS)
        return frame


def _local(milliseconds: float) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, SHANGHAI)


def _row(row: list[Any], daily: bool) -> list[Any]:
    moment, flag = _local(row[0]), row[8]
    time = f"{moment:%Y-%m-%d}" if daily else f"{moment:%Y-%m-%dT%H:%M:%S%z}"
    # -1 says that trading resumed today.
    return [time, *row[1:8], 1 if flag == 1 else 0]
