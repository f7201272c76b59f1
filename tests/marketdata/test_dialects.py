"""The many ways bars are written: without header, side by side, as JSON, in LEAN's and Qlib's folders."""

from __future__ import annotations

import json
import tarfile
import zipfile

import numpy as np
import pytest

from apps.marketdata.engine.qlib_export import export_qlib
from apps.marketdata.engine.readers import ReadOptions, read_bars
from apps.marketdata.engine.readers.dialects import guess_columns
from apps.marketdata.engine.symbols import canonical, same
from apps.ui.engine.refusal import Refusal
from tests.marketdata.conftest import HEADER, bars, csv_lines


def refusal(path, **options) -> Refusal:
    with pytest.raises(Refusal) as caught:
        read_bars(path, ReadOptions(**options))
    return caught.value


@pytest.mark.parametrize(
    "spelling", ["600000.SH", "SH600000", "sh.600000", "600000", "'600000", "600000.XSHG", "600000.SS", "sh600000"]
)
def test_an_a_share_has_one_name(spelling):
    assert canonical(spelling) == "SH600000"
    assert same(spelling, "SH600000")


@pytest.mark.parametrize(
    ("code", "name"),
    [("000001", "SZ000001"), ("300750", "SZ300750"), ("688111", "SH688111"), ("830799", "BJ830799"), ("AAPL", "AAPL"),
     ("BTC_USDT", "BTC_USDT"), ("005930", "005930"), ("510300", "SH510300")],
)  # fmt: skip
def test_the_first_digits_tell_the_exchange_and_other_names_stay(code, name):
    assert canonical(code) == name


def test_names_can_be_kept_as_they_are_written(write):
    path = write("x.csv", "date,symbol,open,high,low,close\n2024-01-02,600000,1,1,1,1\n")
    assert read_bars(path, ReadOptions(symbols="as_is")).panel.symbols == ("600000",)


@pytest.mark.parametrize(
    ("line", "delimiter", "columns"),
    [
        ("20110103 090100;126.35;126.39;126.35;126.39;1579", ";", "date open high low close volume"),
        ("2006-01-02,09:01:00,3602,3603,3597,3599,5699", ",", "date time open high low close volume"),
        ("34200.01,5,0,1,2238200,-1", ",", ""),
        ("2024-01-02,9,8,7,9.5,1", ",", ""),
        ("2024-01-02,1,2,1,2", ",", "date open high low close"),
        ("2024-01-02,a,b,c,d", ",", ""),
    ],
)
def test_a_line_without_header_is_a_bar_only_if_it_holds_as_one(line, delimiter, columns):
    assert " ".join(guess_columns(line, delimiter)) == columns


def test_a_header_that_forgot_the_clock_gets_it(write):
    text = "Date,Open,High,Low,Close\n2006-01-02,09:01:00,1,2,1,2\n2006-01-02,09:02:00,1,2,1,2\n"
    panel = read_bars(write("A.csv", text)).panel
    assert (panel.frequency, panel.close.tolist()) == ("1min", [[2, 2]])


def test_closes_side_by_side_are_one_symbol_a_column(write):
    made = read_bars(write("prices.csv", "date,GOOG,AAPL\n2024-01-02,,1.5\n2024-01-03,2.5,1.6\n"))
    assert made.panel.symbols == ("AAPL", "GOOG")
    np.testing.assert_array_equal(made.panel.close, [[1.5, 1.6], [np.nan, 2.5]])
    assert np.isnan(made.panel.open).all()
    assert [finding.check for finding in made.findings] == ["only_close"]


def test_rows_without_dates_are_numbered_from_the_day_that_was_said(write):
    path = write("olps.csv", "A,B,C,D\n1.1,1.2,1.3,1\n1.2,1.1,1.4,1\n")
    assert refusal(path).code == "no_dates"
    assert refusal(path, first_day="soon").code == "bad_first_day"
    made = read_bars(path, ReadOptions(first_day="2024-01-05"))
    assert [str(time)[:10] for time in made.panel.times] == ["2024-01-05", "2024-01-08"]
    assert [finding.check for finding in made.findings] == ["only_close", "numbered_days"]


