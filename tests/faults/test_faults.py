"""Everything that may break breaks, and a real training goes on to the same numbers.

One installation and one training on real prices, with faults in a row; beside it the same training, undisturbed,
says what the curve should have been. Heavy: it runs on one database at a time.
"""

from __future__ import annotations

import io
import json
import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from quant_platform.chaos.faults import FAULTS, faults_for
from quant_platform.chaos.installation import Installation, PromiseBroken, curves
from quant_platform.chaos.runner import PROMISES, Report, named, run, sequence
from quant_platform.chaos.undisturbed import Enough, Follower

SERVER = os.environ.get("DATABASE_URL", "")
DATABASE = "postgresql" if SERVER.startswith("postgres") else "sqlite"
heavy = [
    pytest.mark.faults,
    pytest.mark.skipif(sys.platform != "linux", reason="process groups tied to their parent need Linux"),
]
#: What breaks, in this order. What a database has no part in runs on SQLite alone.
IN_A_ROW = {
    "sqlite": [
        "kill_child", "kill_launcher", "kill_web", "pause", "hang", "kill_idle", "stop", "lock", "clock", "disk",
        "truncate", "socket", "worker", "kill_cluster", "kill_warm", "restart", "kill_supervisor",
    ],
    "postgresql": ["kill_child", "kill_launcher", "kill_idle", "cut", "stop", "worker", "kill_cluster", "restart"],
}  # fmt: skip


@pytest.fixture
def database() -> Iterator[str]:
    """The URL of an empty database; SQLite lives in the installation's own folder."""
    if DATABASE == "sqlite":
        yield ""
        return
    import psycopg

    name = f"faults_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(SERVER, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield f"{SERVER.rpartition('/')[0]}/{name}"
    with psycopg.connect(SERVER, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def here(tmp_path: Path, database: str) -> Iterator[Installation]:
    installation = Installation(tmp_path, database)
    try:
        installation.ask("prepare")
        installation.serve()
        yield installation
    finally:
        installation.close()


class TestHeavy:
    pytestmark = heavy

    def test_a_training_survives_whatever_happens(self, here):
        report = run(here, named(IN_A_ROW[DATABASE], DATABASE), 0, print)
        print(json.dumps(report.document() | {"s": here.took}))
        assert report.ok, report.broken


def test_a_sequence_is_that_of_its_seed_and_brings_every_fault_before_any_again():
    assert sequence(3, 30, "sqlite") == sequence(3, 30, "sqlite")
    assert sequence(3, 30, "sqlite") != sequence(4, 30, "sqlite")
    known = {fault.name for fault in faults_for("sqlite")}
    drawn = [fault.name for fault in sequence(5, 2 * len(known), "sqlite")]
    assert set(drawn[: len(known)]) == set(drawn[len(known) :]) == known


def test_each_database_has_the_faults_it_can_suffer():
    sqlite, server = ({fault.name for fault in faults_for(one)} for one in ("sqlite", "postgresql"))
    assert sqlite | server == {fault.name for fault in FAULTS}
    assert (sqlite - server, server - sqlite) == ({"lock"}, {"cut"})
    with pytest.raises(KeyError, match="cut"):
        named(["cut"], "sqlite")


def test_a_report_holds_only_when_every_promise_does():
    report = Report(1, held=dict.fromkeys(PROMISES, True))
    assert report.ok
    assert report.document()["ok"]
    report.held["curve"] = False
    assert not report.ok
    assert not Report(1).ok
    broken = Report(1, held=dict.fromkeys(PROMISES, True), broken="why")
    assert broken.document()["broken"] == "why"


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ([[1, 1, {}], [3, 1, {}]], "hole"),
        ([[1, 1, {}], [1, 1, {}]], "hole"),
        ([[1, 2, {}], [2, 1, {}]], "later one"),
    ],
)
def test_a_log_that_is_not_whole_is_called_so(log, words):
    with pytest.raises(PromiseBroken, match=words):
        curves(log)


def test_a_curve_forgets_what_is_said_again():
    log = [
        [1, 1, {"points": [{"step": 1, "values": {"loss": 1.0}}, {"step": 2, "values": {"loss": 2.0}}]}],
        [2, 2, {"rewind": 1}],
        [3, 2, {"points": [{"step": 2, "values": {"loss": 2.0}}]}],
    ]
    assert curves(log) == {"loss": [(1, 1.0), (2, 2.0)]}


def test_every_fault_is_in_the_row_of_a_database():
    assert {*IN_A_ROW["sqlite"], *IN_A_ROW["postgresql"]} == {fault.name for fault in FAULTS}


def test_the_undisturbed_run_goes_as_far_as_it_is_asked_to():
    follower = Follower(io.StringIO("2\n1\n4\n"))

    def train():
        for step in range(1, 9):
            follower.point(step, {"loss": 1 / step})

    with pytest.raises(Enough):
        train()
    assert follower.curves == {"loss": [(step, 1 / step) for step in range(1, 5)]}


def test_the_command_names_its_faults_and_refuses_what_the_database_cannot_suffer(capsys):
    from django.core.management import CommandError, call_command

    call_command("chaos", "--list")
    named_there = capsys.readouterr().out
    assert all(fault.name in named_there for fault in FAULTS)
    with pytest.raises(CommandError, match="another database"):
        call_command("chaos", "--only", "cut")
