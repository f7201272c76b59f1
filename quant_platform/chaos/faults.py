"""The faults: each does its harm to a running session and returns when the points flow again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from quant_platform.chaos.installation import Installation, PromiseBroken

#: Longer than a lease.
LOCKED_SECONDS = 10.0
DROPS = 20
JUMP_SECONDS = 3600
#: By then whoever looks at leases has looked with the new clock.
NOTICED_SECONDS = 2.5


def flows(here: Installation, pk: int, what: str, attempt: int = 1) -> dict[str, Any]:
    """Wait until attempt ``attempt`` or a later one says new points, and return where it stands."""
    seen = here.ask("look", pk)["last_seq"]

    def speaks() -> dict[str, Any] | None:
        now: dict[str, Any] = here.ask("look", pk)
        return now if now["said_by"] >= attempt and now["last_seq"] > seen and now["pid"] else None

    def missed() -> str:
        return f"points of attempt {attempt} after {what}: {here.ask('wait_of', pk)}, {here.processes()}"

    found: dict[str, Any] = here.until(speaks, missed, what)
    return found


def reaches(here: Installation, pk: int, status: str, what: str) -> dict[str, Any]:
    """Wait until the session is in ``status`` and return where it stands."""

    def there() -> dict[str, Any] | None:
        now: dict[str, Any] = here.ask("look", pk)
        return now if now["status"] == status else None

    found: dict[str, Any] = here.until(there, f"{status} after {what}", what)
    return found


def launcher_of(now: dict[str, Any]) -> int:
    return int(now["worker"].rpartition(":")[2])


def kill_child(here: Installation, pk: int) -> None:
    now = here.ask("look", pk)
    os.kill(now["pid"], signal.SIGKILL)
    flows(here, pk, "killed child", now["attempt"] + 1)


def kill_launcher(here: Installation, pk: int) -> None:
    now = here.ask("look", pk)
    os.kill(launcher_of(now), signal.SIGKILL)
    flows(here, pk, "killed launcher", now["attempt"] + 1)


def kill_warm(here: Installation, pk: int) -> None:
    """A session that began before the warm process was there is none of its children and goes on."""
    now, warm = here.ask("look", pk), here.service("warm_children")
    hit = psutil.Process(now["pid"]).ppid() == warm.pid
    warm.kill()
    flows(here, pk, "killed warm process", now["attempt"] + hit)


def kill_web(here: Installation, pk: int) -> None:
    attempt = here.ask("look", pk)["attempt"]
    here.service("daphne").kill()
    here.until(lambda: not here.healthy() or True, "the web noticing")
    here.until(here.healthy, "the web answering again", "killed web")
    if flows(here, pk, "web back")["attempt"] != attempt:
        raise PromiseBroken("the death of the web disturbed a session")


def kill_cluster(here: Installation, pk: int) -> None:
    now = here.ask("look", pk)
    os.killpg(here.service("launchers").pid, signal.SIGKILL)
    flows(here, pk, "killed cluster", now["attempt"] + 1)


def kill_supervisor(here: Installation, pk: int) -> None:
    now = here.ask("look", pk)
    here.stop(signal.SIGKILL)
    here.nothing_left()
    here.serve()
    flows(here, pk, "killed supervisor", now["attempt"] + 1)


def kill_idle(here: Installation, pk: int) -> None:
    """Kill the cluster's processes while nothing runs: it may go deaf by this, and the supervisor has to notice."""
    here.ask("command", pk, "pause")
    now = reaches(here, pk, "paused", "pause before the kill")
    (sentinel,) = here.service("launchers").children()
    for process in sentinel.children():
        process.kill()
    here.ask("command", pk, "resume")
    flows(here, pk, "killed idle launchers", now["attempt"] + 1)


def freeze(here: Installation, pk: int, *pids: int) -> list[psutil.Process]:
    """Stop processes at a moment when they hold no lock: one that is stopped within a transaction stops all others."""
    processes = [psutil.Process(pid) for pid in pids]

    def without_lock() -> bool:
        for process in processes:
            process.suspend()
        if here.ask("unlocked", pk):
            return True
        for process in processes:
            process.resume()
        return False

    here.until(without_lock, "a moment without a lock")
    return processes


