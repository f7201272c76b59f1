"""What people type wrongly: every command answers with one sentence and a failing status, never with a traceback."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.accounts.models import LoginLock
from apps.ui.commands import refusals_as_errors
from quant_platform.scratch import scratch_database
from tests.marketdata.conftest import builtin, var_dir  # noqa: F401 - fixtures

NO_FOLDER = "No such file or directory"
ABSENT = "/nowhere/at/all"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["export_data", "us-daily-raw", f"{ABSENT}/x.csv"], f"x.csv.partial: {NO_FOLDER}."),
        (["export_data", "us-daily-raw", "x.csv", "--start", "2005-01-03"], "bars are exported whole"),
        (["features", "us-daily-raw", "--set", "Alpha158", "--out", f"{ABSENT}/x.parquet"], f"no folder {ABSENT}."),
        (["features", "us-daily-raw", "--set", "Alpha158", "--out", "x.xml"], "x.xml must end in .parquet"),
        (["audit", "export", f"{ABSENT}/x.jsonl"], f"{ABSENT}/x.jsonl: {NO_FOLDER}."),
        (["env_example", "--output", f"{ABSENT}/x"], f"{ABSENT}/x: {NO_FOLDER}."),
        (["check_data", ""], "There is no dataset"),
        (["check_data", "x" * 5000], "File name too long"),
        (["import_bars", "x" * 5000, "--dataset", "x"], "File name too long"),
        (["verify_reference", "x" * 5000], "File name too long"),
        (["quotes", "show", "NOBODY"], "None of these symbols has a quote."),
        (["people", "unlock", "nobody"], "Nobody is called nobody."),
        (["people", "token", "alice", "--days", "9" * 40], "is no number from 0 to 36,500"),
        (["datasets", "list", "--limit", "9" * 40], "is no number from 1 to 10,000"),
        (["imports", "list", "--limit", "0"], "0 is no number from 1 to 10,000"),
        (["sessions", "list", "--limit", "-1"], "-1 is no number from 1 to 10,000"),
        (["sessions", "list", "--status", "happy"], "invalid choice: 'happy'"),
        (["sessions", "compare", "9" * 40, "--user", "alice"], "There is no session of such a number."),
        (["metric", "reward", "--limit", "many"], "many is no number from 1 to 10,000"),
        (["retention", "--days", "9" * 40], "is no number from 0 to 36,500"),
        (["quality_report", "--days", "0"], "0 is no number from 1 to 36,500"),
        (["serve", "--port", "99999"], "99999 is no number from 0 to 65,535"),
        (["demo", "--port", "-1"], "-1 is no number from 0 to 65,535"),
        (["client_benchmark", "http://127.0.0.1:9", "--timeout", "nan"], "nan is no number from 0.001 to 3,600.0"),
        (["client_benchmark", "http://127.0.0.1:9", "--timeout", "inf"], "inf is no number from 0.001 to 3,600.0"),
        (["workers", "drain", "x", "--user", "alice"], "The permission user.admin is needed."),
        (["smoke", "--database", "nope"], "--database is no address like postgres://"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else "",
)
@pytest.mark.usefixtures("builtin", "alice")
def test_a_command_says_in_one_sentence_what_it_cannot_use(words, sentence):
    with pytest.raises(CommandError) as told:
        call_command(*words, stdout=StringIO())
    assert sentence in str(told.value)


def test_the_address_of_a_database_never_shows_its_password():
    address = "mysql://me:hunter2@host/db?=%"  # pragma: allowlist secret
    with pytest.raises(CommandError) as told, scratch_database(address, "x"):
        pass
    assert "hunter2" not in str(told.value)


@pytest.mark.django_db
def test_a_name_that_nobody_has_can_be_unlocked():
    LoginLock.objects.create(kind="name", username="nobody", failures=5)
    out = StringIO()
    call_command("people", "unlock", "nobody", stdout=out)
    assert out.getvalue() == "unlocked\n"


def test_people_are_listed_in_words(alice):
    out = StringIO()
    call_command("people", "list", stdout=out)
    assert out.getvalue().split(maxsplit=1) == [
        "alice",
        "ordinary       does not trade, risk low, 3 sessions at once\n",
    ]


def test_an_error_without_a_file_keeps_its_own_words():
    with pytest.raises(CommandError, match=r"^the line is dead$"), refusals_as_errors():
        raise ConnectionError("the line is dead")
