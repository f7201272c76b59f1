"""Files of bars: what is read as what, and what is refused with which sentence."""

from __future__ import annotations

import gzip
import zipfile
from datetime import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl import Workbook

from apps.marketdata.engine.readers import ReadOptions, format_of, read_bars
from apps.marketdata.engine.readers.rows import symbol_of_file
from apps.ui.engine.refusal import Refusal
from tests.marketdata.conftest import HEADER, csv_lines

ROW = "2024-01-02,10,12,9,11,100\n"


def refusal(path, **options) -> Refusal:
    with pytest.raises(Refusal) as caught:
        read_bars(path, ReadOptions(**options))
    return caught.value


def test_a_plain_csv_becomes_a_panel_with_the_lines_of_its_bars(write):
    made = read_bars(write("AAPL.csv", csv_lines(3)), ReadOptions(currency="USD"))
    assert made.panel.symbols == ("AAPL",)
    assert made.panel.open.tolist() == [[100, 101, 102]]
    assert made.panel.volume.tolist() == [[1000, 1001, 1002]]
    assert made.lines.tolist() == [[2, 3, 4]]
    assert (made.panel.frequency, made.panel.currency, made.files) == ("1d", "USD", ("AAPL.csv",))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_delimiters_and_line_ends_are_recognised(write, delimiter, ending):
    text = (HEADER + ROW).replace(",", delimiter).replace("\n", ending)
    assert read_bars(write("A.csv", text)).panel.close.tolist() == [[11]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16"])
def test_chinese_headers_in_every_usual_encoding(write, encoding):
    text = "日期,股票代码,名称,收盘价,最高价,最低价,开盘价,成交量,成交金额\n"
    text += "2017-12-29,'600000,浦发银行,12.59,12.62,12.51,12.52,16351826,205752875.0\n"
    panel = read_bars(write("x.csv", text.encode(encoding))).panel
    assert panel.symbols == ("SH600000",)
    assert (panel.open[0, 0], panel.high[0, 0], panel.amount[0, 0]) == (12.52, 12.62, 205752875.0)


@pytest.mark.parametrize("name", ["fundingRate", "funding_rate", "lastFundingRate", "资金费率"])
def test_published_funding_rates_are_a_field_of_bars(write, name):
    text = f"date,open,high,low,close,volume,{name}\n2024-01-02,10,12,9,11,100,-0.0001\n2024-01-03,10,12,9,11,100,\n"
    panel = read_bars(write("BTCUSDT.csv", text)).panel
    assert panel.funding[0, 0] == -0.0001
    assert np.isnan(panel.funding[0, 1])


def test_blank_lines_comments_and_thousands_are_read_over(write):
    text = f'# made by hand\n\n{HEADER}2024-01-02,10,12,9,11,"1,234,567"\n\n2024-01-03,10,12,9,None,-\n\n'
    made = read_bars(write("A.csv", text))
    assert made.panel.volume[0, 0] == 1_234_567
    assert np.isnan(made.panel.close[0, 1])
    assert np.isnan(made.panel.volume[0, 1])
    assert made.lines.tolist() == [[4, 6]]


def test_a_comma_is_the_decimal_point_where_semicolons_separate(write):
    made = read_bars(write("A.csv", "Date;Open;High;Low;Close;Volume\n2024-01-02;10,5;12;9;11,25;100\n"))
    assert (made.panel.open[0, 0], made.panel.close[0, 0]) == (10.5, 11.25)


@pytest.mark.parametrize("name", ["symbol", "Ticker", "tic", "code", "ts_code", "Name", "instrument", "证券代码"])
def test_the_symbol_column_goes_by_many_names(write, name):
    text = f"date,{name},open,high,low,close\n2024-01-02,BBB,1,1,1,1\n2024-01-02,601318.0,2,2,2,2\n"
    assert read_bars(write("x.csv", text)).panel.symbols == ("BBB", "SH601318")


@pytest.mark.parametrize(
    ("file", "symbol"),
    [
        ("AAPL_2006-01-01_to_2018-01-01.csv", "AAPL"), ("BTC_USDT-5m.parquet", "BTC_USDT"),
        ("sh.600000.csv", "sh.600000"),
        ("600519.SH.csv.gz", "600519.SH"), ("SPY-2007-yahoofinance.csv", "SPY"), ("IBM.CSV", "IBM"),
        ("600000.csv", "600000"),
    ],
)  # fmt: skip
def test_the_symbol_comes_from_the_file_name_where_no_column_tells(file, symbol):
    assert symbol_of_file(file) == symbol


def test_a_given_symbol_wins(write):
    assert read_bars(write("x.csv", HEADER + ROW), ReadOptions(symbol="MINE")).panel.symbols == ("MINE",)


def test_date_and_clock_in_two_columns_are_one_time(write):
    text = "Date,Time,Open,High,Low,Close\n2006-01-02,09:05:00,1,1,1,1\n2006-01-02,09:10:00,2,2,2,2\n"
    panel = read_bars(write("x.csv", text)).panel
    assert [str(time)[:19] for time in panel.times] == ["2006-01-02T09:05:00", "2006-01-02T09:10:00"]


def test_a_clock_without_colons_is_padded(write):
    text = "date,time,open,high,low,close\n20240102,93000,1,1,1,1\n20240102,100000,2,2,2,2\n"
    assert [str(t)[11:19] for t in read_bars(write("x.csv", text)).panel.times] == ["09:30:00", "10:00:00"]


def test_a_time_column_that_repeats_the_date_says_nothing(write):
    text = "date,time,open,high,low,close\n2024-01-02,2024-01-02,1,1,1,1\n2024-01-03,2024-01-03,1,1,1,1\n"
    assert read_bars(write("x.csv", text)).panel.frequency == "1d"


def test_a_whole_stamp_in_the_time_column_is_the_time(write):
    text = "date,time,open,high,low,close\n2020-01-02,20200102093500000,1,1,1,1\n2020-01-02,20200102094000000,1,1,1,1\n"
    assert str(read_bars(write("x.csv", text)).panel.times[0])[:16] == "2020-01-02T09:35"


def test_unknown_columns_are_left_out_and_named(write):
    made = read_bars(write("x.csv", "date,open,high,low,close,zopen,turn\n2024-01-02,1,1,1,1,5,6\n"))
    assert made.ignored == ("zopen", "turn")
    assert "zopen" not in made.panel.fields


def test_a_headerless_file_is_read_with_the_columns_named(write):
    path = write("spy.csv", "20110103 090100;126.35;126.39;126.35;126.39;1579\n")
    note = read_bars(path).findings[0]
    assert (note.check, note.params["columns"]) == ("no_header", "date, open, high, low, close, volume")
    caught = refusal(write("odd.csv", "20110103;126.35;1;2;3\n"))
    assert (caught.code, caught.params["line"]) == ("no_header", 1)
    named = ReadOptions(columns=("datetime", "open", "high", "low", "close", "volume"))
    assert read_bars(path, named).panel.volume.tolist() == [[1579]]


def test_gzip_is_looked_through(write):
    assert read_bars(write("A.csv.gz", gzip.compress((HEADER + ROW).encode()))).panel.symbols == ("A",)


def test_a_folder_is_one_dataset_and_other_files_in_it_do_not_count(write):
    for name in ("in/B.csv", "in/A.csv"):
        write(name, HEADER + ROW)
    write("in/README.md", "hello")
    write("in/.hidden.csv", "x")
    made = read_bars(write("in/C.csv", HEADER + ROW).parent)
    assert made.panel.symbols == ("A", "B", "C")


def test_one_bad_file_refuses_the_whole_folder(write):
    write("in/A.csv", HEADER + ROW)
    folder = write("in/B.csv", HEADER + "2024-01-02,x,1,1,1,1\n").parent
    assert refusal(folder).params["file"] == "B.csv"


def test_a_lenient_look_reports_the_bad_file_and_reads_the_others(write):
    write("in/A.csv", HEADER + ROW)
    folder = write("in/B.csv", HEADER + "2024-01-02,x,1,1,1,1\n").parent
    made = read_bars(folder, ReadOptions(lenient=True))
    assert made.panel.symbols == ("A",)
    assert (made.findings[0].check, made.findings[0].line) == ("refused_file", 2)


def test_a_lenient_look_at_nothing_but_bad_files_is_refused(write):
    write("in/A.csv", "x")
    assert refusal(write("in/B.csv", "y").parent, lenient=True).code == "missing_column"


def test_progress_is_told_by_bytes_and_file(write):
    write("in/A.csv", HEADER + ROW)
    folder = write("in/B.csv", HEADER + ROW).parent
    heard = []
    read_bars(folder, on_progress=lambda share, what, rows=0: heard.append((share, what)))
    assert heard == [(0.0, "A.csv"), (0.5, "B.csv"), (1.0, "in")]


def test_a_file_cut_in_its_last_line_is_refused_and_when_only_checked_says_so(write):
    path = write("A.csv", HEADER + ROW + "2024-01-03,10,1")
    assert (refusal(path).code, refusal(path).params["line"]) == ("truncated_file", 3)
    made = read_bars(path, ReadOptions(lenient=True))
    assert made.rows == 1
    assert [(finding.check, finding.line) for finding in made.findings] == [("truncated_file", 3), ("missing_value", 3)]
    # The last cell may be half a number: it counts as missing too.
    assert made.findings[1].params["columns"] == "high, low, close, volume"


@pytest.mark.parametrize(
    ("content", "code", "sentence"),
    [
        (HEADER + ROW + "2024-01-03,10,abc,9,11,1\n", "bad_number", "A.csv, line 3, column high: “abc” is not a"),
        (HEADER + ROW + "2024-01-03,10,inf,9,11,1\n", "bad_number", "A.csv, line 3, column high: “inf” is not a"),
        (HEADER + ROW + "2024-01-03,10,12,9,11\n", "row_length", "A.csv, line 3 has 5 cells, but 6 columns are named."),
        (HEADER + "2024-01-03,10,12,9,11,5,7\n", "row_length", "A.csv, line 2 has 7 cells, but 6 columns are named."),
        (HEADER + "next week,10,12,9,11,1\n", "bad_time", "A.csv, line 2, column date: “next week” is not a date"),
        (HEADER, "no_bars", "A.csv: there is not a single bar in it."),
        ("", "empty_file", "A.csv is empty."),
        ("\n# only a comment\n", "empty_file", "A.csv is empty."),
        ("date,open,high,low\n2024-01-02,1,1,1\n", "missing_column", "A.csv has no column for close."),
        ("time,price\n1,2\n", "missing_column", "A.csv has no column for open, high, low, close."),
        ("date,open,high,low,close,Open\n2024-01-02,1,1,1,1,1\n", "duplicate_column", "A.csv has the column open"),
        (HEADER + ROW + ROW.replace("100", "101"), "duplicate_bar", "A.csv, line 3: the bar of A at 2024-01-02 was there before, on line 2"),
        ("date,code,open,high,low,close\n2024-01-02,,1,1,1,1\n", "empty_symbol", "A.csv, line 2, column code"),
        (b"date,open\n\xff\xff\xff\xff", "bad_encoding", "A.csv, line 2: the text is neither UTF-8 nor GB18030."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(write, content, code, sentence):
    caught = refusal(write("A.csv", content))
    assert caught.code == code
    assert str(caught).startswith(sentence)
    assert caught.field == "file"


def test_a_long_or_unprintable_value_is_shown_shortened(write):
    caught = refusal(write("A.csv", HEADER + f"2024-01-03,{'9x' * 50}\x07,12,9,11,1\n"))
    assert len(caught.params["value"]) == 40


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"format": "numbers"}, "bad_format"),
        ({"time_zone": "Mars/Olympus"}, "bad_time_zone"),
        ({"time_zone": "../x"}, "bad_time_zone"),
    ],
)
def test_a_wrong_option_is_refused_before_reading(write, options, code):
    assert refusal(write("A.csv", HEADER + ROW), **options).code == code


