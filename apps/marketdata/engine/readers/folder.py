"""What lies in a folder: files of bars, who belongs to a universe, and what is neither."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from apps.marketdata.engine.symbols import canonical
from apps.marketdata.engine.universe import Membership, in_order
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

NO_FILE = N_("There is no file %(file)s.")
NO_FILES = N_("%(file)s holds no file of bars. Folders below it that may: %(below)s.")
NOTHING = N_(
    "%(file)s holds no file of bars, nor does a folder below it. Choose a folder of CSV, Parquet, Excel or zips."
)
SPAN = re.compile(r"(\S+)[\t ,]+(\d{4}-\d{2}-\d{2})[\t ,]+(\d{4}-\d{2}-\d{2})\s*")
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
INDEX = N_("an index is not one of the symbols; import it as a dataset of its own")
DAYS = N_("a list of days")
SIDE_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True)
class Folder:
    """The files to read as bars, the membership told beside them, and what was left out and why."""

    files: list[Path]
    membership: tuple[Membership, ...] = ()
    left_out: tuple[tuple[Path, str], ...] = ()


def open_folder(path: Path, wanted: Callable[[Path], bool]) -> Folder:
    """Look through ``path``, a file or a folder (not below it).

    Of a single file its neighbours called ``*membership*`` are read as well. Raises ``Refusal``
    ``no_such_file`` (404) or ``no_files``.
    """
    if not path.is_dir():
        if not path.is_file():
            raise Refusal("no_such_file", NO_FILE, status=404, field="file", file=str(path))
        beside = sorted(file for file in path.parent.glob("*membership*.txt") if file != path)
        return Folder([path], in_order(span for file in beside for span in spans_of(file)))
    files, spans, left = [], [], []
    for file in sorted(file for file in path.iterdir() if file.is_file() and wanted(file)):
        kind = _kind(file)
        if kind == "membership":
            spans += list(spans_of(file))
        elif kind:
            left.append((file, DAYS if kind == "days" else INDEX))
        else:
            files.append(file)
    if not files:  # a folder of nothing but indices, or a pattern that asks for them
        files = [file for file, why in left if why == INDEX]
        left = [(file, why) for file, why in left if why != INDEX]
    if not files:
        raise _no_files(path, wanted)
    return Folder(files, in_order(spans), tuple(left))


def _no_files(path: Path, wanted: Callable[[Path], bool]) -> Refusal:
    below = sorted({str(found.parent.relative_to(path)) for found in path.rglob("*") if wanted(found)} - {"."})
    if not below:
        return Refusal("no_files", NOTHING, field="file", file=path.name)
    return Refusal("no_files", NO_FILES, field="file", file=path.name, below=", ".join(below[:12]))


def _kind(file: Path) -> str:
    """Return membership, days or index for what is no file of bars, else nothing."""
    if file.name.startswith("index_"):
        return "index"
    if (
        file.stem.upper() in ("README", "LICENSE", "MANIFEST")
        or file.suffix.lower() not in (".txt", ".csv")
        or file.stat().st_size > SIDE_BYTES
    ):
        return ""
    with file.open("rb") as opened:
        first = opened.readline(200).decode("utf-8", "replace").strip()
    return "membership" if SPAN.fullmatch(first) else "days" if DAY.fullmatch(first) else ""


def spans_of(file: Path) -> Iterator[Membership]:
    """Read Qlib's instruments layout: symbol, first and last day; the universe is the file's name."""
    name = re.sub(r"[_-]?(membership|instruments|constituents|members)[_-]?", "", file.stem) or file.stem
    for line in file.read_text(encoding="utf-8-sig").splitlines():
        found = SPAN.fullmatch(line)
        if found:
            days = (np.datetime64(found.group(2), "D"), np.datetime64(found.group(3), "D"))
            yield Membership(name, canonical(found.group(1)), *days)