def test_json_candles_are_lists_or_objects(write):
    rows = [[1509836520000, 1, 2, 1, 2, 10], [1509836580000, 2, 3, 2, 3, None]]
    made = read_bars(write("BTC-1m.json", json.dumps(rows)))
    np.testing.assert_array_equal(made.panel.volume, [[10, np.nan]])
    names = ("date", "open", "high", "low", "close")
    objects = [dict(zip(names, ("2024-01-02", 1, 2, 1, 2), strict=True))]
    assert read_bars(write("A.json", json.dumps(objects))).panel.close.tolist() == [[2]]


@pytest.mark.parametrize(
    ("text", "code"),
    [("[]", "empty_file"), ("{}", "not_bars"), ("[1]", "not_bars"), ("[[1,2]]", "not_bars"), ("[", "unreadable_file"),
     ("[[1,2,3,4,5],[1]]", "not_bars")],
)  # fmt: skip
def test_other_json_is_refused(write, text, code):
    assert refusal(write("a.json", text)).code == code


def lean(root, folder, name, members):
    path = root / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in members.items():
            archive.writestr(member, text)
    return path


def test_lean_minutes_start_on_new_york_s_clock_and_are_stamped_with_their_end(tmp_path):
    folder = "equity/usa/minute/spy"
    lean(tmp_path, folder, "20131007_trade.zip", {"t.csv": "34200000,1674100,1674100,1672500,1672700,3197\n"})
    quote = "34200000,10000,10000,10000,10000,3,20000,20000,20000,20000,4\n"
    path = lean(tmp_path, folder, "20131007_quote.zip", {"q.csv": quote})
    made = read_bars(path.parent)
    assert str(made.panel.times[0])[:16] == "2013-10-07T13:31"
    assert (made.panel.symbols, made.panel.close[0, 0], made.panel.bid[0, 0], made.panel.ask_size[0, 0]) == (
        ("SPY",), 167.27, 1.0, 4.0,
    )  # fmt: skip
    assert read_bars(path).panel.close[0, 0] == 1.5  # quotes alone: the mid


def test_lean_contracts_are_members_of_one_zip(tmp_path):
    row = "79200000,1676.75,1677.25,1673.5,1675.25,1884\n"
    names = {"20131006_es_minute_trade_201312.csv": row, "20131006_es_minute_trade_201403.csv": row}
    path = lean(tmp_path, "future/cme/minute/es", "20131006_trade.zip", names)
    assert read_bars(path).panel.symbols == ("ES201312", "ES201403")
    option = {"aapl_trade_american_call_10000000_20150117.csv": "20140606 00:00,17000,17000,12300,13500,257\n"}
    path = lean(tmp_path, "option/usa/daily", "aapl_2014_trade_american.zip", option)
    panel = read_bars(path).panel
    assert (panel.symbols, panel.close[0, 0]) == (("AAPL_20150117_C1000",), 1.35)


def test_lean_factor_files_tell_splits_payouts_and_map_files_names(tmp_path):
    rows = "".join(f"2014060{day} 00:00,{price}00000,{price}00000,{price}00000,{price}00000,1\n"
                   for day, price in ((4, 70), (5, 70), (6, 10)))  # fmt: skip
    path = lean(tmp_path, "equity/usa/daily", "aapl.zip", {"aapl.csv": rows})
    for name, text in (("factor_files", "20140604,0.97,0.142857,70\n20140605,1,0.142857,70\n20501231,1,1,0\n"),
                       ("map_files", "20100101,old,Q\n20501231,aapl,Q\n")):  # fmt: skip
        folder = tmp_path / "equity/usa" / name
        folder.mkdir()
        (folder / "aapl.csv").write_text(text)
    made = read_bars(path)
    assert [(e.kind, str(e.day), round(e.ratio, 3), e.cash) for e in made.events] == [
        ("dividend", "2014-06-05", 1.0, 2.1), ("split", "2014-06-06", 7.0, 0.0),
    ]  # fmt: skip
    assert [(f.check, f.params["old"]) for f in made.findings] == [("ticker_change", "OLD")]


