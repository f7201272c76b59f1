"""Stated books as tables: the spellings of vendors, Chinese snapshots, one level a row."""

from __future__ import annotations

import numpy as np
import pytest

from apps.marketdata.engine.readers import ReadOptions
from apps.marketdata.engine.tape import tape_format
from apps.marketdata.engine.tape.snapshots import book_columns
from tests.marketdata.tape.conftest import ladder_rows

WIDE = [([(10, 3), (9, 2)], [(11, 4), (12, 5)])]
ROW = "2024-03-28 09:30:00"


@pytest.mark.parametrize(
    "header",
    [
        "time,bid1_price,bid1_size,bid2_price,bid2_size,ask1_price,ask1_size,ask2_price,ask2_size",
        "time,bids[0].price,bids[0].amount,bids[1].price,bids[1].amount,asks[0].price,asks[0].amount,asks[1].price,asks[1].amount",
        "time,BidPrice1,BidVol1,BidPrice2,BidVol2,AskPrice1,AskVol1,AskPrice2,AskVol2",
        "time,b1_p,b1_v,b2_p,b2_v,a1_p,a1_v,a2_p,a2_v",
        "时间,买一价,买一量,买二价,买二量,卖一价,卖一量,卖二价,卖二量",
        "时间,申买价1,申买量1,申买价2,申买量2,申卖价1,申卖量1,申卖价2,申卖量2",
    ],
)
def test_every_spelling_of_levels_is_the_same_book(put, read, header):
    path = put("AA_quotes.csv", f"{header}\n{ROW},10,3,9,2,11,4,12,5\n")
    assert tape_format(path, ReadOptions()) == "snapshots"
    tape, _ = read(path)
    assert (ladder_rows(tape, "AA"), tape.levels, tape.columns["kind"].tolist()) == (WIDE, 2, [0])


def test_best_quotes_are_a_book_of_one_level(put, read):
    text = "update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time\n"
    tape, _ = read(
        put("BTCUSDT-bookTicker-2024-03-28.csv", text + "1,10,3,11,4,1711589400000,1711589400001\n"), symbol="B"
    )
    assert ladder_rows(tape, "B") == [([(10, 3)], [(11, 4)])]
    assert tape.columns["time"].tolist() == [1711589400000 * 10**6]


def test_quotes_without_sizes_keep_their_prices(put, read):
    tape, _ = read(put("x.csv", f"time,bid,ask\n{ROW},1,2\n"))
    assert np.isnan(tape.columns["bid_size"]).all()
    assert tape.columns["ask_price"].tolist() == [[2]]


def test_distances_from_the_midpoint_become_prices(put, read):
    text = "system_time,midpoint,bids_distance_0,bids_notional_0,asks_distance_0,asks_notional_0\n"
    tape, _ = read(put("x.csv", text + f"{ROW},100,-0.01,198,0.01,303\n"))
    assert ladder_rows(tape, "x") == [([(99, 2)], [(101, 3)])]


def test_an_empty_level_of_a_share_at_its_limit_is_none(put, read):
    header = "时间,代码,最新价,成交量,成交额,买一价,买一量,卖一价,卖一量"
    rows = [f"{ROW},600000,10,100,1000,10,5,0,0", "2024-03-28 09:30:03,600000,10,150,1505,10,9,0,0",
            "2024-03-28 09:30:06,600000,10,150,1505,10,9,10.1,2"]  # fmt: skip
    tape, _ = read(put("level1.csv", header + "\n" + "\n".join(rows) + "\n"), time_zone="Asia/Shanghai")
    assert tape.symbols == ("SH600000",)
    assert ladder_rows(tape, "SH600000")[1] == ([(10, 9)], [])
    # What the day's volume and amount grow by was traded since the row before.
    size, amount = (np.asarray(tape.columns[name]) for name in ("size", "amount"))
    assert (np.isnan(size[0]), size[1], np.isnan(size[2]), amount[1]) == (True, 50, True, 505)


