"""Files larger than the memory: the same bars as from a whole read, resumable, refused with their line."""

from __future__ import annotations

import gzip
import sys
import tracemalloc

import numpy as np
import psutil
import pytest

from apps.marketdata import services
from apps.marketdata.engine import store
from apps.marketdata.engine.quality import check_panel
from apps.marketdata.engine.readers import ReadOptions, read_bars
from apps.marketdata.engine.streaming import filling, layout, read_streamed, spool
from apps.ui.engine.refusal import Refusal
from tests.marketdata.conftest import HEADER


def minutes(symbols=3, count=400) -> str:
    times = np.datetime64("2024-01-02T00:00") + np.arange(count).astype("timedelta64[m]")
    rows = [
        f"{time},S{number:03},{number + 1},{number + 2},{number},{number + 1.5},{at + 1}\n"
        for at, time in enumerate(times)
        for number in range(symbols)
        if (at + number) % 7
    ]
    return "datetime,symbol,open,high,low,close,volume\n" + "".join(rows)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(spool, "BLOCK", 4000)
    monkeypatch.setattr(layout, "RECORDS", 100)


def quiet(share, what, rows=0):
    """No progress is shown."""


@pytest.mark.parametrize("pack", [False, True])
def test_blocks_give_the_same_bars_as_the_whole(write, tmp_path, small_blocks, pack):
    text = minutes(symbols=70).encode()
    path = write("m.csv.gz" if pack else "m.csv", gzip.compress(text) if pack else text)
    whole = read_bars(path)
    shares = []
    made = read_streamed(path, ReadOptions(), tmp_path / "spool", lambda share, what, rows=0: shares.append(share))
    assert (made.panel.symbols, made.panel.frequency) == (whole.panel.symbols, whole.panel.frequency)
    np.testing.assert_array_equal(made.panel.times, whole.panel.times)
    for name, values in whole.panel.fields.items():
        np.testing.assert_array_equal(made.panel.fields[name], values)
    np.testing.assert_array_equal(made.lines, whole.lines)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def daily(count=60) -> str:
    """Two symbols with money traded, a split and a dividend among the columns."""
    days = np.busday_offset("2024-01-01", np.arange(count), roll="forward")
    rows = [
        f"{day},S{number},{10 + at / 10},{11 + at / 10},{9 + at / 10},{10 + at / 10},{1000 + at},"
        f"{(1000 + at) * (10.05 + at / 10)},{2 if at == 30 and number else 1},{0.25 if at == 40 else 0}\n"
        for at, day in enumerate(days) for number in range(2)
    ]  # fmt: skip
    return "date,symbol,open,high,low,close,volume,amount,split ratio,dividend\n" + "".join(rows)


@pytest.mark.parametrize(("text", "stamp"), [(minutes(), "start"), (daily(), "end"), (daily(), "start")])
def test_what_bars_tell_of_is_derived_in_blocks_as_in_the_whole(write, tmp_path, small_blocks, text, stamp):
    """Stamps moved to the end of the bar, vwap, events, and the membership that lies beside the file."""
    path, options = write("bars.csv", text), ReadOptions(stamp=stamp)
    write("best_membership.txt", "S1\t2024-01-02\t2024-02-01\n")
    whole, made = read_bars(path, options), read_streamed(path, options, tmp_path / "spool", quiet)
    np.testing.assert_array_equal(made.panel.times, whole.panel.times)
    assert made.panel.fields.keys() == whole.panel.fields.keys()
    for name, values in whole.panel.fields.items():
        np.testing.assert_array_equal(made.panel.fields[name], values)
    assert made.events == whole.events
    assert made.membership == whole.membership
    assert len(made.membership) == 1
    if text == daily():
        assert ("vwap" in made.panel.fields, len(made.events)) == (True, 3)


def test_a_stopped_import_goes_on_where_it_was(write, tmp_path, small_blocks, monkeypatch):
    path, root = write("m.csv", minutes()), tmp_path / "spool"
    calls = []

    def stop(share, what, rows=0):
        calls.append(share)
        if len(calls) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_streamed(path, ReadOptions(), root, stop)
    with (root / "bucket-0-00.bin").open("ab") as file:
        file.write(b"a crash in the middle of a write")
    parsed = []
    real = filling.to_bars
    monkeypatch.setattr(filling, "to_bars", lambda *args: parsed.append(1) or real(*args))
    made = read_streamed(path, ReadOptions(), root, quiet)
    np.testing.assert_array_equal(made.panel.close, read_bars(path).panel.close)
    assert 0 < len(parsed) < len(path.read_bytes()) // 4000


