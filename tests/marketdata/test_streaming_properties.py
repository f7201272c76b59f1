"""Whatever lies in a file or a folder: read in blocks it is what it is read whole, or refused for the same reason."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.marketdata.engine import store
from apps.marketdata.engine.quality import check_panel
from apps.marketdata.engine.readers import ReadOptions, read_bars
from apps.marketdata.engine.streaming import layout, read_streamed, spool
from apps.ui.engine.refusal import Refusal

FORMATS = ("%Y-%m-%d %H:%M", "%Y-%m-%d", "%Y%m%d", "%m/%d/%Y", "%d/%m/%Y", "%Y-%m-%dT%H:%M:00+08:00", "%Y-%m-%d 15:00")
SYMBOLS = (["AAA", "BBB", "sh.600000"], ["1", "600000", "2"], ["1", "2", "33"], ["AAA", "1", "600000"])
EXTRA = ("amount", "lots", "factor", "prev_close", "adj_close", "st", "note", "split ratio")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """A few rows are a block already, and a bucket is read a few records at a time."""
    monkeypatch.setattr(spool, "BLOCK", 300)
    monkeypatch.setattr(layout, "RECORDS", 7)
    monkeypatch.setattr(layout, "ROW_BYTES", 2000)


@st.composite
def tables(draw, intraday: bool) -> pd.DataFrame:
    """Rows of some symbols: in any order, perhaps twice, perhaps with a hole, with columns that tell more."""
    names = draw(st.sampled_from(SYMBOLS))
    count, seed = draw(st.integers(0, 24) | st.integers(8, 24)), draw(st.integers(0, 9999))
    rng = np.random.default_rng(seed)
    step = np.timedelta64(30 if intraday else 1440, "m")
    times = np.datetime64("2024-01-03T09:30", "m") + np.arange(count) * step
    if draw(st.booleans()):
        times = np.datetime64("2024-01-03T00:00", "m") + np.arange(count) * step
    rows = [(time, name) for time in times for name in names[: draw(st.integers(1, 3))]]
    frame = pd.DataFrame(rows, columns=["time", "symbol"]).astype({"time": "datetime64[ns]", "symbol": "str"})
    close = np.round(10 + rng.random(len(frame)) * 5, 2)
    frame["open"], frame["high"], frame["low"], frame["close"] = close, close + 1, close - 1, close
    frame["volume"] = rng.integers(1, 99, len(frame))
    for extra in draw(st.sets(st.sampled_from(EXTRA), max_size=3)):
        if extra == "amount":
            frame["amount"] = np.round(frame["volume"] * close, 2)
        elif extra == "lots":
            frame["amount"] = np.round(frame["volume"] * close * 100, 2)
        elif extra == "note":
            frame["note"] = "x"
        else:
            frame[extra] = np.round(1 + (rng.random(len(frame)) > 0.8) * 0.5, 2)
    order = draw(st.sampled_from(["time", "symbol", "backwards", "shuffled"]))
    if order == "symbol":
        frame = frame.sort_values(["symbol", "time"])
    elif order == "backwards":
        frame = frame[::-1]
    elif order == "shuffled":
        frame = frame.sample(frac=1, random_state=seed)
    if len(frame) and draw(st.integers(0, 3)) == 0:
        frame = pd.concat([frame, frame.iloc[: draw(st.integers(1, 3))]])
    if len(frame) and draw(st.integers(0, 5)) == 0:
        frame = frame.reset_index(drop=True).astype({"volume": "object"})
        frame.loc[draw(st.integers(0, len(frame) - 1)), "volume"] = draw(st.sampled_from(["", "1,234", "x", "-"]))
    return frame.reset_index(drop=True)


def written(folder: Path, number: int, frame: pd.DataFrame, kind: str, dates: str, named: bool) -> None:
    """Write a table as one file; without the column of symbols only the first symbol's rows, named by the file."""
    stem = f"F{number}"
    if not named and len(frame):
        stem = str(frame["symbol"].iloc[0])
        frame = frame[frame["symbol"] == stem].drop(columns="symbol")
    if kind in ("parquet", "feather"):
        frame = frame.astype({"volume": "str"}) if frame["volume"].dtype == object else frame
        path = folder / f"{stem}.{kind}"
        frame.to_parquet(path, row_group_size=5) if kind == "parquet" else frame.to_feather(path, chunksize=5)
        return
    text = frame.assign(time=pd.to_datetime(frame["time"]).dt.strftime(dates)).to_csv(index=False)
    if kind == "crlf":
        text = "# exported\n" + text.replace("\n", "\r\n")
    data = text.encode("utf-8-sig" if kind == "bom" else "utf-8")
    (folder / f"{stem}.csv{'.gz' * (kind == 'gz')}").write_bytes(gzip.compress(data) if kind == "gz" else data)


def outcome(read) -> object:
    """Return all that was read, as values that compare, or the code of the refusal."""
    try:
        made = read()
    except Refusal as refusal:
        return refusal.code
    report = check_panel(made.panel, lines=made.lines, reader_findings=made.findings, events=made.events)
    return {
        "hash": store.content_hash(made.panel, made.events, made.membership), "lines": np.asarray(made.lines).tolist(),
        "fields": sorted(made.panel.fields), "frequency": made.panel.frequency, "files": made.files,
        "ignored": made.ignored, "events": made.events, "membership": made.membership, "rows": made.rows,
        "findings": sorted(map(repr, report.findings)),
    }  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_blocks_and_the_whole_say_the_same(data):
    intraday = data.draw(st.booleans())
    dates = data.draw(st.sampled_from(FORMATS))
    options = ReadOptions(
        stamp=data.draw(st.sampled_from(["end", "start"])), volume_unit=data.draw(st.sampled_from([0, 0, 100])),
        symbols=data.draw(st.sampled_from(["normal", "as_is"])), daily=data.draw(st.sampled_from([None, None, True])),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "bars"
        folder.mkdir()
        for number in range(data.draw(st.integers(1, 3))):
            kind = data.draw(st.sampled_from(["csv", "csv", "crlf", "bom", "gz", "parquet", "feather"]))
            written(folder, number, data.draw(tables(intraday)), kind, dates, data.draw(st.booleans()))
        (folder / "best_membership.txt").write_text("AAA\t2024-01-02\t2024-02-01\n")
        path = folder if data.draw(st.booleans()) else next(iter(sorted(folder.glob("F*"))), folder)
        whole = outcome(lambda: read_bars(path, options))
        made = outcome(lambda: read_streamed(path, options, Path(name) / "spool", quiet))
    if isinstance(whole, str) or isinstance(made, str):
        assert (type(made), type(whole)) == (str, str)  # of two faults either may be named
    else:
        assert {key: value for key, value in made.items() if value != whole[key]} == {}


def quiet(share, what, rows=0):
    """No progress is shown."""