def test_the_volume_so_far_begins_anew_each_day(put, read):
    header = "time,last,volume,bid1,ask1"
    rows = ["2024-03-28 09:30:00,5,100,4,6", "2024-03-28 09:31:00,5,160,4,6", "2024-03-29 09:30:00,5,30,4,6",
            "2024-03-29 09:31:00,5,45,4,6"]  # fmt: skip
    tape, _ = read(put("AA_snapshot.csv", header + "\n" + "\n".join(rows) + "\n"))
    assert np.nan_to_num(tape.columns["size"], nan=-1).tolist() == [-1, 60, -1, 15]


@pytest.mark.parametrize("mark", ["is_snapshot", "update_type"])
def test_one_level_a_row_is_put_together(put, read, mark):
    whole, part = ("true", "false") if mark == "is_snapshot" else ("snap", "set")
    rows = [("1711589400000", whole, "bid", "10", "3"), ("1711589400000", whole, "ask", "11", "4"),
            ("1711589400500", part, "bid", "10", "0"), ("1711589400500", part, "bid", "9", "1")]  # fmt: skip
    text = f"symbol,timestamp,{mark},side,price,amount\n" + "".join(f"BB,{','.join(row)}\n" for row in rows)
    tape, _ = read(put("x.csv", text))
    assert ladder_rows(tape, "BB") == [([(10, 3)], [(11, 4)]), ([(9, 1)], [(11, 4)])]
    assert tape.columns["kind"].tolist() == [0, 8]


def test_numbered_updates_in_a_table_are_chained(put, read):
    head = "symbol,timestamp,first_update_id,last_update_id,side,update_type,price,qty,pu\n"
    rows = "B,1711589400000,0,10,a,snap,11,1,0\nB,1711589400001,9,12,b,set,9,1,8\nB,1711589400002,20,21,b,set,8,1,19\n"
    _, found = read(put("B_T_DEPTH.csv", head + rows))
    assert [(f.check, f.line) for f in found.findings] == [("sequence_gap", 4)]


@pytest.mark.parametrize(
    ("text", "code", "column"),
    [
        (f"time,bid1,ask1\n{ROW},x,2\n", "bad_number", "bid1"),
        ("bid1,ask1\n1,2\n", "missing_column", None),
        (f"time,a,b\n{ROW},1,2\n", "missing_column", None),
        ("time,side,price,amount,is_snapshot\n1711589400000,left,1,2,true\n", "bad_side", "side"),
    ],
)
def test_a_wrong_cell_is_refused_with_its_place(put, refused, text, code, column):
    no = refused(put("x.csv", text), format="snapshots")
    assert (no.code, no.params.get("column")) == (code, column)
    assert str(no)


def test_levels_that_begin_in_the_middle_are_no_book():
    assert book_columns(["bid3", "ask3"]) is None
    assert book_columns(["bid1"]) is None


@pytest.mark.data
@pytest.mark.parametrize(
    ("path", "rows", "levels"),
    [("lob/nautilus/binance-futures_book_snapshot_25_BTCUSDT.csv", 10, 20),
     ("trademaster/order_execution/BTC/test.csv.gz", 600, 15)],
)  # fmt: skip
def test_real_tables_of_books_are_read(market_data, read, path, rows, levels):
    tape, _ = read(market_data / path)
    assert (tape.rows, tape.levels) == (rows, levels)
    assert (tape.columns["ask_price"][:, 0] > tape.columns["bid_price"][:, 0]).all()


@pytest.mark.data
def test_a_real_table_of_changes_begins_with_its_whole_book(market_data, read):
    tape, found = read(market_data / "lob/nautilus/deribit_incremental_book_L2_BTC-PERPETUAL.csv")
    bids, asks = ladder_rows(tape, "BTC-PERPETUAL")[0]
    assert (bids, asks[0], len(asks), found.findings) == ([], (6421.5, 18640), 15, ())
