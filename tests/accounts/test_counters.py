"""Counters that the web processes of a host share, and the throttle that counts in them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.engine.counters import PROBES, SLOT, SharedCounters
from apps.accounts.throttle import used


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "requests"


def test_each_key_and_window_has_a_count_of_its_own(path):
    one = SharedCounters(path)
    assert [one.count(key, window) for key, window in (("a", 1), ("a", 1), ("b", 1), ("a", 2), ("a", 2))] == [
        1, 2, 1, 1, 2,
    ]  # fmt: skip
    one.close()


def test_processes_count_together(path):
    one = SharedCounters(path)
    one.count("a", 1)
    code = f"""
from pathlib import Path
from apps.accounts.engine.counters import SharedCounters
one = SharedCounters(Path({str(path)!r}))
print([one.count("a", 1) for _ in range(500)][-1])
"""
    order = [sys.executable, "-c", code]
    others = [subprocess.Popen(order, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert max(int(other.communicate(timeout=60)[0]) for other in others) == 1001
    assert one.count("a", 1) == 1002
    one.close()


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(1, 3)), max_size=60))
def test_as_long_as_there_is_room_it_counts_like_a_dictionary(tmp_path_factory, calls):
    one, plain = SharedCounters(tmp_path_factory.mktemp("counters") / "c", slots=64), {}
    latest = 0
    for key, step in calls:
        latest = max(latest, step)
        plain[key, latest] = plain.get((key, latest), 0) + 1
        assert one.count(key, latest) == plain[key, latest]
    one.close()


def test_a_flood_of_keys_neither_grows_the_file_nor_frees_who_was_counted_most(path):
    one = SharedCounters(path, slots=PROBES)
    for _ in range(50):
        one.count("much", 7)
    for number in range(500):
        one.count(f"flood{number}", 7)
    assert one.count("much", 7) == 51
    assert path.stat().st_size == PROBES * SLOT.size
    one.close()


def test_a_file_of_another_size_is_made_fit(path):
    path.parent.mkdir()
    path.write_bytes(b"broken")
    one = SharedCounters(path)
    assert one.count("a", 1) == 1
    one.close()


def test_the_throttle_counts_in_the_folder_of_the_installation(settings, tmp_path):
    settings.VAR_DIR, settings.REDIS_URL = tmp_path, ""
    assert [used("token:x:1.2.3.4", now) for now in (60.0, 119.0, 120.0)] == [1, 2, 1]
    assert (tmp_path / "cache" / "requests").is_file()
