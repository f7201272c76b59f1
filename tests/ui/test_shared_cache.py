"""The cache that the web processes of a host share."""

from __future__ import annotations

import threading

import pytest

from apps.ui.shared_cache import SharedCache


@pytest.fixture
def two(tmp_path):
    """The same cache as two processes see it."""
    return [SharedCache(str(tmp_path / "shared"), {}) for _ in range(2)]


def at_once(work, times=8):
    found, gate = [], threading.Barrier(times)

    def run(number):
        gate.wait()
        found.append(work(number))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_what_one_process_sets_the_other_reads(two):
    two[0].set("a", {"b": 1})
    assert two[1].get("a") == {"b": 1}
    two[1].delete("a")
    assert two[0].get("a") is None


def test_of_many_that_add_one_has_added(two):
    assert sum(at_once(lambda number: two[number % 2].add("code", "y", 30))) == 1
    assert not two[1].add("code", "y", 30)


def test_no_increment_is_lost(two):
    two[0].set("count", 0)
    assert sorted(at_once(lambda number: two[number % 2].incr("count"))) == list(range(1, 9))
    with pytest.raises(ValueError, match="not found"):
        two[0].incr("nothing")


def test_what_ran_out_is_tidied_away_now_and_then(two, tmp_path):
    one = two[0]
    for number in range(3):
        one.set(f"old{number}", 1, timeout=-1)
    one._tidy_at = 0.0
    one.set("new", 1)
    assert [file.suffix for file in (tmp_path / "shared").iterdir() if file.suffix] == [".djcache"]
    assert one.get("new") == 1


def test_too_many_are_culled(tmp_path):
    one = SharedCache(str(tmp_path), {"max_entries": 4, "cull_frequency": 2})
    for number in range(6):
        one._tidy_at = 0.0
        one.set(str(number), number)
    assert len(list(tmp_path.glob("*.djcache"))) <= 4
