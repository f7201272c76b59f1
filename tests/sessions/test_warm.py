"""The warm process: forks children, passes their end on, and leaves nobody behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import psutil
import pytest

from apps.sessions.runner import children
from apps.sessions.runner.children import LOST, SOCKET_VARIABLE, OrderLost, can_fork, warm_child
from apps.sessions.runner.warm import GREETING

BASE = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(not can_fork(), reason="this system spawns its children")
SERVER = """
import os, signal, sys, time
from pathlib import Path
from apps.sessions.runner.warm import WarmServer

def run(session, attempt):
    print(f"session {session} attempt {attempt}", flush=True)
    if session == 1:
        return 7
    if session == 2:
        raise RuntimeError("boom")
    if session == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b"saved\\n"), os._exit(0)))
    print("up", flush=True)
    time.sleep(60)

WarmServer(Path(sys.argv[1]), run).serve()
"""


def eventually(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s")


def greets(path):
    with socket.socket(socket.AF_UNIX) as visitor:
        visitor.settimeout(10)
        return visitor.connect_ex(str(path)) == 0 and visitor.recv(100) == GREETING


@pytest.fixture
def server(tmp_path_factory, monkeypatch):
    # A unix socket's path may not be longer than about 100 characters.
    folder = Path("/tmp") / f"qpw-{os.getpid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "warm"
    environment = {**os.environ, "PYTHONPATH": str(BASE)}
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(SERVER), str(path)], env=environment)
    monkeypatch.setenv(SOCKET_VARIABLE, str(path))
    eventually(lambda: greets(path))
    yield process
    process.kill()
    process.wait()
    path.unlink(missing_ok=True)
    folder.rmdir()


@pytest.mark.parametrize(("session", "code", "said"), [(1, 7, "session 1 attempt 4"), (2, 1, "boom"), (3, -9, "")])
def test_the_exit_code_and_the_words_arrive(server, tmp_path, session, code, said):
    child = warm_child(session, 4, tmp_path / "log.txt")
    assert eventually(lambda: child.poll() is not None)
    assert child.poll() == code
    assert said in (tmp_path / "log.txt").read_text()


def running(tmp_path, session=9):
    log = tmp_path / f"{session}.txt"
    child = warm_child(session, 1, log)
    eventually(lambda: log.exists() and "up" in log.read_text())
    assert child.poll() is None
    assert os.getpgid(child.pid) == child.pid
    return child, log


def test_a_launcher_that_is_gone_ends_its_child_after_it_saved(server, tmp_path):
    child, log = running(tmp_path)
    other, _ = running(tmp_path, 10)
    child._connection.close()
    eventually(lambda: "saved" in log.read_text())
    assert other.poll() is None
    assert psutil.pid_exists(other.pid)


def test_a_server_that_is_told_to_stop_lets_its_children_save(server, tmp_path):
    child, log = running(tmp_path)
    server.send_signal(signal.SIGTERM)
    assert server.wait(60) == 0
    assert "saved" in log.read_text()
    assert eventually(lambda: child.poll() is not None)


def test_a_server_that_was_killed_takes_its_children_along(server, tmp_path):
    child, log = running(tmp_path)
    server.kill()
    eventually(lambda: "saved" in log.read_text())
    eventually(lambda: child.poll() is not None)
    assert child.poll() == LOST


def test_rubbish_is_answered_by_hanging_up_and_the_server_lives(server, tmp_path):
    for text in (b"no json\n", b"{}\n", b'{"session": 1', b""):
        with socket.socket(socket.AF_UNIX) as rude:
            rude.connect(os.environ[SOCKET_VARIABLE])
            rude.sendall(text)
            rude.shutdown(socket.SHUT_WR)
            rude.settimeout(10)
            assert rude.makefile("rb").read() == GREETING
    child = warm_child(1, 1, tmp_path / "log.txt")
    assert eventually(lambda: child.poll() == 7)


def test_a_launcher_that_was_not_greeted_in_time_leaves_no_child_behind(server, tmp_path, monkeypatch):
    monkeypatch.setattr(children, "GREETED_SECONDS", 0.2)
    server.send_signal(signal.SIGSTOP)
    assert warm_child(9, 1, tmp_path / "9.txt") is None, "it starts a process by itself"
    server.send_signal(signal.SIGCONT)
    child, _ = running(tmp_path, 10)
    assert [found.pid for found in psutil.Process(server.pid).children()] == [child.pid]
    assert not (tmp_path / "9.txt").exists()


def test_a_server_that_hangs_up_on_an_order_costs_the_attempt(tmp_path, monkeypatch):
    path = Path("/tmp") / f"qpw-{os.getpid()}-mute"
    monkeypatch.setenv(SOCKET_VARIABLE, str(path))

    def mute():
        connection, _ = listener.accept()
        with connection:
            connection.sendall(GREETING)
            connection.recv(4096)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=mute)
        thread.start()
        with pytest.raises(OrderLost):
            warm_child(9, 1, tmp_path / "9.txt")
        thread.join()
    path.unlink()


def test_without_a_server_there_is_no_warm_child(tmp_path, monkeypatch):
    monkeypatch.delenv(SOCKET_VARIABLE, raising=False)
    assert warm_child(1, 1, tmp_path / "log.txt") is None
    monkeypatch.setenv(SOCKET_VARIABLE, str(tmp_path / "nobody"))
    assert warm_child(1, 1, tmp_path / "log.txt") is None


def test_what_is_preloaded_starts_no_thread():
    """A thread, or a lock it holds, does not survive the fork; jemalloc's own is made anew by its fork handler.

    The code of the run capsule is looked at then as well: what was imported is what children run.
    """
    code = """
import os, django
django.setup()
from apps.sessions.runner.warm import preload
preload()
tasks = [open(f"/proc/self/task/{task}/comm").read().strip() for task in os.listdir("/proc/self/task")]
from apps.sessions import capsules
assert capsules.code.cache_info().currsize == 1
print(len([name for name in tasks if not name.startswith("jemalloc")]))
"""
    environment = {
        **os.environ, "DJANGO_SETTINGS_MODULE": "quant_platform.settings.child", "PYTHONPATH": str(BASE),
        "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "1"
