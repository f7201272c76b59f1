"""System checks: each of our own mistakes is named, and a right configuration is silent."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.core.checks import run_checks

from apps.ui import npm_finder
from quant_platform import checks


def ids(found):
    return [message.id for message in found]


def test_the_configuration_of_the_tests_has_no_error_of_ours():
    assert [m for m in run_checks() if m.id.startswith("quant.E")] == []


def test_the_checks_are_registered(settings, tmp_path):
    settings.VAR_DIR = tmp_path / "nowhere"
    assert "quant.E002" in ids(run_checks())


def test_a_retry_within_the_timeout_is_an_error(settings):
    assert checks.jobs(None) == []
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "retry": 60, "timeout": 60}
    assert ids(checks.jobs(None)) == ["quant.E001"]


def test_fewer_launchers_than_slots_is_a_warning(settings):
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "workers": settings.SLOTS - 1}
    assert ids(checks.jobs(None)) == ["quant.W002"]


@pytest.mark.parametrize("kind", ["absent", "a file"])
def test_a_folder_that_cannot_be_written_is_an_error(settings, tmp_path, kind):
    settings.VAR_DIR = tmp_path / "x"
    if kind == "a file":
        settings.VAR_DIR.write_text("")
    assert ids(checks.folder(None)) == ["quant.E002"]
    settings.VAR_DIR = tmp_path
    assert checks.folder(None) == []


def configured(monkeypatch, **values):
    monkeypatch.setattr(checks, "settings", SimpleNamespace(**values))


@pytest.mark.parametrize(
    ("engine", "options", "found"),
    [
        ("django.db.backends.sqlite3", {"transaction_mode": "IMMEDIATE"}, []),
        ("django.db.backends.sqlite3", {}, ["quant.E003"]),
        ("django.db.backends.postgresql", {}, []),
    ],
)
def test_deferred_sqlite_transactions_are_an_error(monkeypatch, engine, options, found):
    configured(monkeypatch, DATABASES={"default": {"ENGINE": engine, "OPTIONS": options}})
    assert ids(checks.transactions(None)) == found


@pytest.mark.parametrize(
    ("engine", "backend", "found"),
    [
        ("django.db.backends.postgresql", checks.HOST_CACHE, ["quant.I001"]),
        ("django.db.backends.postgresql", "django.core.cache.backends.redis.RedisCache", []),
        ("django.db.backends.sqlite3", checks.HOST_CACHE, []),
    ],
)
def test_a_host_s_cache_beside_a_shared_database_is_pointed_out(monkeypatch, engine, backend, found):
    configured(monkeypatch, DATABASES={"default": {"ENGINE": engine}}, CACHES={"default": {"BACKEND": backend}})
    assert ids(checks.cache(None)) == found


def test_production_without_tls_or_token_is_a_warning(settings):
    settings.PRODUCTION, settings.BEHIND_PROXY, settings.METRICS_TOKEN = True, False, ""
    assert ids(checks.transport(None)) == ["quant.W003", "quant.W004"]
    settings.BEHIND_PROXY, settings.METRICS_TOKEN = True, "secret"
    assert checks.transport(None) == []
    settings.PRODUCTION = False
    assert ids(checks.transport(None)) == ["quant.W001"]


def test_missing_chart_libraries_are_only_pointed_out(monkeypatch):
    monkeypatch.setattr(npm_finder, "available", lambda: False)
    assert ids(checks.charts(None)) == ["quant.I002"]
    monkeypatch.setattr(npm_finder, "available", lambda: True)
    assert checks.charts(None) == []