def cancel_what_hangs(here: Installation, pk: int) -> None:
    """Cancel another training whose process cannot answer: it is ended."""
    other = here.ask("start")
    now = flows(here, other, "start of another")
    freeze(here, other, now["pid"])
    here.ask("command", other, "cancel")
    reaches(here, other, "cancelled", "hard cancel")
    here.until(lambda: not psutil.pid_exists(now["pid"]), "the stopped child's end")
    flows(here, pk, "the other's end")


def restart(here: Installation, pk: int) -> None:
    """Stop the installation in order: the session is saved and goes on when it is started again."""
    after = stopped_in_order(here, pk)
    here.nothing_left()
    here.serve()
    flows(here, pk, "next start", after["attempt"] + 1)


def stopped_in_order(here: Installation, pk: int) -> dict[str, Any]:
    """Stop the installation and return where the session stands: saved, and back in the queue."""
    said = here.ask("look", pk)["said"]
    code, after = here.stop(), here.ask("look", pk)
    if (code, after["status"], after["reason_code"], after["pid"]) != (0, "queued", "shutdown", None):
        raise PromiseBroken(f"an orderly stop ended with {code} and left {after}")
    if after["step"] < said:
        raise PromiseBroken(f"step {said} was said, and an orderly stop saved {after['step']}")
    return dict(after)


def pause_and_resume(here: Installation, pk: int) -> None:
    child = here.ask("look", pk)["pid"]
    here.ask("command", pk, "pause")
    now = reaches(here, pk, "paused", "pause")
    here.until(lambda: not psutil.pid_exists(child), "the paused child freeing its memory")
    here.ask("command", pk, "resume")
    flows(here, pk, "resume", now["attempt"] + 1)


def stop_and_come_back(here: Installation, pk: int) -> None:
    """Freeze child and launcher until another attempt has taken over, then let both come back."""
    now = here.ask("look", pk)
    frozen = freeze(here, pk, now["pid"], launcher_of(now))
    try:
        flows(here, pk, "stopped child", now["attempt"] + 1)
    finally:
        for process in frozen:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
    here.until(lambda: not frozen[0].is_running(), "the end of the child that came back too late", "came back")
    flows(here, pk, "after it came back", now["attempt"] + 1)


def lock_database(here: Installation, pk: int) -> None:
    """Hold SQLite's write lock longer than a lease."""
    holder = sqlite3.connect(here.folder / "quant.sqlite3", isolation_level=None, timeout=30)
    try:
        holder.execute("BEGIN IMMEDIATE")
        time.sleep(LOCKED_SECONDS)
        holder.execute("ROLLBACK")
    finally:
        holder.close()
    flows(here, pk, "database locked")


def cut_connections(here: Installation, pk: int) -> None:
    """End every backend of PostgreSQL, as its restart does."""
    here.ask("cut_connections")
    flows(here, pk, "database connections cut")


def jump_clock(here: Installation, pk: int) -> None:
    """Move the wall clock an hour ahead, and back."""
    file = here.faults / "clock"
    for word, offset in (("ahead", JUMP_SECONDS), ("back", 0)):
        file.write_text(str(offset))
        here.until(lambda at=offset: _said_on(here, pk, at), f"rows of a clock {word}")  # type: ignore[misc]
        time.sleep(NOTICED_SECONDS)
        flows(here, pk, f"clock an hour {word}")


def _said_on(here: Installation, pk: int, offset: float) -> bool:
    """Tell whether the newest row of the log is from a clock that is ``offset`` seconds off."""
    return bool(abs(here.ask("said_at", pk) - time.time() - offset) < 600)


def fill_disk(here: Installation, pk: int) -> None:
    """Let the next checkpoint find the disk full: it ends interrupted and goes on when there is room."""
    full = here.faults / "disk_full"
    full.touch()
    try:
        now = reaches(here, pk, "interrupted", "disk full")
    finally:
        full.unlink()
    if now["reason_code"] != "disk_full":
        raise PromiseBroken(f"a full disk ended as {now['reason_code']}")
    here.ask("command", pk, "resume")
    flows(here, pk, "room on the disk", now["attempt"] + 1)


def truncate_checkpoint(here: Installation, pk: int) -> None:
    """Cut off the newest checkpoint of a paused session: it goes on from the one before."""
    here.ask("command", pk, "pause")
    now = reaches(here, pk, "paused", "pause before the cut")
    path = Path(here.ask("newest_checkpoint", pk))
    path.write_bytes(path.read_bytes()[:-7])
    here.ask("command", pk, "resume")
    flows(here, pk, "truncated checkpoint", now["attempt"] + 1)