def test_missing_paths_and_unknown_endings_are_refused(tmp_path, write):
    assert refusal(tmp_path / "none.csv").code == "no_such_file"
    assert refusal(tmp_path).code == "no_files"
    assert refusal(write("a.tar.xz", b"x")).code == "unreadable_file"
    assert refusal(write("noending", b"x")).code == "unknown_format"


def test_a_broken_gzip_and_a_gzip_bomb_are_refused(write):
    packed = gzip.compress((HEADER + ROW * 1000).encode())
    assert refusal(write("A.csv.gz", packed[:-20])).code == "bad_gzip"
    assert refusal(write("B.csv.gz", b"not gzip")).code == "bad_gzip"
    caught = refusal(write("C.csv.gz", packed), limit_bytes=1000)
    assert (caught.code, caught.status) == ("file_too_large", 413)


def parquet(tmp_path, table, name="X.parquet"):
    path = tmp_path / name
    pq.write_table(pa.table(table), path)
    return path


PRICES = {name: pa.array([1.0, 2.0]) for name in ("open", "high", "low", "close")}


@pytest.mark.parametrize(
    "times",
    [
        pa.array([datetime(2024, 1, 2), datetime(2024, 1, 3)], pa.timestamp("us")),
        pa.array([datetime(2024, 1, 2), datetime(2024, 1, 3)], pa.timestamp("ns", tz="UTC")),
        pa.array([19724, 19725], pa.int32()).cast(pa.date32()),
        pa.array(["2024-01-02", "2024-01-03"]),
        pa.array(["2024-01-02", "2024-01-03"]).dictionary_encode(),
        pa.array([20240102, 20240103]),
        pa.array([1704153600, 1704240000]),
    ],
)
def test_parquet_times_of_every_type(tmp_path, times):
    panel = read_bars(parquet(tmp_path, {"date": times, **PRICES})).panel
    assert [str(time)[:10] for time in panel.times] == ["2024-01-02", "2024-01-03"]
    assert panel.close.tolist() == [[1, 2]]