def test_open_interest_and_ticks_are_not_bars(tmp_path):
    path = lean(tmp_path, "future/cme/minute/es", "20131006_openinterest.zip", {"a.csv": "0,5\n"})
    assert refusal(path).code == "not_bars"
    path = lean(tmp_path, "equity/usa/tick/ibm", "20131007_trade.zip", {"a.csv": "1,2,3,P,0,0\n"})
    assert refusal(path).code == "not_bars"


def test_what_qlib_was_given_comes_back_from_its_folder_and_from_a_tar(tmp_path):
    panel = bars([10.01, 10.5, 11.37], symbol="SH600000")
    folder = tmp_path / "bundle"
    export_qlib(panel, folder, raw_prices=True)
    (folder / "instruments" / "csi300.txt").write_text("SH600000\t2024-01-01\t2024-01-02\n")
    made = read_bars(folder)
    np.testing.assert_allclose(made.panel.close, panel.close, atol=1e-9)
    assert [span.universe for span in made.membership] == ["csi300"]
    packed = tmp_path / "bundle.tar.xz"
    with tarfile.open(packed, "w:xz") as archive:
        archive.add(folder, arcname=".")
    assert read_bars(packed).panel.symbols == ("SH600000",)


def test_adjusted_bins_become_raw_prices_with_their_factor(tmp_path):
    folder = tmp_path / "bundle"
    export_qlib(bars([10, 10, 20]), folder, raw_prices=True)
    for name, values in (("factor", [0, 1, 1, 2]), ("close", [0, 10, 10, 40]), ("volume", [0, 50, 50, 25])):
        np.array(values, "<f4").tofile(folder / "features" / "aaa" / f"{name}.day.bin")
    made = read_bars(folder)
    assert (made.panel.close.tolist(), made.panel.volume.tolist()) == ([[10, 10, 20]], [[50, 50, 50]])
    assert [(e.kind, e.ratio) for e in made.events] == [("split", 2.0)]


def test_bins_beyond_the_calendar_and_folders_without_one_are_refused(tmp_path):
    folder = tmp_path / "bundle"
    export_qlib(bars([1, 2, 3]), folder, raw_prices=False)
    np.array([2, 1, 1, 1], "<f4").tofile(folder / "features" / "aaa" / "close.day.bin")
    assert refusal(folder).code == "bad_bin"
    (folder / "calendars" / "day.txt").unlink()
    assert refusal(folder).code == "no_calendar"


def test_index_series_are_read_where_they_are_asked_for(write, tmp_path):
    write("A.csv", csv_lines(3))
    write("index_SH000300.csv", csv_lines(4))
    made = read_bars(tmp_path, ReadOptions(include="index_*"))
    assert (len(made.panel.times), made.findings) == (4, ())


def test_a_folder_s_universe_is_read_and_index_and_day_lists_are_left_out(write, tmp_path):
    write("bars.csv", "date,symbol,open,high,low,close\n2024-01-02,SH600000,1,1,1,1\n")
    write("csi300_membership.txt", "SH600000\t2024-01-01\t2024-12-31\n")
    write("calendar_day.txt", "2024-01-02\n")
    write("index_SH000300.csv", HEADER)
    made = read_bars(tmp_path)
    assert [(span.universe, span.symbol) for span in made.membership] == [("csi300", "SH600000")]
    assert sorted(f.params["file"] for f in made.findings) == ["calendar_day.txt", "index_SH000300.csv"]