@pytest.mark.parametrize(
    ("tail", "code", "line"),
    [("2024-01-02T00:01,S001,1,2,0,1.5,1\n", "duplicate_bar", 0), ("2024-03-02T00:01,S001,1,2,x,1.5,1\n", "bad_number", 0),
     ("2024-03-02T00:01,S001,1", "truncated_file", 0), ("2024-03-02T00:01,S001,1\n2\n", "row_length", 0)],
)  # fmt: skip
def test_what_is_wrong_far_down_is_said_with_its_line(write, tmp_path, small_blocks, tail, code, line):
    text = minutes()
    with pytest.raises(Refusal) as caught:
        read_streamed(write("m.csv", text + tail), ReadOptions(), tmp_path / "spool", quiet)
    assert (caught.value.code, caught.value.params["line"]) == (code, text.count("\n") + 1)


def test_an_empty_file_and_a_file_of_one_line_are_refused(write, tmp_path, small_blocks):
    with pytest.raises(Refusal) as caught:
        read_streamed(write("m.csv", HEADER), ReadOptions(), tmp_path / "spool", quiet)
    assert caught.value.code == "no_bars"


@pytest.mark.django_db
def test_a_large_file_becomes_a_dataset_and_leaves_no_spool(write, var_dir, small_blocks, monkeypatch):
    path = write("m.csv", minutes())
    plain = services.dataset_import_path(path, name="plain", options=ReadOptions())
    monkeypatch.setattr("apps.marketdata.services.imports.is_large", lambda *_: True)
    made = services.dataset_import_path(path, name="large", options=ReadOptions())
    assert (made.content_hash, made.rows, made.verdict) == (plain.content_hash, plain.rows, plain.verdict)
    assert not list((var_dir / "spool").iterdir())


@pytest.mark.django_db
def test_a_disk_that_cannot_hold_it_is_told_before(write, var_dir, monkeypatch):
    monkeypatch.setattr("apps.marketdata.services.imports.is_large", lambda *_: True)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1})())
    with pytest.raises(Refusal) as caught:
        services.dataset_import_path(write("m.csv", minutes()), name="large", options=ReadOptions())
    assert caught.value.code == "disk_full"


def peak_of(write, tmp_path, count) -> tuple[int, int]:
    """Peak bytes that reading, hashing, storing and checking ``count`` minutes allocate, and the size of the arrays."""
    path = write(f"{count}.csv", minutes(symbols=40, count=count))
    tracemalloc.start()
    made = read_streamed(path, ReadOptions(), tmp_path / f"spool-{count}", quiet)
    store.write_panel(made.panel, tmp_path / "datasets", lines=made.lines)
    check_panel(made.panel, lines=made.lines)
    assert made.rows > 30 * count
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak, sum(values.nbytes for values in (*made.panel.fields.values(), made.lines))


def test_memory_does_not_grow_with_the_rows(write, tmp_path, monkeypatch):
    monkeypatch.setattr(spool, "BLOCK", 64 * 1024)
    monkeypatch.setattr(layout, "ROW_BYTES", 64 * 1024)
    monkeypatch.setattr(layout, "RECORDS", 1000)
    monkeypatch.setattr(store, "ROW_GROUP_CELLS", 1_000)
    peak_of(write, tmp_path, 50)  # What is imported and compiled on first use does not count.
    (small, few), (large, many) = peak_of(write, tmp_path, 200), peak_of(write, tmp_path, 1000)
    assert many > 4 * few
    # One symbol's rows and the time axis are held, never all symbols' arrays.
    assert large - small < (many - few) / 2


@pytest.mark.skipif(sys.platform != "linux", reason="pages are let go of by madvise")
def test_a_walk_over_mapped_arrays_lets_go_of_their_pages(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "RELEASE_BYTES", 1024**2)
    path = tmp_path / "values.npy"
    np.save(path, np.ones((64, 128 * 1024)))
    values = np.load(path, mmap_mode="r")
    process, before, most, total = psutil.Process(), psutil.Process().memory_info().rss, 0, 0.0
    for row in store.walk([values]):
        total += float(values[row].sum())
        most = max(most, process.memory_info().rss - before)
    assert total == values.size
    assert most < values.nbytes / 4
