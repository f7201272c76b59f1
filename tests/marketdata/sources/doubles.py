"""Local doubles of vendors' packages: the functions, arguments and columns that their documentation names.

Each takes exactly the documented arguments (another is a TypeError) and keeps what it was asked. Documentation
read: akshare.akfamily.xyz/data/stock/stock.html, tushare.pro/document/2 (doc_id 25, 27, 28),
ranaroussi.github.io/yfinance/reference, docs.ccxt.com (Manual), dict.thinktrader.net/nativeApi/xtdata.html.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from types import ModuleType
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd


def working_days(start: date, end: date) -> list[date]:
    days = np.arange(np.datetime64(start), np.datetime64(end) + 1)
    return [day.astype(date) for day in days[np.is_busday(days)]]


def _day(text: str) -> date:
    return datetime.strptime(text, "%Y%m%d").date()


class Akshare(ModuleType):
    """``stock_zh_a_hist`` and ``stock_info_a_code_name`` of akshare 1.19."""

    FIRST, LAST = date(2024, 3, 1), date(2024, 4, 30)

    def __init__(self) -> None:
        super().__init__("akshare")
        self.asked: list[dict] = []

    def stock_zh_a_hist(
        self, symbol="000001", period="daily", start_date="19700101", end_date="20500101", adjust="", timeout=None
    ):
        assert len(symbol) == 6, "six digits without the exchange"
        assert symbol.isdigit()
        assert period in ("daily", "weekly", "monthly")
        assert adjust in ("", "qfq", "hfq")
        self.asked.append({"symbol": symbol, "start": start_date, "end": end_date, "adjust": adjust})
        days = working_days(max(_day(start_date), self.FIRST), min(_day(end_date), self.LAST))
        if not days:
            return pd.DataFrame()
        rows = len(days)
        price = np.full(rows, 20.0 if adjust else 10.0)
        return pd.DataFrame({
            "日期": days, "股票代码": symbol, "开盘": price, "收盘": price + 0.5, "最高": price + 1, "最低": price - 1,
            "成交量": np.full(rows, 1234), "成交额": np.full(rows, 1234 * 100 * 10.2), "振幅": 1.0, "涨跌幅": 0.1, "涨跌额": 0.1, "换手率": 0.5,
        })  # fmt: skip

    def stock_info_a_code_name(self):
        return pd.DataFrame({"code": ["000001", "600000"], "name": ["平安银行", "浦发银行"]})


class Tushare(ModuleType):
    """``pro_api`` of tushare 1.4 and the three calls of its client."""

    FIRST, LAST, TOKEN = date(2024, 3, 1), date(2024, 4, 30), "t0ken-of-mine"

    def __init__(self, most_rows: int = 6000) -> None:
        super().__init__("tushare")
        self.asked: list[tuple] = []
        self.most_rows = most_rows

    def pro_api(self, token="", timeout=30):
        return _Pro(self, token)


class _Pro:
    def __init__(self, module: Tushare, token: str) -> None:
        self.module, self.token = module, token

    def _rows(self, name, ts_code, start_date, end_date):
        if self.token != self.module.TOKEN:
            raise Exception("抱歉，您输入的TOKEN无效！")  # what its client raises
        assert ts_code[6:] in (".SH", ".SZ", ".BJ")
        self.module.asked.append((name, ts_code, start_date, end_date))
        days = working_days(max(_day(start_date), self.module.FIRST), min(_day(end_date), self.module.LAST))
        return days[-self.module.most_rows :][::-1]  # newest first, at most so many

    def daily(self, ts_code="", trade_date="", start_date="", end_date=""):
        days = self._rows("daily", ts_code, start_date, end_date)
        rows = len(days)
        return pd.DataFrame({
            "ts_code": [ts_code] * rows, "trade_date": [f"{day:%Y%m%d}" for day in days], "open": 10.0, "high": 11.0, "low": 9.0,
            "close": 10.5, "pre_close": 10.5, "change": 0.0, "pct_chg": 0.0, "vol": 1234.5, "amount": 1296.2,
        })  # fmt: skip

    def adj_factor(self, ts_code="", trade_date="", start_date="", end_date=""):
        days = self._rows("adj_factor", ts_code, start_date, end_date)
        factors = [2.0 if day >= date(2024, 4, 15) else 1.0 for day in days]
        return pd.DataFrame(
            {"ts_code": ts_code, "trade_date": [f"{day:%Y%m%d}" for day in days], "adj_factor": factors}
        )

    def stock_basic(self, exchange="", list_status="L", fields=""):
        assert set(fields.split(",")) <= {"ts_code", "symbol", "name", "area", "industry", "list_date"}
        return pd.DataFrame({"ts_code": ["000001.SZ"], "symbol": ["000001"], "name": ["平安银行"]})


class YFPricesMissingError(Exception):
    """As yfinance.exceptions names it."""


class Yfinance(ModuleType):
    """``Ticker(symbol).history`` of yfinance 1.x; the price scale changes when ``splits`` does."""

    ZONE = ZoneInfo("America/New_York")

    def __init__(self) -> None:
        super().__init__("yfinance")
        self.asked: list[dict] = []
        self.scale, self.last = 1.0, date(2024, 3, 28)

    def Ticker(self, ticker, session=None):
        return _Ticker(self, ticker)


class _Ticker:
    def __init__(self, module: Yfinance, name: str) -> None:
        self.module, self.name = module, name

    def history(
        self, period=None, interval="1d", start=None, end=None, prepost=False, actions=True, auto_adjust=True, back_adjust=False,
        repair=False, keepna=False, rounding=False, timeout=10, raise_errors=False,
    ):  # fmt: skip
        self.module.asked.append(
            {"name": self.name, "start": start, "end": end, "auto_adjust": auto_adjust, "interval": interval}
        )
        first, stop = date.fromisoformat(start), date.fromisoformat(end)
        days = working_days(max(first, date(2024, 3, 1)), min(self.module.last, stop - timedelta(days=1)))
        if not days or self.name == "NONE":
            raise YFPricesMissingError(f"${self.name}: possibly delisted; no price data found")
        if interval == "1d":
            times = pd.DatetimeIndex([pd.Timestamp(day, tz=self.module.ZONE) for day in days], name="Date")
        else:
            step = {"1h": 60, "30m": 30, "15m": 15, "5m": 5}[interval]
            times = pd.DatetimeIndex(
                [
                    pd.Timestamp(day, tz=self.module.ZONE) + pd.Timedelta(minutes=570 + step * n)
                    for day in days
                    for n in range(390 // step)
                ],
                name="Datetime",
            )
        price = self.module.scale * np.array([100.0 + day.day for day in (times.date)])
        frame = {
            "Open": price,
            "High": price * 1.01,
            "Low": price * 0.99,
            "Close": price,
            "Volume": np.full(len(times), 1000),
        }
        if not auto_adjust:
            frame["Adj Close"] = price * 0.9
        if actions:
            frame |= {
                "Dividends": [0.5 if day == date(2024, 3, 15) else 0.0 for day in times.date],
                "Stock Splits": 0.0,
            }
        return pd.DataFrame(frame, index=times)


class Ccxt(ModuleType):
    """``exchanges``, one exchange's class and its unified methods of ccxt 4."""

    def __init__(self, page: int = 1000) -> None:
        super().__init__("ccxt")
        self.exchanges = ["binance", "nocandles"]
        self.asked: list[tuple] = []
        outer = self

        class Binance:
            id = "binance"
            has = {"fetchOHLCV": True}
            timeframes = {"1m": "1m", "5m": "5m", "1h": "1h", "1d": "1d"}

            def __init__(self, config=None):
                outer.config = dict(config or {})
                self.symbols = None

            def load_markets(self, reload=False, params=None):
                self.symbols = ["BTC/USDT", "ETH/USDT"]

            def fetch_ohlcv(self, symbol, timeframe="1m", since=None, limit=None, params=None):
                outer.asked.append((symbol, timeframe, since, limit))
                step = {"1m": 60, "5m": 300, "1h": 3600, "1d": 86_400}[timeframe] * 1000
                first = -(-max(since, outer.first) // step) * step
                count = min(limit or page, page)
                return [[at, 1.0, 2.0, 0.5, 1.5, 7.0] for at in range(first, outer.now + 1, step)][:count]

        class NoCandles(Binance):
            has = {"fetchOHLCV": False}

        self.binance, self.nocandles = Binance, NoCandles
        self.first = int(datetime(2024, 3, 20, tzinfo=UTC).timestamp() * 1000)
        self.now = int(datetime(2024, 3, 29, 23, 0, tzinfo=UTC).timestamp() * 1000)


class Xtdata(ModuleType):
    """``xtquant.xtdata``: a download fills the cache that the reading sees."""

    ZONE = ZoneInfo("Asia/Shanghai")

    def __init__(self) -> None:
        super().__init__("xtquant.xtdata")
        self.cache: set[str] = set()
        self.asked: list[dict] = []

    def download_history_data(self, stock_code, period, start_time="", end_time="", incrementally=None):
        assert stock_code[6:] in (".SH", ".SZ", ".BJ")
        self.cache.add(stock_code)

    def get_market_data_ex(
        self, field_list=(), stock_list=(), period="1d", start_time="", end_time="", count=-1, dividend_type="none", fill_data=True
    ):  # fmt: skip
        assert dividend_type in ("none", "front", "back", "front_ratio", "back_ratio")
        self.asked.append({"codes": stock_list, "start": start_time, "end": end_time, "dividend_type": dividend_type})
        found = {}
        for code in stock_list:
            if code not in self.cache:
                found[code] = pd.DataFrame()
                continue
            days = working_days(max(_day(start_time), date(2024, 3, 1)), min(_day(end_time), date(2024, 4, 30)))
            if period == "1d":
                times = [datetime(day.year, day.month, day.day, tzinfo=self.ZONE) for day in days]
            else:
                times = [
                    datetime(day.year, day.month, day.day, 9, 31, tzinfo=self.ZONE) + timedelta(minutes=n)
                    for day in days
                    for n in range(3)
                ]
            rows = len(times)
            found[code] = pd.DataFrame(
                {"time": [int(one.timestamp() * 1000) for one in times], "open": 10.0, "high": 11.0, "low": 9.0, "close": 10.5,
                 "volume": np.full(rows, 1234), "amount": np.full(rows, 1234 * 100 * 10.2), "settelementPrice": 0.0, "openInterest": 0,
                 "preClose": 10.5, "suspendFlag": 0},
                index=[f"{one:%Y%m%d}" if period == "1d" else f"{one:%Y%m%d%H%M%S}" for one in times],
            )  # fmt: skip
        return found

    def get_stock_list_in_sector(self, sector_name, real_timetag=-1):
        return ["000001.SZ", "600000.SH"] if sector_name == "沪深A股" else []