def lose_second_worker(here: Installation, pk: int) -> None:
    """Let a second worker take the session over and die with everything it runs."""
    server, other = here.running_server(), here.serve_another()
    names = [f"{os.uname().nodename}:{process.pid}" for process in (server, other)]
    here.until(lambda: here.ask("drain", names[1], False), "the second worker's beat")
    here.ask("drain", names[0], True)
    here.ask("command", pk, "pause")
    reaches(here, pk, "paused", "pause before the move")
    here.ask("command", pk, "resume")
    now = flows(here, pk, "moved to the second worker")
    here.ask("drain", names[0], False)
    if not now["worker"].startswith(names[1]):
        raise PromiseBroken(f"a draining worker took a session: {now['worker']}")
    family = [*psutil.Process(other.pid).children(recursive=True), psutil.Process(other.pid)]
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    other.wait()
    now = flows(here, pk, "second worker lost", now["attempt"] + 1)
    if not now["worker"].startswith(names[0]):
        raise PromiseBroken("the first worker did not take the session back")


def drop_socket(here: Installation, pk: int) -> None:
    """Follow the session with a program whose socket breaks again and again: it gets every point once."""
    from websockets.sync.client import connect

    key, after, got = here.ask("token"), here.ask("look", pk)["last_seq"], []
    first = after
    headers = {"Authorization": f"Bearer {key}"}
    for _ in range(DROPS):
        address = f"ws://127.0.0.1:{here.port}/ws/live/?session={pk}&after={after}"
        with connect(address, additional_headers=headers, subprotocols=["json"], compression=None) as ws:  # type: ignore[list-item]
            fresh = False
            while not fresh:
                message = json.loads(ws.recv(timeout=60))
                if message["type"] == "session_metrics_update":
                    got += [[point["step"], point["values"]] for point in message["points"]]
                    fresh = True
                after = message.get("seq", after)
            ws.socket.close()  # Cut, not closed: nobody says good-bye.
    said = [
        [point["step"], point["values"]]
        for seq, _, payload in here.ask("log", pk)
        if first < seq <= after
        for point in payload.get("points", ())
    ]
    if got != said:
        raise PromiseBroken(f"over {DROPS} broken sockets {len(got)} points came, {len(said)} were said")


@dataclass(frozen=True)
class Fault:
    """``database`` is ``sqlite`` or ``postgresql`` where only one of them can suffer it."""

    name: str
    words: str
    do: Callable[[Installation, int], None]
    database: str = ""


FAULTS: tuple[Fault, ...] = (
    Fault("kill_child", "kill -9 of the session's process", kill_child),
    Fault("kill_launcher", "kill -9 of the worker's launcher", kill_launcher),
    Fault("kill_warm", "kill -9 of the warm process", kill_warm),
    Fault("kill_web", "kill -9 of the web", kill_web),
    Fault("kill_cluster", "kill -9 of the whole cluster", kill_cluster),
    Fault("kill_idle", "kill -9 of launchers that wait", kill_idle),
    Fault("kill_supervisor", "kill -9 of the supervisor, and a new start", kill_supervisor),
    Fault("restart", "an orderly stop, and a new start", restart),
    Fault("pause", "pause and resume", pause_and_resume),
    Fault("hang", "the cancel of a run that does not answer", cancel_what_hangs),
    Fault("stop", "a process frozen, overtaken and coming back", stop_and_come_back),
    Fault("lock", f"the database locked for {LOCKED_SECONDS:.0f} s", lock_database, "sqlite"),
    Fault("cut", "every database connection cut", cut_connections, "postgresql"),
    Fault("clock", "the clock an hour ahead and back", jump_clock),
    Fault("disk", "the disk full at a checkpoint", fill_disk),
    Fault("truncate", "the newest checkpoint cut off", truncate_checkpoint),
    Fault("worker", "a second worker that takes over and dies", lose_second_worker),
    Fault("socket", f"a socket that breaks {DROPS} times", drop_socket),
)


def faults_for(database: str) -> tuple[Fault, ...]:
    """Return the faults that an installation on ``database`` (sqlite or postgresql) can suffer."""
    return tuple(fault for fault in FAULTS if fault.database in {"", database})
