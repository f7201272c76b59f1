"""``bench import``: bars larger than the memory into an installation of its own, by the command that people use.

Minutes of a made-up market are written as one CSV, as a folder with a file for each symbol, or as one Parquet file; a
fresh process imports them. What counts is its peak memory and how much text it takes in a second of CPU. ``--size-gb``
says how large the text is; files and installation are removed at the end.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_
from quant_platform.bench import Row
from quant_platform.bench.measure import peak_mb
from quant_platform.bench.peers import BASE, say

SYMBOLS, MINUTES = 300, 390
#: A line of text, as the market below writes them.
LINE_BYTES = 57
SIZE_GB = 0.3
PEAK_MB, MB_A_CPU_SECOND = 1000.0, 20.0
#: Text, spool, arrays and the stored dataset lie side by side for a while.
TIMES_DISK = 5
NO_SPACE = N_("The benchmark needs about %(needed)s GB of disk in %(folder)s; %(free)s GB are free.")
OPTIONS = pcsv.WriteOptions(include_header=False, quoting_style="none")
HEADER = b"datetime,symbol,open,high,low,close,volume\n"


def rows(size_gb: float = SIZE_GB, shape: str = "") -> Sequence[Row]:
    """Measure each shape (or the one asked for). Raises ``Refusal`` ``disk_full`` before anything is written."""
    return [row for name in ([shape] if shape else SHAPES) for row in measure(name, size_gb)]


def measure(shape: str, size_gb: float) -> list[Row]:
    """Return the rows of one shape."""
    with tempfile.TemporaryDirectory(prefix="quant-import-", dir=os.environ.get("TMPDIR")) as name:
        folder = Path(name)
        free = shutil.disk_usage(folder).free / 1e9
        if free < size_gb * TIMES_DISK:
            raise Refusal(
                "disk_full", NO_SPACE, status=507, needed=round(size_gb * TIMES_DISK), folder=name, free=round(free)
            )
        days = max(1, round(size_gb * 1e9 / LINE_BYTES / MINUTES / SYMBOLS))
        say(f"import: writing {size_gb:g} GB as {shape}")
        source = SHAPES[shape](folder, days)
        size = sum(file.stat().st_size for file in ([source] if source.is_file() else source.iterdir())) / 1e6
        text = size if shape != "parquet" else days * MINUTES * SYMBOLS * LINE_BYTES / 1e6
        say(f"import: reading {size:,.0f} MB")
        env = {**os.environ, "VAR_DIR": str(folder / "var"), "DATABASE_URL": "", "QP_ENV": "development"}
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "quant_platform.bench.imports", str(source)], env=env, cwd=BASE,
            stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        return _rows(shape, text, json.loads(done.stdout.splitlines()[-1]))


def _rows(shape: str, text: float, took: dict[str, Any]) -> list[Row]:
    what = f"import of {text / 1000:.1f} GB of text as {WORDS[shape]}"
    note = (
        f"{took['rows']:,} bars of {SYMBOLS} symbols, {took['times']:,} times; {took['cpu']:.0f} CPU s, "
        f"{took['wall']:.0f} s by the clock"
    )
    return [
        Row(f"peak memory, {what}", round(took["peak"]), PEAK_MB, "MB", note=note),
        Row(f"text a second of CPU, {what}", round(text / took["cpu"], 1), MB_A_CPU_SECOND, "MB/CPU s", True),
    ]


def market(days: int) -> Iterator[pa.Table]:
    """Yield a made-up market a day at a time: minutes of all symbols, time after time."""
    symbols = SYMBOLS
    rng, price = np.random.default_rng(7), np.full(symbols, 50.0)
    names = np.array([f"S{number:04}" for number in range(symbols)])
    for day in _days(days):
        times = _clock(day)
        close = price * np.exp(np.cumsum(rng.normal(0, 8e-4, (MINUTES, symbols)), axis=0))
        opened = np.vstack([price, close[:-1]])
        price = close[-1]
        yield _bars(np.repeat(times, symbols), np.tile(names, MINUTES), opened, close, rng)


def _days(count: int) -> Any:
    return np.busday_offset("2010-01-04", np.arange(count), roll="forward")


def _clock(day: np.datetime64) -> Any:
    return day.astype("datetime64[s]") + np.timedelta64(52_260, "s") + np.arange(MINUTES) * np.timedelta64(60, "s")


def _bars(times: Any, names: Any, opened: Any, close: Any, rng: np.random.Generator) -> pa.Table:
    shape = close.shape
    high = np.maximum(opened, close) * (1 + rng.random(shape) * 5e-4)
    low = np.minimum(opened, close) * (1 - rng.random(shape) * 5e-4)
    prices = {
        name: np.round(values, 2).ravel()
        for name, values in (("open", opened), ("high", high), ("low", low), ("close", close))
    }
    volume = rng.integers(100, 200_000, shape).ravel()
    return pa.table({"datetime": times, "symbol": names, **prices, "volume": volume})


def _as_text(table: pa.Table) -> pa.Table:
    words = np.char.replace(table["datetime"].to_numpy().astype(str), "T", " ")
    return table.set_column(0, "datetime", pa.array(words))


def one_file(folder: Path, days: int) -> Path:
    """Write the market as one CSV, time after time."""
    path = folder / "minutes.csv"
    with path.open("wb") as file:
        file.write(HEADER)
        for table in market(days):
            pcsv.write_csv(_as_text(table), file, OPTIONS)
    return path


def file_per_symbol(folder: Path, days: int) -> Path:
    """Write a folder with one CSV for each symbol."""
    path, rng = folder / "symbols", np.random.default_rng(7)
    path.mkdir()
    times = np.concatenate([_clock(day) for day in _days(days)])
    for number in range(SYMBOLS):
        close = 50 * np.exp(np.cumsum(rng.normal(0, 8e-4, len(times))))
        opened, names = np.concatenate([[50.0], close[:-1]]), np.full(len(times), f"S{number:04}")
        with (path / f"S{number:04}.csv").open("wb") as file:
            file.write(HEADER)
            pcsv.write_csv(_as_text(_bars(times, names, opened, close, rng)), file, OPTIONS)
    return path


def parquet(folder: Path, days: int) -> Path:
    """Write the market as one Parquet file, a row group a day."""
    path, writer = folder / "minutes.parquet", None
    for table in market(days):
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()
    return path


SHAPES: dict[str, Callable[[Path, int], Path]] = {
    "file": one_file, "symbols": file_per_symbol, "parquet": parquet,
}  # fmt: skip
WORDS = {"file": "one CSV", "symbols": "a CSV for each symbol", "parquet": "one Parquet file"}


def child(path: str) -> None:
    """Migrate an empty installation, import, and print what it took."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "quant_platform.settings")
    import time

    import django

    django.setup()
    from django.core.management import call_command

    from apps.marketdata.models import Dataset
    from apps.marketdata.selectors import dataset_panel

    call_command("migrate", verbosity=0)
    cpu, wall = time.process_time(), time.perf_counter()
    call_command("import_bars", path, dataset="bench", stdout=sys.stderr)
    took = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, "peak": peak_mb()}
    dataset = Dataset.objects.get(name="bench")
    took |= {"rows": dataset.rows, "times": len(dataset_panel(dataset).times)}
    print(json.dumps(took))  # noqa: T201


if __name__ == "__main__":
    child(sys.argv[1])
