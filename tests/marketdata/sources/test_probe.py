"""Asking a source from the web process: a child without Django, within a time, whatever its package does."""

from __future__ import annotations

import json

import pytest

from apps.accounts.credentials import credential_set
from apps.marketdata.adapters import source_probe
from apps.marketdata.adapters.source_probe import source_symbols, source_test
from apps.marketdata.engine.sources import probe
from apps.marketdata.services.sources import source_create
from apps.ui.engine.refusal import Refusal
from tests.marketdata.conftest import csv_lines
from tests.marketdata.sources.conftest import put

pytestmark = pytest.mark.django_db


def test_a_child_answers(folder_source, import_root):
    put(import_root / "daily", "AAA.csv", csv_lines(3))
    assert source_test(folder_source) == "1 files of bars, 0 of them still being written."


def test_a_child_gets_the_secret_and_the_allowed_hosts(alice, import_root, server, settings):
    settings.QP_SOURCE_HOSTS = [f"127.0.0.1:{server.port}"]
    server.answer = lambda path, heads: (
        (200, {}, b"a,b\n") if heads.get("authorization") == "Bearer t0ken-77" else (403, {}, b"")
    )
    credential_set(owner=alice, name="vendor", kind="source", secret="t0ken-77")  # pragma: allowlist secret
    source = source_create(
        owner=alice, name="web", kind="http", values={"url": f"{server.url}/a.csv", "credential": "vendor"}
    )
    assert source_test(source) == "127.0.0.1 answered with 4 bytes (?)."


def test_symbols_are_kept_for_a_while(folder_source, import_root, monkeypatch):
    put(import_root / "daily", "AAA.csv", csv_lines(3))
    monkeypatch.setattr(source_probe, "run_child", probe.answer)
    assert source_symbols(folder_source) == ["AAA"]
    monkeypatch.setattr(source_probe, "run_child", None)
    assert source_symbols(folder_source) == ["AAA"]


def test_a_refusal_comes_back_with_its_sentence(folder_source, import_root, monkeypatch):
    (import_root / "daily").rmdir()
    monkeypatch.setattr(source_probe, "run_child", lambda question: json.loads(json.dumps(probe.answer(question))))
    with pytest.raises(Refusal) as caught:
        source_test(folder_source)
    assert (caught.value.code, caught.value.status) == ("no_such_folder", 404)


def test_a_child_that_hangs_is_ended(folder_source, monkeypatch):
    monkeypatch.setattr(source_probe, "SECONDS", 0.01)
    with pytest.raises(Refusal) as caught:
        source_test(folder_source)
    assert (caught.value.code, caught.value.status) == ("source_timeout", 504)


def test_a_child_that_dies_is_told(folder_source, monkeypatch):
    monkeypatch.setattr(source_probe.sys, "executable", "/bin/false")
    with pytest.raises(Refusal) as caught:
        source_test(folder_source)
    assert caught.value.code == "source_failed"


def test_what_a_package_raises_is_an_answer(folder_source, import_root, monkeypatch):
    from apps.marketdata.engine.sources.folder import FolderSource

    def fail(self, job):
        raise ValueError("broken at line 7")

    monkeypatch.setattr(FolderSource, "test", fail)
    monkeypatch.setattr(source_probe, "run_child", probe.answer)
    with pytest.raises(Refusal) as caught:
        source_test(folder_source)
    assert (caught.value.code, "broken at line 7" in str(caught.value)) == ("source_failed", True)
