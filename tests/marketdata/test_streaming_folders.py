"""Folders and tables larger than the memory: a stop anywhere loses nothing, faults are named, memory stays small."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apps.marketdata import services
from apps.marketdata.engine import store
from apps.marketdata.engine.readers import ReadOptions, read_bars
from apps.marketdata.engine.streaming import filling, is_large, layout, read_streamed, spool
from apps.ui.engine.refusal import Refusal
from tests.marketdata.conftest import csv_lines
from tests.marketdata.test_streaming import minutes


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(spool, "BLOCK", 1500)
    monkeypatch.setattr(layout, "RECORDS", 50)


def of_symbols(write, count=12):
    """A folder with a file for each symbol, the last of them packed, and the membership of a universe."""
    for number in range(count):
        write(f"bars/S{number:02}.csv", csv_lines(40, price=10 + number))
    write("bars/best_membership.txt", "S01\t2024-01-02\t2024-02-01\n")
    return write("bars/big.csv", minutes_as_days()).parent


def minutes_as_days() -> str:
    """A file of many blocks among small ones."""
    days = np.busday_offset("2024-01-01", np.arange(90), roll="forward")
    rows = [f"{day},B{n},{5 + n},{6 + n},{4 + n},{5 + n},{100 + at}\n" for at, day in enumerate(days) for n in range(3)]
    return "date,symbol,open,high,low,close,volume\n" + "".join(rows)


def of_days(write, count=25):
    """A folder with a file for each day."""
    days = np.busday_offset("2024-01-01", np.arange(count), roll="forward")
    for at, day in enumerate(days):
        rows = [f"{day},S{n},{10 + n},{11 + n},{9 + n},{10 + n},{100 + at}\n" for n in range(20)]
        path = write(f"days/{day}.csv", "date,symbol,open,high,low,close,volume\n" + "".join(rows))
    return path.parent


def as_parquet(write, tmp_path):
    frame = pd.read_csv(write("m.csv", minutes(symbols=5, count=60)), parse_dates=["datetime"])
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), tmp_path / "m.parquet", row_group_size=50)
    return tmp_path / "m.parquet"


def source_of(kind, write, tmp_path):
    return as_parquet(write, tmp_path) if kind == "parquet" else {"symbols": of_symbols, "days": of_days}[kind](write)


def hash_of(made) -> str:
    return store.content_hash(made.panel, made.events, made.membership)


def quiet(share, what, rows=0):
    """No progress is shown."""


@pytest.mark.parametrize("kind", ["symbols", "days", "parquet"])
def test_a_stop_anywhere_loses_nothing(kind, write, tmp_path):
    path = source_of(kind, write, tmp_path)
    whole = hash_of(read_bars(path))
    seen = []
    assert hash_of(read_streamed(path, ReadOptions(), tmp_path / "once", lambda *args: seen.append(args))) == whole
    shares = [share for share, *_ in seen]
    assert (shares == sorted(shares), shares[-1], seen[-1][2]) == (True, 1.0, read_bars(path).rows)
    for stop_at in range(2, len(seen) - 2, max(1, len(seen) // 6)):
        calls = []

        def stop(share, what, rows=0, *, at=stop_at, calls=calls):
            calls.append(share)
            if len(calls) == at:
                raise KeyboardInterrupt

        root = tmp_path / f"spool-{stop_at}"
        with pytest.raises(KeyboardInterrupt):
            read_streamed(path, ReadOptions(), root, stop)
        for file in root.glob("*.bin"):  # what a process killed in the middle of a write leaves
            with file.open("ab") as opened:
                opened.write(b"half a record")
        assert hash_of(read_streamed(path, ReadOptions(), root, quiet)) == whole
        shutil.rmtree(root)


def test_what_was_read_is_not_read_again(write, tmp_path, monkeypatch):
    path, names = of_days(write), []
    real = filling.read_one
    monkeypatch.setattr(filling, "read_one", lambda file, *a, **k: names.append(file.name) or real(file, *a, **k))

    def stop(share, what, rows=0):
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_streamed(path, ReadOptions(), tmp_path / "spool", stop)
    first, names[:] = len(names), []
    read_streamed(path, ReadOptions(), tmp_path / "spool", quiet)
    assert len(names) < 25 - first / 2


def test_a_changed_folder_begins_anew(write, tmp_path):
    path = of_days(write)

    def stop(share, what, rows=0):
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_streamed(path, ReadOptions(), tmp_path / "spool", stop)
    write("days/2024-01-01.csv", "date,symbol,open,high,low,close,volume\n2024-01-01,S0,1,2,1,1,5\n")
    assert hash_of(read_streamed(path, ReadOptions(), tmp_path / "spool", quiet)) == hash_of(read_bars(path))


@pytest.mark.parametrize(
    ("name", "text", "code", "line"),
    [("days/2024-01-09.csv", "date,symbol,open,high,low,close\n2024-01-09,S0,1,2,1,x\n", "bad_number", 2),
     ("days/2024-01-09.csv", "date,open\n2024-01-09,1\n", "missing_column", None),
     ("days/zz.csv", "date,symbol,open,high,low,close\n2024-01-02,S3,1,2,1,1.5\n", "duplicate_bar", 2),
     ("days/zz.csv", "date,symbol,open,high,low,close\n2024-05-02 09:31,A,1,2,1,1.5\n2024-05-02 09:32,A,1,2,1,1.5\n",
      "mixed_frequency", None)],
)  # fmt: skip
def test_a_fault_in_one_file_of_many_is_named(write, tmp_path, name, text, code, line):
    path = of_days(write)
    write(name, text)
    refusals = []
    for read in (lambda: read_bars(path), lambda: read_streamed(path, ReadOptions(), tmp_path / "spool", quiet)):
        with pytest.raises(Refusal) as caught:
            read()
        refusals.append((caught.value.code, caught.value.params.get("line"), str(caught.value)))
    assert refusals[0] == refusals[1]
    assert refusals[0][:2] == (code, line)


def test_a_beginning_taken_for_something_else_is_read_again(write, tmp_path):
    """The first blocks look daily and have the month or the day first; only the end tells."""
    days = [f"{day}/{month}/2024" for month in range(1, 5) for day in range(1, 13)] + ["13/5/2024 09:30"]
    rows = "".join(f"{day},{n},10,11,9,10,5\n" for day in days for n in (1, 22, 333))
    path = write("X.csv", "date,code,open,high,low,close,volume\n" + rows + "14/5/2024,600000,10,11,9,10,5\n" * 1)
    whole, made = read_bars(path), read_streamed(path, ReadOptions(), tmp_path / "spool", quiet)
    assert hash_of(made) == hash_of(whole)
    assert ("SH600000" in made.panel.symbols, "SZ000001" in made.panel.symbols) == (True, True)
    with pytest.raises(Refusal) as caught:
        read_streamed(write("Y.csv", path.read_text().split("13/5")[0]), ReadOptions(), tmp_path / "spool", quiet)
    assert (caught.value.code, caught.value.params["line"]) == ("ambiguous_dates", 2)


@pytest.mark.django_db
def test_a_large_folder_becomes_the_dataset_a_small_one_does_and_leaves_no_spool(write, var_dir, monkeypatch):
    path = of_symbols(write)
    assert not is_large(path, ReadOptions())
    plain = services.dataset_import_path(path, name="plain", options=ReadOptions())
    monkeypatch.setattr("apps.marketdata.engine.streaming.LARGE", 1000)
    assert is_large(path, ReadOptions())
    made = services.dataset_import_path(path, name="large", options=ReadOptions())
    assert (made.content_hash, made.rows, made.verdict) == (plain.content_hash, plain.rows, plain.verdict)
    assert (made.universes, made.lineage["files"]) == (plain.universes, plain.lineage["files"])
    assert not list((var_dir / "spool").iterdir())
