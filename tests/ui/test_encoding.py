"""Content codings: what is read, what is refused, what is chosen."""

from __future__ import annotations

import gzip
import zlib

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.ui.engine.encoding import CODINGS, best_coding, decoded, encoded
from apps.ui.engine.refusal import Refusal

TEXT = b'{"name": "AAPL"}' * 100


@given(data=st.binary(max_size=5_000), coding=st.sampled_from(CODINGS))
def test_what_is_packed_comes_out_again(data, coding):
    assert decoded(encoded(data, coding), coding, 5_000) == data


@pytest.mark.parametrize("coding", ["", "identity", " Identity "])
def test_without_a_coding_the_body_is_itself(coding):
    assert decoded(TEXT, coding, len(TEXT)) == TEXT


@pytest.mark.parametrize("coding", CODINGS)
def test_members_in_a_row_are_one_body(coding):
    assert decoded(encoded(TEXT, coding) + encoded(b"more", coding), coding, 10_000) == TEXT + b"more"


def test_an_old_name_of_gzip_is_known():
    assert decoded(gzip.compress(TEXT), "X-GZIP", 10_000) == TEXT


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, gzip", "gzip;q=1", "nonsense"])
def test_an_unknown_coding_is_named_with_those_that_are_read(coding):
    with pytest.raises(Refusal) as error:
        decoded(TEXT, coding, 10_000)
    assert (error.value.status, error.value.code) == (415, "unsupported_encoding")
    assert "zstd, gzip" in str(error.value)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("harm", [lambda data: data[:-3], lambda data: data + b"xx", lambda data: b"hello", lambda data: b""])  # fmt: skip
def test_a_broken_body_is_refused(coding, harm):
    with pytest.raises(Refusal) as error:
        decoded(harm(encoded(TEXT, coding)), coding, 10_000)
    assert (error.value.status, error.value.code) == (400, "broken_body")


@given(data=st.binary(min_size=1, max_size=300), coding=st.sampled_from(CODINGS))
def test_whatever_is_sent_is_content_or_a_refusal(data, coding):
    try:
        content = decoded(data, coding, 1_000)
    except Refusal as error:
        content = b"" if error.status in {400, 413} else None
    assert content is not None
    assert len(content) <= 1_000


@pytest.mark.parametrize("coding", CODINGS)
def test_a_bomb_is_read_no_further_than_the_limit(coding):
    bomb = encoded(bytes(50_000_000), coding)
    assert len(bomb) < 60_000
    pa.default_memory_pool().release_unused()
    with pytest.raises(Refusal) as error:
        decoded(bomb, coding, 100_000)
    assert (error.value.status, error.value.code) == (413, "body_too_large")
    assert "100,000" in str(error.value)


def test_exactly_as_much_as_allowed_is_content():
    for coding in CODINGS:
        assert len(decoded(encoded(bytes(1_000), coding), coding, 1_000)) == 1_000
        with pytest.raises(Refusal):
            decoded(encoded(bytes(1_001), coding), coding, 1_000)


def test_raw_deflate_is_no_gzip():
    with pytest.raises(Refusal, match="not whole gzip"):
        decoded(zlib.compress(TEXT), "gzip", 10_000)


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("", ""), ("gzip", "gzip"), ("gzip, zstd", "zstd"), ("zstd;q=0.5, gzip", "gzip"), ("*", "zstd"), ("*;q=0", ""),
        ("zstd;q=0, *", "gzip"), ("br, deflate", ""), ("gzip;q=0.5, identity", ""), ("gzip;q=much", ""),
        ("gzip;q=nan", ""), ("GZIP ; Q=0.3", "gzip"), (",,;", ""), ("gzip;q=0", ""),
    ],
)  # fmt: skip
def test_the_coding_its_reader_likes_best_is_chosen(accept, coding):
    assert best_coding(accept) == coding
