"""Everything that may break breaks, and a real training goes on to the same numbers.

Each test is one installation and one training on real prices, with faults in a row; an undisturbed
training then says what the curve should have been. Heavy: it runs on one database at a time.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from quant_platform.chaos.faults import (
    FAULTS,
    faults_for,
    flows,
    kill_child,
    kill_cluster,
    kill_launcher,
    kill_warm,
    kill_web,
    pause_and_resume,
    reaches,
)
from quant_platform.chaos.installation import Installation, PromiseBroken, curves
from quant_platform.chaos.runner import PROMISES, Report, named, run, sequence

SERVER = os.environ.get("DATABASE_URL", "")
DATABASE = "postgresql" if SERVER.startswith("postgres") else "sqlite"
heavy = [
    pytest.mark.faults,
    pytest.mark.skipif(sys.platform != "linux", reason="process groups tied to their parent need Linux"),
]
#: What the second test breaks. What a database has no part in runs on SQLite alone.
MORE = {
    "sqlite": ["stop", "lock", "clock", "disk", "truncate", "socket", "worker"],
    "postgresql": ["cut", "stop", "worker"],
}


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


def kill_one_by_one(here: Installation, pk: int) -> None:
    """Kill the child, its launcher, the warm process, the web and the whole cluster; each time the points flow again."""
    flows(here, pk, "start")
    for kill in (kill_child, kill_launcher, kill_warm, kill_web, kill_cluster):
        kill(here, pk)


def cancel_a_stopped_child(here: Installation, pk: int) -> int:
    """Return the last step said before the child, which cannot answer, was ended."""
    now = flows(here, pk, "before the cancel")
    os.kill(now["pid"], signal.SIGSTOP)
    here.ask("command", pk, "cancel")
    reaches(here, pk, "cancelled", "hard cancel")
    here.until(lambda: not psutil.pid_exists(now["pid"]), "the stopped child's end")
    return here.ask("look", pk)["said"]


def kill_idle_workers(here: Installation) -> None:
    """The cluster may go deaf by this; the supervisor has to notice."""
    (sentinel,) = here.service("launchers").children()
    for worker in sentinel.children():
        worker.kill()


class TestHeavy:
    pytestmark = heavy

    def test_a_training_survives_everything_that_dies(self, here):
        disturbed = here.ask("start")
        kill_one_by_one(here, disturbed)
        pause_and_resume(here, disturbed)
        reached = cancel_a_stopped_child(here, disturbed)

        kill_idle_workers(here)
        whole = here.ask("start")
        flows(here, whole, "killed idle workers")
        here.until(lambda: here.ask("look", whole)["said"] > reached, f"step {reached} undisturbed")
        assert here.ask("look", whole)["attempt"] == 1
        expected, got = curves(here.ask("log", whole)), curves(here.ask("log", disturbed))
        assert {"loss", "epsilon", "reward"} <= set(got)
        for name, points in got.items():
            assert points == expected[name][: len(points)], name

        assert here.stop() == 0
        after = here.ask("look", whole)
        assert (after["status"], after["reason_code"], after["pid"]) == ("queued", "shutdown", None)
        assert after["step"] >= reached
        here.nothing_left()

        here.serve()
        flows(here, whole, "next start", after["attempt"] + 1)
        here.stop(signal.SIGKILL)
        here.nothing_left()
        assert here.ask("look", whole)["status"] in {"queued", "running"}
        print(json.dumps({"s": here.took}))

    def test_a_training_survives_what_machines_do_to_it(self, here):
        report = run(here, named(MORE[DATABASE], DATABASE), 0, print)
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


def test_the_command_names_its_faults_and_refuses_what_the_database_cannot_suffer(capsys):
    from django.core.management import CommandError, call_command

    call_command("chaos", "--list")
    named_there = capsys.readouterr().out
    assert all(fault.name in named_there for fault in FAULTS)
    with pytest.raises(CommandError, match="another database"):
        call_command("chaos", "--only", "cut")
