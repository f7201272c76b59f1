"""The disk cache: whole or not at all, found by question, kept by content, bounded."""

from __future__ import annotations

import json
import os

import pytest

from quant_platform.client.cache import DiskCache
from quant_platform.client.calls import Answer


def answer(content=b"bars", **headers):
    return Answer(200, {"etag": '"1"', **headers}, content)


@pytest.fixture
def cache(tmp_path):
    return DiskCache(tmp_path / "kept", most_bytes=100)


def objects(cache):
    return sorted(cache.folder.glob("objects/*"))


def test_what_was_put_is_got_with_its_headers(cache):
    cache.put("q", answer(b"bars", **{"x-dataset": "d@1", "set-cookie": "secret"}))
    kept = cache.get("q")
    assert (kept.content, kept.etag, kept.is_fresh) == (b"bars", '"1"', False)
    assert kept.answer.headers == {"etag": '"1"', "x-dataset": "d@1"}
    assert kept.answer.kept_at
    assert cache.get("another") is None


def test_equal_content_is_kept_once(cache):
    cache.put("a", answer())
    cache.put("b", answer())
    assert len(objects(cache)) == 1


def test_another_process_sees_it(cache):
    cache.put("q", answer())
    assert DiskCache(cache.folder).get("q").content == b"bars"


@pytest.mark.parametrize("damage", [b"barz", b"", b"bars and more"])
def test_a_damaged_content_is_found_by_its_hash_and_thrown_away(cache, damage):
    cache.put("q", answer())
    objects(cache)[0].write_bytes(damage)
    assert cache.get("q") is None
    assert objects(cache) == []
    cache.put("q", answer())
    assert cache.get("q").content == b"bars"


@pytest.mark.parametrize(
    "line", ["", "{", "[]", "{}", '{"question": 1}', json.dumps({"question": "q", "sha256": "../../x", "headers": {}, "kept_at": ""})]
)  # fmt: skip
def test_a_damaged_index_is_thrown_away(cache, line):
    cache.put("q", answer())
    path = next(cache.folder.glob("index/*"))
    path.write_text(line)
    assert cache.get("q") is None
    assert not path.exists()


def test_a_content_that_is_gone_is_not_there(cache):
    cache.put("q", answer())
    objects(cache)[0].unlink()
    assert cache.get("q") is None


def test_what_was_not_read_for_longest_makes_room(cache):
    for number, name in enumerate("abc"):
        cache.put(name, answer(name.encode() * 30))
        os.utime(objects(cache)[0].parent / cache.get(name).entry.sha256, (number, number))
    cache.get("a")
    cache.put("d", answer(b"d" * 40))
    assert [cache.get(name) is not None for name in "abcd"] == [True, False, True, True] or cache.get("b") is None
    assert cache.size() <= 100
    assert cache.get("a").content == b"a" * 30


def test_what_is_larger_than_everything_is_not_kept(cache):
    cache.put("q", answer(b"x" * 101))
    assert cache.get("q") is None
    assert cache.size() == 0


def test_what_must_not_be_stored_is_not(cache):
    cache.put("q", answer(**{"cache-control": "no-store"}))
    assert cache.get("q") is None


def test_fresh_answers_are_told_by_max_age(cache):
    cache.put("q", answer(**{"cache-control": "private, max-age=3600"}))
    kept = cache.get("q")
    assert kept.is_fresh
    cache.renew("q", kept, {"cache-control": "private, no-cache"})
    assert not cache.get("q").is_fresh


def test_nothing_half_written_is_left(cache, monkeypatch):
    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    cache.put("q", answer())
    assert list(cache.folder.rglob("*.*")) == []
    assert cache.get("q") is None


def test_a_folder_is_cleared_and_its_owners_alone(cache):
    cache.put("q", answer())
    cache.clear()
    assert (cache.get("q"), cache.size()) == (None, 0)
    assert (cache.folder / "objects").stat().st_mode & 0o077 == 0
    with pytest.raises(ValueError, match="positive"):
        DiskCache(cache.folder, most_bytes=0)
