"""An upload is looked at before anything reads it."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from hypothesis import given
from hypothesis import strategies as st

from apps.marketdata.engine.contents import check_contents, kind_of
from apps.marketdata.forms import ImportForm
from apps.ui.engine.refusal import Refusal

BARS = b"date,open,high,low,close,volume\n2024-01-02,1,2,1,2,100\n"


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("bars.csv", BARS),
        ("bars.csv", b"\xef\xbb\xbf" + BARS),
        ("bars.csv", BARS.decode().encode("utf-16")),
        ("日线.csv", "日期,开盘\n".encode("gbk")),
        ("MZ.txt", b"MZ,1,2\n"),
        ("bars.csv", b""),
        ("bars.csv.gz", b"\x1f\x8b\x08\x00"),
        ("bars.parquet", b"PAR1\x15\x04"),
        ("bars.feather", b"ARROW1\x00\x00"),
        ("book.xlsx", b"PK\x03\x04\x14\x00"),
        ("without_ending", BARS),
    ],
)
def test_what_is_as_it_says_passes(name, head):
    check_contents(name, head)


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("bars.csv", b"\x7fELF\x02\x01", "program"),
        ("bars.csv", b"MZ\x90\x00\x03", "program"),
        ("bars.csv", b"#!/bin/sh\nrm -rf /\n", "program"),
        ("bars.csv", b"  <!DOCTYPE html><script>alert(1)</script>", "page"),
        ("bars.csv", b"PK\x03\x04\x14\x00", "zip"),
        ("bars.csv", b"1,2\x00,3", "binary"),
        ("bars.parquet", BARS, "text"),
        ("book.xlsx", b"%PDF-1.7", "document"),
        ("photo", b"\x89PNG\r\n", "picture"),
    ],
)
def test_what_is_something_else_is_refused_with_its_kind(name, head, kind):
    with pytest.raises(Refusal) as no:
        check_contents(name, head)
    assert (no.value.code, no.value.params["kind"]) == ("wrong_contents", kind)


@given(st.binary(max_size=200))
def test_any_bytes_have_a_kind(head):
    assert kind_of(head)


def test_the_form_says_it_at_the_field_and_reads_a_good_file_from_its_start(tmp_path, settings):
    settings.VAR_DIR = tmp_path
    wrong = ImportForm({}, {"upload": SimpleUploadedFile("bars.csv", b"\x7fELF\x02")})
    assert not wrong.is_valid()
    assert "bars.csv is not what its name says" in wrong.errors["upload"][0]
    good = ImportForm({"adjustment": "raw", "time_zone": "UTC"}, {"upload": SimpleUploadedFile("bars.csv", BARS)})
    assert good.is_valid(), good.errors
    assert good.source.read() == BARS
