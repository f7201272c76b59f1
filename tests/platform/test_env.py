"""The typed settings reader and its documentation."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from quant_platform.management.commands.env_example import document
from quant_platform.settings.access import cache
from quant_platform.settings.declared import DECLARED
from quant_platform.settings.env import Setting, SettingError, load_env_file
from quant_platform.settings.secret import secret_key
from quant_platform.settings.storage import database, mail

BASE = Path(settings.BASE_DIR)


def test_env_example_is_what_the_table_says():
    assert (BASE / ".env.example").read_text(encoding="utf-8") == document()


#: Declared ahead of what reads them: orders and their limits, quotes and signals come with trading, the rest
#: with keeping quotes and metrics for so long.
AHEAD = {
    "QP_CACHE_SIGNALS_SECONDS", "QP_CACHE_STRATEGY_SECONDS",
    "QP_CANCEL_SHARE", "QP_DAY_MAX_ORDERS", "QP_DAY_MAX_TRADES", "QP_DRAWDOWN_HALTED", "QP_LOSS_HALTED", "QP_LOSS_REDUCING",
    "QP_ORDERS_PER_SECOND", "QP_ORDER_MAX_BAR_VOLUME", "QP_ORDER_MAX_MINUTE_VOLUME", "QP_ORDER_MAX_NOTIONAL",
    "QP_ORDER_PRICE_BAND", "QP_ORDER_PRICE_BAND_CRYPTO", "QP_REJECTS_HALTED",
    "QP_TRADE_MAX_VALUE", "QP_WORKING_ORDERS",
}  # fmt: skip


def test_every_setting_is_read_by_something():
    """A setting that changes nothing would lie; whoever wires one of AHEAD takes it off the list."""
    files = [*BASE.glob("apps/**/*.py"), *BASE.glob("quant_platform/**/*.py")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files if path.name != "declared.py")
    words = set(re.findall(r"\b[A-Z][A-Z0-9_]+\b", text))
    assert {setting.name for setting in DECLARED} - words == AHEAD


def test_what_is_declared_ahead_is_declared():
    assert {setting.name for setting in DECLARED} >= AHEAD


def test_every_setting_is_declared_once():
    names = [setting.name for setting in DECLARED]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("int", "7", 7),
        ("float", "0.5", 0.5),
        ("bool", "Yes", True),
        ("bool", "off", False),
        ("list", "a, b,", ["a", "b"]),
    ],
)
def test_a_setting_reads_its_type(kind, text, value):
    assert Setting("X", kind, None, "").read({"X": text}) == value


def test_an_empty_variable_means_the_default():
    assert Setting("X", "int", 3, "").read({"X": ""}) == 3


@pytest.mark.parametrize(("kind", "text"), [("int", "many"), ("float", "a lot"), ("bool", "perhaps")])
def test_a_wrong_value_names_the_variable_and_what_was_expected(kind, text):
    with pytest.raises(SettingError, match=rf"SLOTS is '{text}'; expected "):
        Setting("SLOTS", kind, None, "").read({"SLOTS": text})


def test_a_value_outside_the_choices_names_the_choices():
    with pytest.raises(SettingError, match="expected one of red, blue"):
        Setting("X", "str", "red", "", ("red", "blue")).read({"X": "green"})


def test_a_wrong_variable_stops_the_program_with_its_name():
    run = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=BASE,
        env={"PATH": "/usr/bin:/bin", "PORT": "eighty"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    assert "PORT is 'eighty'; expected a whole number" in run.stderr


@pytest.mark.parametrize("missing", ["SECRET_KEY", "ALLOWED_HOSTS"])
def test_production_refuses_to_start_without_what_keeps_it_safe(missing, tmp_path):
    env = {
        "PATH": "/usr/bin:/bin",
        "QP_ENV": "production",
        "VAR_DIR": str(tmp_path),
        "SECRET_KEY": "k" * 40,
        "ALLOWED_HOSTS": "x.example",
    }
    env.pop(missing)
    run = subprocess.run(
        [sys.executable, "manage.py", "check"], cwd=BASE, env=env, capture_output=True, text=True, check=False
    )
    assert run.returncode != 0
    assert f"{missing} is empty" in run.stderr


def test_an_env_file_does_not_override_the_environment(tmp_path):
    path = tmp_path / ".env"
    path.write_text("# comment\nA=1\nB='two'\n\nnonsense\n", encoding="utf-8")
    environ = {"A": "given"}
    load_env_file(path, environ)
    assert environ == {"A": "given", "B": "two"}


def test_a_missing_env_file_changes_nothing(tmp_path):
    environ: dict[str, str] = {}
    load_env_file(tmp_path / "absent", environ)
    assert environ == {}


def test_the_signing_key_is_made_once_per_installation(tmp_path):
    first = secret_key("", "development", tmp_path)
    assert secret_key("", "development", tmp_path) == first
    assert len(first) >= 48
    assert (tmp_path / "secret_key").stat().st_mode & 0o077 == 0


def test_production_refuses_a_short_key(tmp_path):
    with pytest.raises(SettingError, match="shorter than 32"):
        secret_key("short", "production", tmp_path)


def test_postgres_url_becomes_a_pooled_database(tmp_path):
    config = database("postgres://me:p%40ss@db:5433/quant", tmp_path)
    assert (config["NAME"], config["USER"], config["PASSWORD"], config["HOST"], config["PORT"]) == (
        "quant",
        "me",
        "p@ss",
        "db",
        "5433",
    )
    assert config["CONN_MAX_AGE"] == 0
    assert "pool" in config["OPTIONS"]


def test_another_database_is_refused_by_name(tmp_path):
    with pytest.raises(SettingError, match="DATABASE_URL begins with 'mysql'"):
        database("mysql://x", tmp_path)


def test_sqlite_writes_in_immediate_transactions(tmp_path):
    assert database("", tmp_path)["OPTIONS"]["transaction_mode"] == "IMMEDIATE"


def test_what_web_processes_share_lies_in_redis_or_in_files(tmp_path):
    assert "redis" in cache("redis://h", tmp_path)["BACKEND"]
    assert cache("", tmp_path)["LOCATION"] == str(tmp_path / "cache" / "shared")


def test_mail_goes_to_the_console_without_a_server():
    assert mail("")["EMAIL_BACKEND"].endswith("console.EmailBackend")
    assert mail("smtp://u:p@h:25")["EMAIL_USE_TLS"] is True
    assert mail("smtps://h")["EMAIL_PORT"] == 465
    with pytest.raises(SettingError, match="EMAIL_URL"):
        mail("imap://h")