def test_parquet_with_zones_symbols_and_cents(tmp_path):
    cents = {f"{name}_cents": pa.array([2183, 2119], pa.int32()) for name in ("open", "high", "low", "close")}
    zoned = pa.array([datetime(2024, 1, 2, 1, 30), datetime(2024, 1, 2, 1, 31)], pa.timestamp("ms", tz="Asia/Shanghai"))
    names = pa.array(["SH600000", "SH600000"]).dictionary_encode()
    panel = read_bars(parquet(tmp_path, {"datetime": zoned, "symbol": names, **cents})).panel
    assert panel.symbols == ("SH600000",)
    assert panel.close.tolist() == [[21.83, 21.19]]
    assert str(panel.times[0])[:16] == "2024-01-02T01:30"


def test_feather_is_read_like_parquet(tmp_path):
    frame = pd.DataFrame(
        {"date": pd.to_datetime(["2024-01-02"]), "open": [1.0], "high": [1.0], "low": [1.0], "close": [1.0]}
    )
    frame.to_feather(tmp_path / "X.feather")
    assert read_bars(tmp_path / "X.feather").panel.close.tolist() == [[1]]


def test_parquet_troubles_are_refused(tmp_path, write):
    assert refusal(write("bad.parquet", b"PAR1 nothing")).code == "unreadable_file"
    assert refusal(write("bad.feather", b"")).code == "unreadable_file"
    times = pa.array([datetime(2024, 1, 2), None], pa.timestamp("us"))
    caught = refusal(parquet(tmp_path, {"date": times, **PRICES}))
    assert (caught.code, caught.params["line"]) == ("bad_time", 2)
    far = pa.array([datetime(1, 1, 1), datetime(9999, 1, 1)], pa.timestamp("us"))
    assert refusal(parquet(tmp_path, {"date": far, **PRICES}, "far.parquet")).code == "bad_time"
    hours = pa.array([1, 2], pa.time32("s"))
    assert refusal(parquet(tmp_path, {"date": hours, **PRICES}, "t.parquet")).code == "bad_time"
    nothing = {name: pa.array([], pa.float64()) for name in ("date", "open", "high", "low", "close")}
    assert refusal(parquet(tmp_path, nothing, "e.parquet")).code == "no_bars"
    flags = {**PRICES, "date": pa.array(["2024-01-02", "2024-01-03"]), "volume": pa.array([True, False])}
    assert refusal(parquet(tmp_path, flags, "f.parquet")).code == "bad_number"


