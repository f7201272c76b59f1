"""What ``bench import`` writes can be imported, is as large as it says, and is refused where the disk is too small."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from apps.marketdata.engine.readers import read_bars
from quant_platform.bench import imports
from quant_platform.management.commands.bench import SHAPES


def test_each_shape_holds_a_day_of_minutes(tmp_path, monkeypatch):
    monkeypatch.setattr(imports, "SYMBOLS", 3)
    assert tuple(imports.SHAPES) == SHAPES == tuple(imports.WORDS)
    for shape, write in imports.SHAPES.items():
        folder = tmp_path / shape
        folder.mkdir()
        made = read_bars(write(folder, 1))
        assert (made.rows, made.panel.frequency, len(made.panel.symbols)) == (imports.MINUTES * 3, "1min", 3)
    lines = (tmp_path / "symbols" / "symbols" / "S0001.csv").read_text().splitlines()
    assert abs(sum(map(len, lines[1:])) / imports.MINUTES + 1 - imports.LINE_BYTES) < 3


def test_a_row_says_memory_and_speed():
    took = {"rows": 10, "times": 5, "cpu": 20.0, "wall": 40.0, "peak": 480.4}
    memory, speed = imports._rows("file", 500.0, took)
    assert (memory.measured, memory.met, speed.measured, speed.met) == (480, True, 25.0, True)
    assert "40 s by the clock" in memory.note


def test_a_small_disk_is_told_before(monkeypatch, capsys):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10**9})())
    with pytest.raises(CommandError, match="needs about 50 GB"):
        call_command("bench", "import", "--size-gb", "10", "--shape", "file")
