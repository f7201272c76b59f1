"""The dataset store: whole or not at all, the same content under the same name."""

from __future__ import annotations

import errno
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from apps.marketdata.engine import store
from apps.marketdata.engine.bars import BarPanel
from apps.ui.engine.refusal import Refusal


def panel(symbols=("AAA", "BBB"), days=5, **changes) -> BarPanel:
    times = np.datetime64("2024-01-01", "ns") + np.arange(days) * np.timedelta64(1, "D")
    base = np.arange(len(symbols) * days, dtype=float).reshape(len(symbols), days) + 10
    fields = {name: base + shift for name, shift in (("open", 0.0), ("high", 1.0), ("low", -1.0), ("close", 0.5))}
    fields["volume"] = base * 100
    fields["volume"][0, 0] = np.nan
    for values in fields.values():
        values[1, :2] = np.nan
    return BarPanel(symbols=tuple(symbols), times=times, fields={**fields, **changes})


def test_a_stored_panel_loads_equal_and_memory_mapped(tmp_path):
    original = panel()
    folder = store.write_panel(original, tmp_path, meta={"source": "test"})
    loaded = store.load_panel(folder, name="demo")
    assert folder.name == loaded.content_hash == store.content_hash(original)
    assert loaded.symbols == original.symbols
    assert loaded.meta["source"] == "test"
    assert (loaded.times == original.times).all()
    for name, values in original.fields.items():
        np.testing.assert_array_equal(loaded.fields[name], values)
        assert isinstance(loaded.fields[name], np.memmap)
        assert not loaded.fields[name].flags.writeable


def test_the_parquet_file_holds_one_row_per_bar(tmp_path):
    table = pq.read_table(store.write_panel(panel(), tmp_path) / "bars.parquet").to_pandas()
    assert list(table.columns) == ["symbol", "time", "open", "high", "low", "close", "volume"]
    assert len(table) == 8
    assert table.groupby("symbol", observed=True).size().to_dict() == {"AAA": 5, "BBB": 3}
    assert table["volume"].isna().sum() == 1


def test_equal_content_has_one_hash_whatever_order_dtype_or_zero_sign():
    one = panel()
    swapped = BarPanel(
        ("BBB", "AAA"), one.times.astype("datetime64[s]"), {k: v[::-1] for k, v in reversed(one.fields.items())}
    )
    zeros = panel(extra=np.zeros((2, 5)))
    minus = panel(extra=-np.zeros((2, 5)))
    assert store.content_hash(one) == store.content_hash(swapped)
    assert store.content_hash(zeros) == store.content_hash(minus)


@pytest.mark.parametrize("field", ["open", "volume"])
def test_one_changed_cell_changes_the_hash(field):
    changed = panel()
    changed.fields[field][1, 4] = np.nextafter(changed.fields[field][1, 4], np.inf)
    assert store.content_hash(changed) != store.content_hash(panel())


def test_a_symbol_or_a_day_more_changes_the_hash():
    hashes = {store.content_hash(p) for p in (panel(), panel(("AAA", "CCC")), panel(days=6))}
    assert len(hashes) == 3


def test_storing_twice_writes_once(tmp_path):
    folder = store.write_panel(panel(), tmp_path)
    before = (folder / "meta.json").stat().st_mtime_ns
    assert store.write_panel(panel(), tmp_path) == folder
    assert (folder / "meta.json").stat().st_mtime_ns == before
    assert [p.name for p in tmp_path.iterdir()] == [folder.name]


def test_a_folder_without_its_meta_is_replaced(tmp_path):
    folder = tmp_path / store.content_hash(panel())
    folder.mkdir()
    (folder / "open.npy").write_bytes(b"half")
    store.write_panel(panel(), tmp_path)
    store.verify_hash(folder)


def test_losing_the_race_against_another_writer_is_harmless(tmp_path, monkeypatch):
    folder = tmp_path / store.content_hash(panel())
    move = store._move_into_place

    def other_first(temporary, target):
        target.mkdir()
        (target / "meta.json").write_text("{}")
        move(temporary, target)

    monkeypatch.setattr(store, "_move_into_place", other_first)
    assert store.write_panel(panel(), tmp_path) == folder
    assert [p.name for p in tmp_path.iterdir()] == [folder.name]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_refused_and_leaves_nothing(tmp_path, monkeypatch, code):
    def full(*args):
        raise OSError(code, "full")

    monkeypatch.setattr(store, "_save", full)
    with pytest.raises(Refusal) as caught:
        store.write_panel(panel(), tmp_path)
    assert (caught.value.code, caught.value.status) == ("disk_full", 507)
    assert list(tmp_path.iterdir()) == []


def test_another_disk_error_is_not_called_a_full_disk(tmp_path, monkeypatch):
    def broken(*args):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(store, "_move_into_place", broken)
    with pytest.raises(OSError, match="broken"):
        store.write_panel(panel(), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("gone", ["meta.json", "times.npy", "close.npy"])
def test_a_missing_file_is_named_as_a_missing_dataset(tmp_path, gone):
    folder = store.write_panel(panel(), tmp_path)
    (folder / gone).unlink()
    with pytest.raises(Refusal) as caught:
        store.load_panel(folder, name="demo@1")
    assert caught.value.code == "dataset_missing"
    assert "demo@1" in str(caught.value)


def test_a_cut_array_is_a_missing_dataset(tmp_path):
    folder = store.write_panel(panel(), tmp_path)
    path = folder / "close.npy"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(Refusal, match="dataset_missing"):
        raise_by_code(folder)


def raise_by_code(folder):
    try:
        store.load_panel(folder)
    except Refusal as refusal:
        raise Refusal(refusal.code, refusal.code) from None


def test_a_changed_byte_is_found_on_demand(tmp_path):
    folder = store.write_panel(panel(), tmp_path)
    store.verify_hash(folder)
    path = folder / "close.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(Refusal) as caught:
        store.verify_hash(folder, name="demo")
    assert caught.value.code == "dataset_changed"


def test_source_lines_are_kept_beside_the_bars_but_not_hashed(tmp_path):
    lines = np.arange(10).reshape(2, 5)
    folder = store.write_panel(panel(), tmp_path / "a", lines=lines)
    np.testing.assert_array_equal(store.load_lines(folder), lines)
    bare = store.write_panel(panel(), tmp_path / "b")
    assert bare.name == folder.name
    assert store.load_lines(bare) is None
    assert store.folder_size(folder) > store.folder_size(bare) > 0
    assert json.loads((folder / "meta.json").read_text())["times"] == 5


def test_windows_has_no_handle_on_a_folder_to_sync(tmp_path, monkeypatch):
    monkeypatch.setattr(store.os, "name", "nt")
    store._sync(tmp_path)


def test_an_error_that_is_no_race_is_passed_on_and_nothing_stays(tmp_path, monkeypatch):
    def broken(self, target):
        raise PermissionError("no")

    monkeypatch.setattr(store.Path, "rename", broken)
    with pytest.raises(PermissionError):
        store.write_panel(panel(), tmp_path)
    assert list(tmp_path.iterdir()) == []
