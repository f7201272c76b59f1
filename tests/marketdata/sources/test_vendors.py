"""Each adapter against a double of its package: what is asked, what comes out, what is left out."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from types import ModuleType

import numpy as np
import pytest

from apps.marketdata.engine.readers import ReadOptions, read_bars
from apps.marketdata.engine.sources.port import Source, TryAgain
from apps.marketdata.engine.sources.registry import BUILTIN, kinds, ready_source, source_kind
from apps.ui.engine.config import InvalidConfig, validated
from apps.ui.engine.refusal import Refusal
from tests.marketdata.sources import doubles
from tests.marketdata.sources.conftest import NOW

VENDORS = ("akshare", "tushare", "yfinance", "ccxt", "xtquant")
TOKEN = {"token": doubles.Tushare.TOKEN}
#: During the trading of 2024-04-12, a Friday.
TRADING = datetime(2024, 4, 12, 3, 0, tzinfo=UTC)


@pytest.fixture
def package(monkeypatch):
    def use(double: ModuleType) -> ModuleType:
        monkeypatch.setitem(sys.modules, double.__name__, double)
        return double

    return use


def read(work, fetched):
    return read_bars(work.folder, ReadOptions(**fetched.reading)).panel


def held(symbol, day):
    return {symbol: np.datetime64(day, "ns")}


@pytest.mark.parametrize("key", VENDORS)
def test_a_package_that_is_not_installed_is_named_with_the_cure(key):
    with pytest.raises(Refusal) as caught:
        ready_source(key)
    assert (caught.value.code, caught.value.params["package"]) == ("package_missing", key)
    assert f"pip install {key}" in str(caught.value)


def test_every_kind_keeps_the_port_and_says_what_it_is():
    assert [kind.key for kind in kinds()][: len(BUILTIN)] == list(BUILTIN)
    for kind in kinds():
        assert isinstance(kind.source, Source), kind.problem
        assert kind.source.label
        assert kind.source.summary
        for name, field in kind.source.config.model_fields.items():
            assert field.title, (kind.key, name)
            assert field.json_schema_extra["group"], (kind.key, name)


@pytest.mark.parametrize("key", VENDORS)
@pytest.mark.parametrize("symbols", ["", " , ", "A" * 33])
def test_symbols_are_asked_for(key, symbols):
    with pytest.raises(InvalidConfig) as caught:
        validated(source_kind(key).config, {"symbols": symbols})
    assert caught.value.field == "symbols"


# akshare


def test_akshare_gives_shares_and_yuan(job, package):
    ak = package(doubles.Akshare())
    work = job("akshare", symbols="600000.SH, 000001", start="2024-03-25")
    fetched = source_kind("akshare").fetch(work)
    assert ak.asked[0] == {"symbol": "600000", "start": "20240325", "end": "20240329", "adjust": ""}
    panel = read(work, fetched)
    assert (panel.symbols, len(panel.times)) == (("SH600000", "SZ000001"), 5)
    assert (panel.volume[0, 0], round(panel.fields["vwap"][0, 0], 6)) == (123_400, 10.2)
    assert [piece.what for piece in fetched.pieces] == ["akshare SH600000", "akshare SZ000001"]
    assert not fetched.whole


def test_akshare_asks_only_what_came_since_and_never_an_unfinished_day(job, package):
    ak = package(doubles.Akshare())
    work = job("akshare", symbols="600000", held=held("SH600000", "2024-04-10"), overlap=2, now=TRADING)
    panel = read(work, source_kind("akshare").fetch(work))
    assert (ak.asked[0]["start"], ak.asked[0]["end"]) == ("20240408", "20240411")
    assert str(panel.times[-1])[:10] == "2024-04-11"


def test_adjusted_prices_are_fetched_whole(job, package):
    ak = package(doubles.Akshare())
    work = job(
        "akshare",
        symbols="600000",
        prices="adjusted",
        adjust="qfq",
        start="2024-03-25",
        held=held("SH600000", "2024-03-28"),
    )
    fetched = source_kind("akshare").fetch(work)
    assert (fetched.whole, ak.asked[0]["start"], ak.asked[0]["adjust"]) == (True, "20240325", "qfq")


def test_akshare_without_rows_is_nothing_new(job, package):
    package(doubles.Akshare())
    assert source_kind("akshare").fetch(job("akshare", symbols="600000", start="2024-03-30", now=NOW)).files == ()


def test_akshare_lists_and_tests(job, package):
    package(doubles.Akshare())
    work = job("akshare", symbols="600000")
    assert source_kind("akshare").symbols(work) == ["000001", "600000"]
    assert "the newest of 2024-03-29" in str(source_kind("akshare").test(work))


def test_columns_that_are_gone_are_named(job, package, monkeypatch):
    ak = package(doubles.Akshare())
    whole = ak.stock_zh_a_hist
    monkeypatch.setattr(ak, "stock_zh_a_hist", lambda **asked: whole(**asked).drop(columns="成交额"), raising=False)
    with pytest.raises(Refusal) as caught:
        source_kind("akshare").fetch(job("akshare", symbols="600000", start="2024-03-25"))
    assert (caught.value.code, caught.value.params["missing"]) == ("vendor_changed", "成交额")


def test_what_a_package_raises_is_tried_again(job, package, monkeypatch):
    ak = package(doubles.Akshare())

    def fail(**asked):
        raise ConnectionError("Remote end closed connection\nwith details")

    monkeypatch.setattr(ak, "stock_zh_a_hist", fail, raising=False)
    with pytest.raises(TryAgain) as caught:
        source_kind("akshare").fetch(job("akshare", symbols="600000"))
    assert str(caught.value) == "akshare failed: Remote end closed connection"


# tushare


def test_tushare_gives_shares_yuan_reference_closes_and_factors(job, package):
    ts = package(doubles.Tushare())
    work = job("tushare", symbols="600000", start="2024-04-11", secret=TOKEN, now=datetime(2024, 4, 16, 9, tzinfo=UTC))
    panel = read(work, source_kind("tushare").fetch(work))
    assert ts.asked == [
        ("daily", "600000.SH", "20240411", "20240416"),
        ("adj_factor", "600000.SH", "20240411", "20240416"),
    ]
    assert panel.symbols == ("SH600000",)
    assert (panel.volume[0, 0], panel.fields["amount"][0, 0], panel.fields["prev_close"][0, 0]) == (
        123_450,
        1_296_200,
        10.5,
    )
    assert panel.fields["factor"][0].tolist() == [1, 1, 2, 2]
    event = read_bars(work.folder).events[0]
    assert (str(event.day), event.kind, event.ratio) == ("2024-04-15", "split", 2.0)


def test_tushare_is_asked_in_parts_where_one_answer_has_no_room(job, package, monkeypatch):
    from apps.marketdata.engine.sources import vendor_tushare

    monkeypatch.setattr(vendor_tushare, "MOST_ROWS", 7)
    ts = package(doubles.Tushare(most_rows=7))
    work = job("tushare", symbols="600000.SH", start="2024-03-01", secret=TOKEN)
    monkeypatch.setattr(vendor_tushare.TushareSource, "_factors", staticmethod(lambda *args: {}))
    panel = read(work, source_kind("tushare").fetch(work))
    assert len(panel.times) == 21
    assert len(ts.asked) == 3
    assert [asked[3] for asked in ts.asked] == ["20240329", "20240320", "20240311"]


def test_tushare_without_a_token_or_with_a_wrong_one_is_refused(job, package):
    package(doubles.Tushare())
    with pytest.raises(Refusal) as caught:
        source_kind("tushare").fetch(job("tushare", symbols="600000"))
    assert (caught.value.code, caught.value.field) == ("no_token", "credential")
    with pytest.raises(TryAgain) as wrong:
        source_kind("tushare").fetch(job("tushare", symbols="600000", secret={"token": "another"}))
    assert "TOKEN" in str(wrong.value)


def test_tushare_lists_and_tests(job, package):
    package(doubles.Tushare())
    work = job("tushare", symbols="600000", secret=TOKEN)
    assert source_kind("tushare").symbols(work) == ["000001.SZ"]
    assert "the newest of 20240329" in str(source_kind("tushare").test(work))


# yfinance


def test_yfinance_gives_bars_adjusted_for_splits_with_payouts(job, package):
    yf = package(doubles.Yfinance())
    work = job("yfinance", symbols="AAPL", start="2024-03-12")
    fetched = source_kind("yfinance").fetch(work)
    assert yf.asked[0] == {
        "name": "AAPL",
        "start": "2024-03-12",
        "end": "2024-03-30",
        "auto_adjust": False,
        "interval": "1d",
    }
    imported = read_bars(work.folder, ReadOptions(**fetched.reading))
    assert (len(imported.panel.times), str(imported.panel.times[0])[:10]) == (13, "2024-03-12")
    assert [(str(event.day), event.kind, event.cash) for event in imported.events] == [("2024-03-15", "dividend", 0.5)]
    assert (fetched.restates, fetched.whole) == (True, False)


def test_yfinance_leaves_out_the_day_that_is_not_over(job, package):
    yf = package(doubles.Yfinance())
    yf.last = date(2024, 4, 12)
    work = job("yfinance", symbols="AAPL", start="2024-04-08", now=datetime(2024, 4, 12, 15, tzinfo=UTC))
    assert str(read(work, source_kind("yfinance").fetch(work)).times[-1])[:10] == "2024-04-11"


def test_yfinance_stamps_intraday_bars_with_their_end_and_leaves_out_the_unfinished(job, package):
    yf = package(doubles.Yfinance())
    yf.last = date(2024, 4, 12)
    now = datetime(2024, 4, 12, 14, 40, tzinfo=UTC)  # 10:40 in New York
    work = job("yfinance", symbols="AAPL", start="2024-04-12", interval="30m", now=now)
    panel = read(work, source_kind("yfinance").fetch(work))
    assert [str(time)[11:16] for time in panel.times] == ["14:00", "14:30"]
    assert panel.frequency == "30min"


def test_yfinance_adjusted_is_whole_and_has_no_events(job, package):
    yf = package(doubles.Yfinance())
    work = job("yfinance", symbols="AAPL", start="2024-03-12", prices="adjusted", held=held("AAPL", "2024-03-27"))
    fetched = source_kind("yfinance").fetch(work)
    assert (fetched.whole, yf.asked[0]["auto_adjust"], yf.asked[0]["start"]) == (True, True, "2024-03-12")
    assert read_bars(work.folder).events == ()


def test_yfinance_without_new_prices_of_a_symbol_held_is_nothing_new_and_of_another_an_error(job, package):
    package(doubles.Yfinance())
    assert source_kind("yfinance").fetch(job("yfinance", symbols="NONE", held=held("NONE", "2024-03-27"))).files == ()
    with pytest.raises(TryAgain) as caught:
        source_kind("yfinance").fetch(job("yfinance", symbols="NONE"))
    assert "delisted" in str(caught.value)


def test_yfinance_tests_and_names_what_was_asked(job, package):
    package(doubles.Yfinance())
    work = job("yfinance", symbols="AAPL, MSFT")
    assert source_kind("yfinance").symbols(work) == ["AAPL", "MSFT"]
    assert "AAPL, the newest of 2024-03-28" in str(source_kind("yfinance").test(work))


# ccxt


def test_ccxt_pages_through_finished_bars_each_once(job, package):
    cc = package(doubles.Ccxt(page=50))
    work = job("ccxt", symbols="BTC/USDT", timeframe="1h", start="2024-03-01")
    panel = read(work, source_kind("ccxt").fetch(work))
    assert (panel.symbols, panel.frequency, len(panel.times)) == (("BTC/USDT",), "1h", 239)
    assert [str(panel.times[0])[:16], str(panel.times[-1])[:16]] == ["2024-03-20T01:00", "2024-03-29T23:00"]
    assert len(cc.asked) == 5
    assert cc.config["enableRateLimit"] is True


def test_ccxt_gives_whole_days_only(job, package):
    package(doubles.Ccxt())
    work = job("ccxt", symbols="BTC/USDT, ETH/USDT", held=held("BTC/USDT", "2024-03-27"), start="2024-03-26", overlap=1)
    panel = read(work, source_kind("ccxt").fetch(work))
    assert [str(time)[:10] for time in panel.times] == ["2024-03-26", "2024-03-27", "2024-03-28"]


def test_ccxt_hands_over_the_keys_it_is_given_and_no_other(job, package):
    cc = package(doubles.Ccxt())
    secret = {"apiKey": "key-1", "secret": "sec-1", "hostname": "169.254.169.254"}  # pragma: allowlist secret
    source_kind("ccxt").fetch(job("ccxt", symbols="BTC/USDT", secret=secret))
    assert set(cc.config) == {"enableRateLimit", "timeout", "apiKey", "secret"}


@pytest.mark.parametrize(
    ("more", "code"),
    [({"exchange": "mtgox"}, "unknown_exchange"), ({"exchange": "nocandles"}, "no_candles"), ({"timeframe": "15m"}, "no_candles"), ({"symbols": "DOGE/USD"}, "no_market")],
)  # fmt: skip
def test_what_an_exchange_lacks_is_told(job, package, more, code):
    package(doubles.Ccxt())
    with pytest.raises(Refusal) as caught:
        source_kind("ccxt").fetch(job("ccxt", **{"symbols": "BTC/USDT", **more}))
    assert caught.value.code == code


@pytest.mark.parametrize("exchange", ["__class__", "binance.x", "Binance", "os;"])
def test_no_exchange_is_another_attribute_of_the_package(job, package, exchange):
    package(doubles.Ccxt())
    with pytest.raises(Refusal):
        source_kind("ccxt").fetch(job("ccxt", symbols="BTC/USDT", exchange=exchange))


def test_ccxt_lists_and_tests(job, package):
    package(doubles.Ccxt())
    work = job("ccxt", symbols="BTC/USDT")
    assert source_kind("ccxt").symbols(work) == ["BTC/USDT", "ETH/USDT"]
    assert "BTC/USDT" in str(source_kind("ccxt").test(work))


# xtquant


@pytest.fixture
def xtdata(package, monkeypatch):
    double = package(doubles.Xtdata())
    parent = package(ModuleType("xtquant"))
    monkeypatch.setattr(parent, "xtdata", double, raising=False)
    return double


def test_xtquant_downloads_then_reads(job, xtdata):
    work = job("xtquant", symbols="600000", start="2024-03-25")
    fetched = source_kind("xtquant").fetch(work)
    assert xtdata.asked[0] == {"codes": ["600000.SH"], "start": "20240325", "end": "20240329", "dividend_type": "none"}
    panel = read(work, fetched)
    assert (panel.symbols, len(panel.times), panel.frequency) == (("SH600000",), 5, "1d")
    assert (panel.volume[0, 0], panel.fields["prev_close"][0, 0], panel.fields["suspended"][0, 0]) == (123_400, 10.5, 0)


def test_xtquant_minutes_carry_their_end_in_utc(job, xtdata):
    work = job("xtquant", symbols="600000.SH", start="2024-03-29", period="1m")
    panel = read(work, source_kind("xtquant").fetch(work))
    assert [str(time)[11:16] for time in panel.times] == ["01:31", "01:32", "01:33"]


def test_xtquant_adjusted_is_whole(job, xtdata):
    fetched = source_kind("xtquant").fetch(job("xtquant", symbols="600000", prices="adjusted", start="2024-03-25"))
    assert (fetched.whole, xtdata.asked[0]["dividend_type"]) == (True, "back_ratio")


def test_xtquant_without_rows_is_nothing_new(job, xtdata, monkeypatch):
    monkeypatch.setattr(xtdata, "download_history_data", lambda *args, **more: None, raising=False)
    assert source_kind("xtquant").fetch(job("xtquant", symbols="600000")).files == ()


def test_xtquant_lists_and_tests(job, xtdata):
    work = job("xtquant", symbols="600000")
    assert source_kind("xtquant").symbols(work) == ["000001.SZ", "600000.SH"]
    assert "the newest of 2024-03-29" in str(source_kind("xtquant").test(work))