def excel(tmp_path, rows, name="X.xlsx"):
    book = Workbook()
    for row in rows:
        book.active.append(row)
    book.save(tmp_path / name)
    return tmp_path / name


def test_excel_reads_the_first_sheet_with_real_dates_and_numbers(tmp_path):
    head = ["日期", "开盘", "最高", "最低", "收盘", "成交量"]
    path = excel(
        tmp_path,
        [[], head, [datetime(2024, 1, 2), 10, 12.5, 9, 11, 100], [], [datetime(2024, 1, 3), 10, 12, 9, 11, None]],
    )
    made = read_bars(path)
    assert made.panel.high[0].tolist() == [12.5, 12]
    assert made.lines.tolist() == [[3, 5]]


def test_excel_troubles_are_refused(tmp_path, write):
    assert refusal(write("X.xlsx", b"no zip")).code == "unreadable_file"
    assert refusal(excel(tmp_path, [], "empty.xlsx")).code == "empty_file"
    caught = refusal(
        excel(tmp_path, [["date", "open", "high", "low", "close"], ["2024-01-02", 1, "?", 1, 1]], "b.xlsx")
    )
    assert (caught.code, caught.params["line"], caught.params["column"]) == ("bad_number", 2, "high")


def lean(tmp_path, text, *, folder="equity/usa/daily", name="aapl.zip", members=1):
    path = tmp_path / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(members):
            archive.writestr(f"aapl{number or ''}.csv", text)
    return path


