"""LOBSTER's pairs: what is read, and what is refused with its line."""

from __future__ import annotations

import gzip
import zipfile

import numpy as np
import pytest

from apps.marketdata.engine.readers import ReadOptions
from apps.marketdata.engine.tape import tape_format
from tests.marketdata.tape.conftest import ladder_rows

NAME = "ABC_2012-06-21_34200000_57600000_{}_2.csv"
MESSAGE = "34200.017459617,1,7,100,2238100,1\n34200.5,4,7,40,2238100,1\n34201.25,5,0,10,2238500,-1\n34202,7,0,0,-1,-1\n"
BOOK = (
    "2239500,100,2238100,100,2240000,5,2237500,9\n2239500,100,2238100,60,2240000,5,2237500,9\n"
    "2239500,100,2238100,60,9999999999,0,-9999999999,0\n2239500,100,2238100,60,9999999999,0,2237500,9\n"
)


@pytest.fixture
def pair(put):
    def make(message=MESSAGE, book=BOOK):
        put(NAME.format("orderbook"), book)
        return put(NAME.format("message"), message)

    return make


def test_a_pair_becomes_events_with_the_book_after_each(pair, read):
    tape, found = read(pair())
    assert (tape.symbols, tape.levels, tape.rows, found.time_zone) == (("ABC",), 2, 4, "America/New_York")
    # 9:30 in New York in summer is 13:30 UTC; the nanoseconds stay.
    assert str(tape.columns["time"][0].astype("datetime64[ns]")) == "2012-06-21T13:30:00.017459617"
    assert tape.columns["price"][:3].tolist() == [223.81, 223.81, 223.85]
    assert tape.columns["kind"].tolist() == [1, 4, 5, 7]
    # An execution of a standing buy order is a sale.
    assert tape.columns["side"].tolist()[:3] == [1, -1, 1]
    assert np.isnan(tape.columns["price"][3])
    assert ladder_rows(tape, "ABC")[0] == ([(223.81, 100), (223.75, 9)], [(223.95, 100), (224.0, 5)])


def test_dummy_levels_are_no_levels_and_halts_are_told(pair, read):
    tape, found = read(pair())
    assert ladder_rows(tape, "ABC")[2] == ([(223.81, 60)], [(223.95, 100)])
    notes = {finding.check: finding for finding in found.findings}
    assert notes["dummy_levels"].params == {"count": 3, "levels": 2, "rows": 4}
    assert notes["trading_halt"].line == 4


def test_one_file_names_the_pair_and_a_folder_or_zip_holds_it(pair, put, read, tmp_path):
    message = pair()
    one, _ = read(message)
    folder, _ = read(message.parent)
    with zipfile.ZipFile(tmp_path / "day.zip", "w") as pack:
        for file in message.parent.iterdir():
            pack.write(file, file.name)
    packed, _ = read(tmp_path / "day.zip")
    assert one.content_hash == folder.content_hash == packed.content_hash
    assert tape_format(tmp_path / "day.zip", ReadOptions()) == "lobster"


def test_gzip_and_semicolons_are_read_alike(pair, read, tmp_path):
    plain, _ = read(pair())
    folder = tmp_path / "gz"
    folder.mkdir()
    (folder / (NAME.format("message") + ".gz")).write_bytes(gzip.compress(MESSAGE.encode()))
    (folder / (NAME.format("orderbook") + ".gz")).write_bytes(gzip.compress(BOOK.replace(",", ";").encode()))
    assert read(folder)[0].content_hash == plain.content_hash


def test_fewer_levels_are_kept_when_asked(pair, read):
    assert read(pair(), levels=1)[0].levels == 1


def test_two_days_follow_each_other(pair, put, read):
    message = pair()
    put(NAME.format("message").replace("06-21", "06-22"), MESSAGE)
    put(NAME.format("orderbook").replace("06-21", "06-22"), BOOK)
    tape, found = read(message.parent)
    assert tape.rows == 8
    assert (np.diff(tape.columns["time"]) > 0).all()
    assert [f.params["count"] for f in found.findings if f.check == "dummy_levels"] == [6]


@pytest.mark.parametrize(
    ("message", "code", "line", "column"),
    [
        ("34200,9,7,100,2238100,1\n", "bad_event", 1, "type"),
        ("34200,1,7,100,2238100,1\nx,1,7,100,2238100,1\n", "bad_number", 2, "time"),
        ("99999,1,7,100,2238100,1\n", "bad_time", 1, "time"),
        ("34200,1,7,100,2238100,5\n", "bad_side", 1, "direction"),
        ("34200,1,7,,2238100,1\n", "bad_number", 1, "size"),
        ("34200,1,7,100\n34200,1,7,100,2238100,1\n", "row_length", 1, None),
    ],
)
def test_a_wrong_cell_is_refused_with_its_place(pair, refused, message, code, line, column):
    lines = BOOK.splitlines(keepends=True)[: message.count("\n")]
    no = refused(pair(message, "".join(lines)))
    assert (no.code, no.params["line"], no.params.get("column")) == (code, line, column)
    assert str(no)


def test_files_that_do_not_fit_each_other_are_refused(pair, put, refused):
    no = refused(pair(book=BOOK.split("\n", 1)[1]))
    assert (no.code, no.params["rows"], no.params["others"]) == ("row_length", 4, 3)
    assert refused(pair(book="1,2,3\n")).code == "row_length"
    lonely = put("alone/" + NAME.format("message"), MESSAGE)
    no = refused(lonely)
    assert (no.code, no.params["wanted"]) == ("no_pair", NAME.format("orderbook"))


@pytest.mark.data
def test_a_real_day_is_read_whole(market_data, read):
    tape, _found = read(market_data / "lob" / "lobster_amzn")
    assert (tape.rows, tape.levels, tape.symbols) == (57_515, 1, ("AMZN",))
    counts = dict(zip(*np.unique(tape.columns["kind"], return_counts=True), strict=True))
    assert counts == {1: 27_845, 2: 16, 3: 18_235, 4: 8_974, 5: 2_445}
