"""Tables of trades: Binance's, anybody's, Chinese ones; what is refused with its line and column."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apps.marketdata.engine.readers import ReadOptions
from apps.marketdata.engine.tape import tape_format
from tests.marketdata.tape.conftest import AGG


def values(tape, *names):
    return [np.asarray(tape.columns[name]).tolist() for name in names]


def test_binance_aggregated_trades_with_and_without_header(put, read):
    tape, found = read(put("BTCUSDT-aggTrades-2024-03-28.csv", AGG))
    bare, _ = read(
        put("BTCUSDT-trades.csv", AGG.split("\n", 1)[1].replace("true", "true,true").replace("false", "false,true"))
    )
    assert (found.format, tape.symbols, tape.levels) == ("ticks", ("BTCUSDT",), 0)
    assert values(tape, "price", "size", "side", "id") == [[100.5, 100.6, 100.4], [2, 1, 3], [-1, 1, -1], [10, 11, 12]]
    assert values(tape, "time")[0] == [t * 10**6 for t in (1711589400000, 1711589401000, 1711589461000)]
    assert bare.content_hash == tape.content_hash


def test_single_trades_keep_the_money_the_source_states(put, read):
    text = "id,price,qty,quote_qty,time,is_buyer_maker\n7,10,2,20.5,1711589400000,False\n"
    tape, _ = read(put("ETHUSDT-trades-2024-03.csv", text))
    assert values(tape, "amount", "side", "size") == [[20.5], [1], [2]]


def test_any_table_with_time_price_and_size_is_read_by_symbol(put, read):
    text = ("time,symbol,price,amount,side\n2024-03-28 09:30:00.125,AA,10,5,buy\n2024-03-28 09:30:00.250,BB,20,1,S\n"
            "2024-03-28 09:30:01,AA,10.5,2,\n")  # fmt: skip
    tape, _ = read(put("x.csv", text), time_zone="Asia/Shanghai")
    assert tape.symbols == ("AA", "BB")
    assert values(tape, "price", "size", "side") == [[10, 10.5, 20], [5, 2, 1], [1, 0, -1]]
    assert str(tape.columns["time"][0].astype("datetime64[ns]")) == "2024-03-28T01:30:00.125000000"


def test_chinese_ticks_take_their_day_from_the_name(put, read, refused):
    text = "成交时间,成交价,成交量(手),成交额(元),性质\n09:30:03,10.01,12,12012,买盘\n09:30:06,10.00,3,3000,卖盘\n09:30:09,10.00,1,1000,中性盘\n"
    path = put("sz000001_20240328.csv", text.encode("gb18030"))
    tape, _ = read(path, time_zone="Asia/Shanghai", format="ticks", symbol="SZ000001")
    assert str(tape.columns["time"][0].astype("datetime64[ns]"))[:19] == "2024-03-28T01:30:03"
    assert values(tape, "side", "amount") == [[1, -1, 0], [12012, 3000, 1000]]
    assert values(read(path, format="ticks", volume_unit=100)[0], "size") == [[1200, 300, 100]]
    no = refused(put("other.csv", text.encode()), format="ticks")
    assert (no.code, no.params["line"], no.params["value"]) == ("no_day", 2, "09:30:03")


def test_lots_are_told_by_the_money_and_become_shares(put, read):
    rows = "".join(f"2024-03-28 09:30:0{at},10,{at + 1},{(at + 1) * 1000}\n" for at in range(6))
    tape, found = read(put("x.csv", "time,price,volume,amount\n" + rows))
    assert values(tape, "size") == [[100, 200, 300, 400, 500, 600]]
    assert [(f.check, f.params) for f in found.findings] == [("volume_in_lots", {"unit": 100})]


def test_trades_that_come_newest_first_are_turned_around(put, read):
    head, *rows = AGG.splitlines()
    tape, found = read(put("B-aggTrades.csv", "\n".join([head, *reversed(rows)]) + "\n"))
    assert values(tape, "id", "line") == [[10, 11, 12], [4, 3, 2]]
    assert [finding.check for finding in found.findings] == ["newest_first"]


def test_parquet_is_read_like_text(put, read, tmp_path):
    plain, _ = read(put("B-aggTrades.csv", AGG))
    rows = [line.split(",") for line in AGG.splitlines()[1:]]
    table = pa.table({
        "agg_trade_id": [int(r[0]) for r in rows], "price": [float(r[1]) for r in rows],
        "quantity": [float(r[2]) for r in rows], "transact_time": [int(r[5]) for r in rows],
        "is_buyer_maker": [r[6] == "true" for r in rows],
    })  # fmt: skip
    pq.write_table(table, tmp_path / "B-aggTrades.parquet")
    assert read(tmp_path / "B-aggTrades.parquet")[0].content_hash == plain.content_hash


def test_columns_mean_what_the_person_says(put, read):
    text = "when,what,howmuch,x\n2024-03-28 09:30:00,10,5,1\n"
    mapping = {"when": "datetime", "what": "price", "howmuch": "size"}
    tape, _ = read(put("A.csv", text), format="ticks", mapping=mapping)
    assert values(tape, "price", "size") == [[10], [5]]


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        ("time,price,size\n2024-03-28 09:30:00,x,5\n", "bad_number", 2, "price"),
        ("time,price,size\n2024-03-28 09:30:00,1,5\n2024-03-28 09:30:00,,5\n", "missing_value", 3, "price"),
        ("time,price,size\nyesterday,1,5\n", "bad_time", 2, "time"),
        ("time,price,size,side\n2024-03-28 09:30:00,1,5,up\n", "bad_side", 2, "side"),
        ("time,price,volumes\n2024-03-28 09:30:00,1,5\n", "missing_column", None, None),
        ("time,price,size\n2024-03-28 09:30:00,1\n2024-03-28 09:30:00,1,1\n", "row_length", 2, None),
        ("time,price,size\n2024-03-28 09:30:00,1,1\n2024-03-28 09:3", "truncated_file", 3, None),
        ("time,price,size\n", "no_events", None, None),
        ("", "no_events", None, None),
    ],
)
def test_a_wrong_cell_is_refused_with_its_place(put, refused, text, code, line, column):
    no = refused(put("x.csv", text), format="ticks")
    assert (no.code, no.params.get("line"), no.params.get("column")) == (code, line, column)
    assert str(no)


def test_what_is_said_about_the_reading_is_checked_first(put, refused, tmp_path):
    path = put("B-aggTrades.csv", AGG)
    assert refused(path, time_zone="Mars/Olympus").code == "bad_time_zone"
    assert refused(path, levels=0).code == "bad_levels"
    assert refused(tmp_path / "nothing.csv").code == "no_files"
    assert refused(path, limit_bytes=50).code == "file_too_large"


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("a.csv", "date,open,high,low,close,volume\n2024-01-02,1,2,1,2,3\n", None),
        ("a.csv", "date,AAPL,MSFT\n2024-01-02,1,2\n", None),
        ("a.csv", "time,price,size\n", "ticks"),
        ("a.csv", "time,bid,ask\n", "snapshots"),
        ("a.csv", "datetime,open,high,low,close,bid,ask\n", None),
        ("a.txt", "", None),
        ("a.zip", b"PK", "refused"),
    ],
)
def test_bars_stay_bars_whatever_stands_beside_them(put, name, text, kind):
    path = put(name, text)
    if kind == "refused":
        with pytest.raises(Exception, match="zip"):
            tape_format(path, ReadOptions())
        return
    assert tape_format(path, ReadOptions()) == kind
    assert tape_format(path, ReadOptions(format="csv")) is None


@pytest.mark.data
def test_the_same_real_trades_in_two_formats_say_the_same(market_data, read):
    folder = market_data / "freqtrade_testdata"
    json_tape, _ = read(folder / "XRP_OLD-trades.json.gz", symbol="X")
    feather, _ = read(folder / "XRP_ETH-trades.feather", symbol="X")
    assert json_tape.rows == feather.rows == 12_477
    assert values(json_tape, "time", "price", "size", "side") == values(feather, "time", "price", "size", "side")
