"""A-shares by day through the package akshare (Eastmoney's figures).

Calls, as https://akshare.akfamily.xyz/data/stock/stock.html documents them:
``stock_zh_a_hist(symbol, period, start_date, end_date, adjust)`` with the columns 日期 开盘 收盘 最高 最低
成交量 (lots of 100) 成交额 (yuan), and ``stock_info_a_code_name()`` with ``code`` and ``name``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, ClassVar, Literal

from pydantic import Field

from apps.marketdata.engine.sources.config import FROM, SourceConfig, extra, preset, symbol_list
from apps.marketdata.engine.sources.port import MOST_SYMBOLS, Fetched, Job, Said
from apps.marketdata.engine.sources.vendors import (
    FEW_DAYS,
    VendorConfig,
    Writer,
    asked,
    columns_of,
    each,
    first_day,
    frame_rows,
    last_day,
    tried,
)
from apps.marketdata.engine.symbols import canonical
from apps.ui.engine.text import N_

VENDOR = "akshare"
CALENDAR = "XSHG"
LOT = 100
COLUMNS = {
    "日期": "date", "开盘": "open", "最高": "high", "最低": "low", "收盘": "close", "成交量": "volume",
    "成交额": "amount",
}  # fmt: skip


class AkshareConfig(VendorConfig):
    calendar: str = preset("calendar", CALENDAR)
    currency: str = preset("currency", "CNY")
    adjust: Literal["hfq", "qfq"] = Field(
        "hfq",
        title=N_("Adjusted how"),
        description=N_("Backward keeps the oldest price, forward the newest. Both are fetched whole each time."),
        json_schema_extra=extra(FROM, only={"prices": "adjusted"}),
    )


class AkshareSource:
    """Daily bars of the symbols named, as traded or adjusted."""

    label: ClassVar[str] = "AKShare"
    summary: ClassVar[str] = N_("A-shares by day, without a token. Needs the package akshare.")
    config: ClassVar[type[SourceConfig]] = AkshareConfig
    secret: ClassVar[str] = ""
    requires: ClassVar[str] = "akshare"

    def test(self, job: Job) -> Said:
        name = symbol_list(job.config.symbols)[0]
        end = last_day(job, CALENDAR)
        frame = self._bars(job, name, end - timedelta(days=FEW_DAYS), end)
        return tried(VENDOR, name, list(frame["日期"]) if len(frame) else [])

    def symbols(self, job: Job) -> Sequence[str]:
        import akshare

        frame = asked(VENDOR, akshare.stock_info_a_code_name)
        columns_of(VENDOR, frame, ["code"])
        return [str(code) for code in frame["code"]][:MOST_SYMBOLS]

    def fetch(self, job: Job) -> Fetched:
        writer, end, adjusted = Writer(job, VENDOR), last_day(job, CALENDAR), job.config.prices == "adjusted"
        for name in each(job, VENDOR):
            start = job.config.start if adjusted else first_day(job, name)
            if start > end:
                continue
            frame = self._bars(job, name, start, end)
            if len(frame):
                header, rows = frame_rows(frame, COLUMNS)
                writer.add(canonical(digits(name)), header, [_in_shares(row) for row in rows])
        return writer.fetched(whole=adjusted, reading={"volume_unit": 1, "daily": True})

    @staticmethod
    def _bars(job: Job, name: str, start: date, end: date) -> Any:
        import akshare

        frame = asked(
            VENDOR,
            lambda: akshare.stock_zh_a_hist(
                symbol=digits(name), period="daily", start_date=f"{start:%Y%m%d}", end_date=f"{end:%Y%m%d}",
                adjust=job.config.adjust if job.config.prices == "adjusted" else "",
            ),
        )  # fmt: skip
        if len(frame):  # nothing is a table without columns
            columns_of(VENDOR, frame, COLUMNS)
        return frame


def digits(name: str) -> str:
    """Return the six digits akshare knows a share by: 600000 of SH600000, sh.600000 or 600000.SH."""
    found = re.search(r"\d{6}", name)
    return found.group() if found else name


def _in_shares(row: list[Any]) -> list[Any]:
    at = list(COLUMNS.values()).index("volume")
    return [*row[:at], row[at] * LOT, *row[at + 1 :]]
