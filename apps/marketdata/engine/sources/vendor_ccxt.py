"""Crypto exchanges through the package ccxt.

Calls, as https://docs.ccxt.com documents them (Manual, "OHLCV Candlestick Charts"): ``exchanges``, the
exchange's class with ``apiKey``, ``secret``, ``password`` and ``enableRateLimit``, ``load_markets()``,
``symbols``, ``timeframes``, ``has["fetchOHLCV"]`` and ``fetch_ohlcv(symbol, timeframe, since, limit)``
returning ``[[start in ms UTC, open, high, low, close, volume], …]``, oldest first; the last may be unfinished.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, ClassVar, Literal

from pydantic import Field

from apps.marketdata.engine.sources.config import FROM, SourceConfig, extra, preset, symbol_list
from apps.marketdata.engine.sources.port import MOST_SYMBOLS, Fetched, Job, Said
from apps.marketdata.engine.sources.vendors import FEW_DAYS, VendorConfig, Writer, asked, each, first_day, tried
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

VENDOR = "ccxt"
HEADER = ("datetime", "open", "high", "low", "close", "volume")
SECONDS = {"1m": 60, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "1d": 86_400}
LIMIT = 500
NO_EXCHANGE = N_("ccxt knows no exchange %(exchange)s.")
NO_CANDLES = N_("%(exchange)s has no bars of %(timeframe)s.")
NO_SYMBOL = N_("%(exchange)s has no market %(symbol)s. It is spelled like BTC/USDT.")


class CcxtConfig(VendorConfig):
    exchange: str = Field(
        "binance",
        max_length=40,
        pattern=r"^[a-z0-9_]+$",
        title=N_("Exchange"),
        description=N_("As ccxt names it, like binance, okx or kraken."),
        json_schema_extra=extra(FROM),
    )
    timeframe: Literal["1d", "1h", "30m", "15m", "5m", "1m"] = Field(
        "1d", title=N_("Bars"), description=N_("Days are those of UTC."), json_schema_extra=extra(FROM)
    )
    calendar: str = preset("calendar", "24/7")


class CcxtSource:
    """Bars of spot and swap markets; only finished ones."""

    label: ClassVar[str] = "CCXT"
    summary: ClassVar[str] = N_("Crypto exchanges, by day or minute. Needs the package ccxt.")
    config: ClassVar[type[SourceConfig]] = CcxtConfig
    secret: ClassVar[str] = N_("Only for exchanges that ask for it: JSON with apiKey and secret that may read.")
    requires: ClassVar[str] = "ccxt"

    def test(self, job: Job) -> Said:
        exchange, name = self._exchange(job), symbol_list(job.config.symbols)[0]
        since = _milliseconds(job.now - timedelta(days=FEW_DAYS))
        rows = asked(VENDOR, lambda: exchange.fetch_ohlcv(name, job.config.timeframe, since, LIMIT))
        return tried(VENDOR, name, [f"{_moment(row[0]):%Y-%m-%d}" for row in rows])

    def symbols(self, job: Job) -> Sequence[str]:
        return sorted(str(name) for name in self._exchange(job).symbols)[:MOST_SYMBOLS]

    def fetch(self, job: Job) -> Fetched:
        exchange, frame = self._exchange(job), job.config.timeframe
        writer = Writer(job, f"{VENDOR} {job.config.exchange}")
        for name in each(job, VENDOR):
            if name not in exchange.symbols:
                raise Refusal("no_market", NO_SYMBOL, field="symbols", exchange=job.config.exchange, symbol=name)
            start = datetime.combine(first_day(job, name), datetime.min.time(), UTC)
            rows = list(self._candles(job, exchange, name, _milliseconds(start)))
            writer.add(name, HEADER, [[_stamp(row[0], frame), *row[1:6]] for row in rows])
        return writer.fetched(reading={"volume_unit": 1, "daily": frame == "1d"})

    @staticmethod
    def _candles(job: Job, exchange: Any, name: str, since: int) -> Iterator[list[Any]]:
        """Yield finished bars, page by page, each once."""
        step, now = SECONDS[job.config.timeframe] * 1000, _milliseconds(job.now)
        while since + step <= now:
            ask = partial(exchange.fetch_ohlcv, name, job.config.timeframe, since, LIMIT)
            page: list[list[Any]] = asked(VENDOR, ask)
            fresh = [row for row in page if since <= row[0] and row[0] + step <= now]
            yield from fresh
            if not fresh:
                return
            since = int(fresh[-1][0]) + step
            job.progress(min(1.0, since / now), f"{VENDOR} {name}")

    @staticmethod
    def _exchange(job: Job) -> Any:
        import ccxt

        wanted = job.config.exchange
        if wanted not in ccxt.exchanges:
            raise Refusal("unknown_exchange", NO_EXCHANGE, field="exchange", exchange=wanted)
        keys = {name: job.secret[name] for name in ("apiKey", "secret", "password") if job.secret.get(name)}
        exchange = getattr(ccxt, wanted)({"enableRateLimit": True, "timeout": 30_000, **keys})
        asked(VENDOR, exchange.load_markets)
        if not exchange.has.get("fetchOHLCV") or job.config.timeframe not in (exchange.timeframes or {}):
            raise Refusal("no_candles", NO_CANDLES, field="timeframe", exchange=wanted, timeframe=job.config.timeframe)
        return exchange


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _moment(milliseconds: float) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _stamp(milliseconds: float, timeframe: str) -> str:
    """Return the day of a daily bar, the end of any other; ccxt gives the start."""
    start = _moment(milliseconds)
    if timeframe == "1d":
        return f"{start:%Y-%m-%d}"
    return f"{start + timedelta(seconds=SECONDS[timeframe]):%Y-%m-%dT%H:%M:%S+00:00}"
