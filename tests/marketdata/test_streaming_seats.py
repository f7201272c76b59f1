"""Two imports of one path at one moment keep apart; one that was stopped finds what it had read."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress

import pytest

from apps.marketdata import services
from apps.marketdata.engine.readers import ReadOptions
from apps.marketdata.engine.streaming import forget, locks, seat, spool

fcntl = pytest.importorskip("fcntl")  # The locks of Windows are played by those of POSIX.
NAMES = tuple(f"S{n:03d}" for n in range(7))
HOLD = """
import sys
from pathlib import Path
from apps.marketdata.engine.readers import ReadOptions
from apps.marketdata.engine.streaming import seat
with seat(Path(sys.argv[1]), ReadOptions(), Path(sys.argv[2])) as folder:
    (folder / "state.json").write_text("{}")
    print(folder.name, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def minutes(write, monkeypatch):
    monkeypatch.setattr(spool, "BLOCK", 4000)
    monkeypatch.setattr("apps.marketdata.engine.streaming.LARGE", 1000)
    rows = [f"2024-01-02T{9 + m // 60:02d}:{m % 60:02d},{name},{10 + m},{12 + m},{9 + m},{11 + m},{m}\n"
            for m in range(120) for name in NAMES]  # fmt: skip
    return write("m.csv", "datetime,symbol,open,high,low,close,volume\n" + "".join(rows))


def stopped(path, root):
    """An import that reads something and is interrupted."""
    with suppress(KeyboardInterrupt), seat(path, ReadOptions(), root) as folder:
        (folder / "state.json").write_text("{}")
        raise KeyboardInterrupt


class Msvcrt:
    """Locks of Windows as far as a seat uses them, made of the ones here: of a file, and refused with an ``OSError``."""

    LK_NBLCK = 2

    def locking(self, descriptor, mode, count):
        assert (mode, count) == (self.LK_NBLCK, 1)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.fixture
def windows(monkeypatch):
    monkeypatch.setattr(locks, "fcntl", None)
    monkeypatch.setattr(locks, "msvcrt", Msvcrt())


@pytest.fixture(params=["posix", "windows"])
def system(request):
    if request.param == "windows":
        request.getfixturevalue("windows")


@pytest.mark.usefixtures("system")
def test_a_second_seat_while_the_first_is_held_and_the_first_again_when_it_is_left(tmp_path):
    path, root = tmp_path / "m.csv", tmp_path / "spool"
    with seat(path, ReadOptions(), root) as first, seat(path, ReadOptions(), root) as second:
        assert first != second
        with seat(path, ReadOptions(symbol="A"), root) as other:
            assert other not in (first, second)
    with seat(path, ReadOptions(), root) as again:
        assert again == first
    assert not list(root.iterdir())


@pytest.mark.usefixtures("system")
def test_what_a_stopped_import_left_is_found_and_what_a_living_one_has_is_not_forgotten(tmp_path):
    path, root = tmp_path / "m.csv", tmp_path / "spool"
    stopped(path, root)
    with seat(path, ReadOptions(), root) as again:
        assert (again / "state.json").is_file()
        (again / "state.json").touch()
        forget(path, ReadOptions(), root)
        assert (again / "state.json").is_file()
    stopped(path, root)
    forget(path, ReadOptions(), root)
    assert not list(root.iterdir())


@pytest.mark.usefixtures("windows")
def test_on_windows_a_folder_that_was_just_removed_is_no_seat_and_leaves_no_lock(tmp_path):
    assert locks.locked(tmp_path / "gone") is None
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("windows")
def test_on_windows_a_lock_that_is_being_removed_is_somebody_elses(tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError(13, "delete pending")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refused)
        assert locks.locked(tmp_path) is None
    lock = locks.locked(tmp_path)
    monkeypatch.setattr(type(tmp_path), "unlink", refused)
    lock.release()  # Another import has opened it in the meantime: the file stays for that one to remove.
    assert tmp_path.with_name(f"{tmp_path.name}.lock").is_file()


def test_a_killed_process_holds_nothing(tmp_path):
    path, root = tmp_path / "m.csv", tmp_path / "spool"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), str(root)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        taken = process.stdout.readline().strip()
        with seat(path, ReadOptions(), root) as beside:
            assert beside.name != taken
        process.kill()
        process.wait()
        with seat(path, ReadOptions(), root) as again:
            assert (again.name, (again / "state.json").is_file()) == (taken, True)


@pytest.mark.django_db
def test_two_imports_of_one_file_at_one_moment_both_become_whole(minutes, var_dir):
    made = []

    def progress(share, what, rows=0):
        if share > 0.4 and not made:
            made.append(None)
            made.append(services.dataset_import_path(minutes, name="inner", options=ReadOptions()))

    outer = services.dataset_import_path(minutes, name="outer", options=ReadOptions(), on_progress=progress)
    assert (outer.rows, outer.content_hash) == (120 * len(NAMES), made[1].content_hash)
    assert not list((var_dir / "spool").iterdir())
