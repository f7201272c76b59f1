"""A folder on the server that others fill: every new or changed file of bars in it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator

from apps.marketdata.engine.contents import HEAD, check_contents
from apps.marketdata.engine.readers import format_of
from apps.marketdata.engine.readers.rows import symbol_of_file
from apps.marketdata.engine.sources.config import FROM, SourceConfig, extra
from apps.marketdata.engine.sources.port import MOST_SYMBOLS, Fetched, Job, Piece, Said, TryAgain, sha256_of
from apps.marketdata.engine.symbols import canonical
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

BAD_FOLDER = N_("“%(folder)s” is no folder below the server's import folder. Write it like daily or vendor/daily.")
NO_FOLDER = N_("There is no folder %(folder)s below the import folder of the server.")
FOUND = N_("%(files)s files of bars, %(waiting)s of them still being written.")
TOO_LARGE = N_("%(file)s has more than %(most)s MB. An administrator can raise QP_SOURCE_LIMIT_MB.")
CHANGED = N_("%(file)s was changed while it was read. It is read again at the next sync.")
MEGABYTE = 1024 * 1024


class FolderConfig(SourceConfig):
    """Which folder, and which files in it."""

    folder: str = Field(
        ".",
        max_length=200,
        title=N_("Folder"),
        description=N_("Below the import folder of the server; “.” is that folder itself."),
        json_schema_extra=extra(FROM),
    )
    pattern: str = Field(
        "*",
        max_length=80,
        title=N_("Files"),
        description=N_("A pattern like *.csv; other files are left alone."),
        json_schema_extra=extra(FROM),
    )
    settle: int = Field(
        10,
        ge=0,
        le=3600,
        title=N_("At rest for"),
        description=N_("A file changed more recently may still be being written, and waits."),
        json_schema_extra=extra(FROM, N_("s")),
    )

    @field_validator("folder")
    @classmethod
    def _inside(cls, value: str) -> str:
        parts = Path(value.replace("\\", "/")).parts
        if not value or "\x00" in value or value.startswith(("/", "~")) or ".." in parts or ":" in value:
            raise Refusal("bad_folder", BAD_FOLDER, field="folder", folder=value[:80])
        return value


class FolderSource:
    """Reads files that are new or whose content changed; a file that goes away takes nothing along."""

    label: ClassVar[str] = N_("Folder on the server")
    summary: ClassVar[str] = N_("Every new or changed file in a folder that others fill.")
    config: ClassVar[type[SourceConfig]] = FolderConfig
    secret: ClassVar[str] = ""
    requires: ClassVar[str] = ""

    def test(self, job: Job) -> Said:
        files, waiting = self._files(job)
        return Said(FOUND, {"files": len(files) + waiting, "waiting": waiting})

    def symbols(self, job: Job) -> Sequence[str]:
        files, _waiting = self._files(job)
        return sorted({canonical(symbol_of_file(file.name)) for file in files})[:MOST_SYMBOLS]

    def fetch(self, job: Job) -> Fetched:
        known: dict[str, Any] = dict(job.marks.get("files", {}))
        files, _waiting = self._files(job)
        taken, pieces, marks = [], [], {name: mark for name, mark in known.items() if mark}
        for number, file in enumerate(files):
            job.progress(number / max(1, len(files)), file.name)
            state = file.stat()
            before = known.get(file.name, {})
            if [before.get("size"), before.get("mtime")] == [state.st_size, state.st_mtime_ns]:
                continue
            copy = self._copy(job, file)
            digest = sha256_of(copy)
            marks[file.name] = {"size": state.st_size, "mtime": state.st_mtime_ns, "sha256": digest}
            if digest == before.get("sha256"):  # touched, not changed
                copy.unlink()
                continue
            taken.append(copy)
            pieces.append(Piece(f"{job.config.folder}/{file.name}", digest, state.st_size))
        return Fetched(tuple(taken), tuple(pieces), {"files": marks})

    def _files(self, job: Job) -> tuple[list[Path], int]:
        """Return the files at rest, by name, and how many are not."""
        folder = inside(job.root, job.config.folder)
        if not folder.is_dir():
            raise Refusal("no_such_folder", NO_FOLDER, status=404, field="folder", folder=job.config.folder[:80])
        rest, waiting = [], 0
        for file in sorted(folder.iterdir()):
            # A link could lead out of the folder that an administrator opened to people.
            if file.is_symlink() or not file.is_file() or not _wanted(file, job.config.pattern):
                continue
            if job.now.timestamp() - file.stat().st_mtime < job.config.settle:
                waiting += 1
            else:
                rest.append(file)
        return rest, waiting

    def _copy(self, job: Job, file: Path) -> Path:
        """Take a copy that nobody changes while it is read."""
        before = file.stat()
        if before.st_size > job.network.limit:
            most = job.network.limit // MEGABYTE
            raise Refusal("too_large", TOO_LARGE, status=413, field="file", file=file.name, most=most)
        with file.open("rb") as opened:
            check_contents(file.name, opened.read(HEAD))
        copy = job.folder / file.name
        shutil.copyfile(file, copy)
        after = file.stat()
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise TryAgain("file_changed", CHANGED, status=409, field="file", file=file.name)
        return copy


def _wanted(file: Path, pattern: str) -> bool:
    return bool(format_of(file)) and fnmatch(file.name, pattern) and not file.name.startswith((".", "~$"))


def inside(root: Path, folder: str) -> Path:
    """Return ``folder`` below ``root``. Raises ``Refusal`` ``bad_folder`` where a link leads out of it."""
    found = (root / folder).resolve()
    if not found.is_relative_to(root.resolve()):
        raise Refusal("bad_folder", BAD_FOLDER, field="folder", folder=folder[:80])
    return found
