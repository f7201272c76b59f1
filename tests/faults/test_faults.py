"""Everything that may die dies, and a real training goes on to the same numbers.

One installation, one training on real prices, faults in a row: killed child, killed launcher,
killed web, killed cluster, pause and resume, a stopped child that has to be cancelled, idle
workers killed, an orderly stop and a killed supervisor.
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

from tests.faults.installation import Installation, curves

pytestmark = [
    pytest.mark.faults,
    pytest.mark.xdist_group("serve"),
    pytest.mark.skipif(sys.platform != "linux", reason="process groups tied to their parent need Linux"),
]
SERVER = os.environ.get("DATABASE_URL", "")
DATABASES = ["sqlite", *(["postgresql"] if SERVER.startswith("postgres") else [])]


@pytest.fixture
def database(request) -> Iterator[str]:
    """The URL of an empty database; SQLite lives in the installation's own folder."""
    if request.param == "sqlite":
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
    installation.ask("prepare")
    installation.serve()
    yield installation
    installation.close()


def flows(here: Installation, pk: int, what: str, attempt: int = 1) -> dict:
    """Wait until attempt ``attempt`` or a later one says new points, and return where it stands."""
    seen = here.ask("look", pk)["last_seq"]

    def speaks():
        now = here.ask("look", pk)
        return now if now["said_by"] >= attempt and now["last_seq"] > seen and now["pid"] else None

    return here.until(speaks, f"points after {what}: {here.ask('wait_of', pk)}", what)


def reaches(here: Installation, pk: int, status: str, what: str) -> dict:
    def there():
        now = here.ask("look", pk)
        return now if now["status"] == status else None

    return here.until(there, f"{status} after {what}", what)


def kill_one_by_one(here: Installation, pk: int) -> None:
    """Kill the child, its launcher, the warm process, the web and the whole cluster; each time the points flow again."""
    now = flows(here, pk, "start")
    os.kill(now["pid"], signal.SIGKILL)
    now = flows(here, pk, "killed child", now["attempt"] + 1)
    os.kill(int(now["worker"].rpartition(":")[2]), signal.SIGKILL)
    now = flows(here, pk, "killed launcher", now["attempt"] + 1)
    here.service("warm_children").kill()
    now = flows(here, pk, "killed warm process", now["attempt"] + 1)
    here.service("daphne").kill()
    here.until(lambda: not here.healthy() or True, "the web noticing")
    here.until(here.healthy, "the web answering again", "killed web")
    assert flows(here, pk, "web back")["attempt"] == now["attempt"]
    os.killpg(here.service("qcluster").pid, signal.SIGKILL)
    flows(here, pk, "killed cluster", now["attempt"] + 1)


def pause_and_resume(here: Installation, pk: int) -> None:
    child = here.ask("look", pk)["pid"]
    here.ask("command", pk, "pause")
    now = reaches(here, pk, "paused", "pause")
    here.until(lambda: not psutil.pid_exists(child), "the paused child freeing its memory")
    here.ask("command", pk, "resume")
    flows(here, pk, "resume", now["attempt"] + 1)


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
    (sentinel,) = here.service("qcluster").children()
    for worker in sentinel.children():
        worker.kill()


@pytest.mark.parametrize("database", DATABASES, indirect=True)
def test_a_training_survives_everything_that_dies(here):
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