def test_columns_mean_what_the_person_says(write):
    path = write("A.csv", "when,o,x,l,c,qty\n2024-01-02,1,3,1,2,7\n")
    assert refusal(path).code == "missing_column"
    mapping = {"when": "date", "x": "high", "qty": "volume"}
    panel = read_bars(path, ReadOptions(mapping=mapping)).panel
    assert (panel.high.tolist(), panel.volume.tolist()) == ([[3]], [[7]])


def test_marks_limits_and_amounts_are_kept(write):
    text = "date,code,open,high,low,close,preclose,volume,amount,tradestatus,isST\n"
    text += "2024-01-02,sh.600000,10,11,10,11,10,100,1050,1,0\n2024-01-03,sh.600000,11,11,11,11,11,0,0,0,1\n"
    panel = read_bars(write("x.csv", text)).panel
    assert (panel.suspended.tolist(), panel.st.tolist()) == ([[0, 1]], [[0, 1]])
    assert (panel.prev_close.tolist(), panel.vwap[0, 0]) == ([[10, 11]], 10.5)


DATA = {
    "lean_sample/Data/equity/usa/daily": 70_025, "lean_sample/Data/equity/usa/hour": 225_020,
    "lean_sample/Data/future/cme/minute/es": 47_783, "lean_sample/Data/forex/oanda/daily": 14_952,
    "cn_csi300/qlib_bundle_34sym_original_bins.tar.xz": 134_170, "us_dj30_2006_2017": 93_612,
    "cn_gbk_163_2017": 2_466, "cn_sina_raw_2000_2003": 6_982, "cn_baostock_2020_2025": 14_003,
    "freqtrade_testdata/UNITTEST_BTC-1m.json.gz": 13_681, "pyalgotrade_data/nt-spy-minute-2011.csv": 14_180,
    "backtrader_datas/2006-01-02-volume-min-001.txt.gz": 30_889, "pypfopt/stock_prices.csv.gz": 106_931,
}  # fmt: skip


@pytest.mark.data
@pytest.mark.parametrize(("path", "rows"), DATA.items())
def test_real_sets_are_read_whole(market_data, path, rows):
    assert read_bars(market_data / path).rows == rows


@pytest.mark.data
@pytest.mark.parametrize(
    ("path", "code"),
    [("freqtrade_testdata/NOPAIR_XXX-4m.json", "empty_file"), ("olps/djia.csv.gz", "no_dates"),
     ("trademaster/portfolio_management/sse50", "truncated_file"), ("lean_sample/Data", "no_files"),
     ("lob/nautilus/esh4-glbx-mdp3-20231225.mbo.dbn.zst", "not_bars")],
)  # fmt: skip
def test_real_sets_that_are_no_bars_are_refused_with_the_reason(market_data, path, code):
    assert refusal(market_data / path).code == code


def test_contracts_of_a_few_rows_each_are_read_together_and_keep_their_lines(tmp_path):
    path = tmp_path / "option" / "usa" / "daily" / "aapl_2015_trade_american.zip"
    path.parent.mkdir(parents=True)
    rows = "20150102 00:00,10000,20000,10000,15000,{volume}\n"
    names = [f"aapl_2015_trade_american_call_{strike}0000_20150117.csv" for strike in (90, 100)]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(names[0], rows.format(volume=1) + rows.format(volume=2).replace("0102", "0105").rstrip("\n"))
        archive.writestr(names[1], rows.format(volume=3))
    made = read_bars(path)
    assert made.panel.symbols == ("AAPL_20150117_C100", "AAPL_20150117_C90")
    assert made.lines.tolist() == [[1, 0], [1, 2]]
    np.testing.assert_array_equal(made.panel.volume, [[3.0, np.nan], [1.0, 2.0]])
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(names[0], rows.format(volume=1))
        archive.writestr(names[1], rows.format(volume=3) + rows.format(volume="x").replace("0102", "0105"))
    with pytest.raises(Refusal) as caught:
        read_bars(path)
    assert (caught.value.code, caught.value.params["line"]) == ("bad_number", 2)