LEAN = "19980102 00:00,136300,162500,135000,162500,6315000\n19980105 00:00,164400,165600,151900,160000,5677300\n"


def test_lean_equity_is_in_ten_thousandths(tmp_path):
    panel = read_bars(lean(tmp_path, LEAN)).panel
    assert (panel.symbols, panel.open[0, 0], panel.volume[0, 0]) == (("AAPL",), 13.63, 6_315_000)


def test_lean_troubles_are_refused(tmp_path, write):
    assert refusal(lean(tmp_path, "1,2,3\n", name="b.zip")).code == "not_lean"
    assert refusal(write("equity/d.zip", b"PK nothing")).code == "unreadable_file"
    assert refusal(lean(tmp_path, LEAN, name="e.zip"), limit_bytes=20).code == "file_too_large"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.csv", "csv"),
        ("A.CSV.GZ", "csv"),
        ("a.parquet", "parquet"),
        ("a.parquet.gz", None),
        ("a.xlsx", "excel"),
        ("a.json", "json"),
        ("a.tar.xz", "qlib"),
    ],
)
def test_the_format_is_told_by_the_name(tmp_path, name, expected):
    assert format_of(tmp_path / name) == expected


def test_numbers_kept_as_coded_text_and_decimals_are_read(tmp_path):
    coded = pa.array(["1.5", "2.5"]).dictionary_encode()
    exact = pa.array([Decimal("1.00"), Decimal("2.00")])
    table = {"date": pa.array(["2024-01-02", "2024-01-03"]), **PRICES, "volume": coded, "amount": exact}
    panel = read_bars(parquet(tmp_path, table)).panel
    assert (panel.volume.tolist(), panel.amount.tolist()) == ([[1.5, 2.5]], [[1, 2]])


def test_a_quoted_cell_over_two_lines_is_refused_not_misread(write):
    caught = refusal(write("A.csv", HEADER + '2024-01-02,10,12,9,"1\n1",100\n'))
    assert caught.code in {"row_length", "unreadable_file", "bad_number"}


def test_a_line_longer_than_any_table_is_refused(write):
    caught = refusal(write("A.csv", HEADER + ROW + "2024-01-03," + "1" * 3_000_000 + ",1,1,1,1\n"))
    assert caught.code in {"unreadable_file", "bad_number"}
