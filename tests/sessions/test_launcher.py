"""The thin launcher: starts a child, passes orders on, ends who does not listen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta

import psutil
import pytest
from django.conf import settings
from django.db import DatabaseError, connection

from apps.sessions import tasks
from apps.sessions.models import Session
from apps.sessions.runner import launcher, process
from apps.sessions.runner.children import RUN_SESSION, OrderLost
from apps.sessions.runner.launcher import child_environment, launch
from apps.sessions.selectors import session_folder
from apps.sessions.services.transitions import session_command
from tests.sessions.machine import claimed, eventually, queued

pytestmark = pytest.mark.django_db(transaction=True)
SLEEP = "import time; print('up', flush=True); time.sleep(60)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"


@pytest.fixture
def child(monkeypatch):
    """Run ``code`` instead of a session in the child process."""

    def use(code):
        monkeypatch.setattr(launcher, "child_command", lambda session: [sys.executable, "-c", code])

    return use


def later(session, act):
    """Once the child is up, ``act`` while the launcher waits."""

    def watch():
        try:
            log = session_folder(session.pk) / "log.txt"
            eventually(lambda: log.exists() and b"up" in log.read_bytes())
            act()
        finally:
            connection.close()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def ended(session):
    session.refresh_from_db()
    return session.status, session.reason_code


def test_a_child_that_dies_without_a_word_is_retried(alice, child):
    session = claimed(alice)
    child("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    launch(session)
    assert ended(session) == ("queued", "lost")
    assert session.reason == {"exit": -9}


def test_an_order_that_the_warm_process_lost_is_retried_and_starts_no_second_process(alice, monkeypatch):
    def lost(*order):
        raise OrderLost

    session = claimed(alice)
    monkeypatch.setattr(launcher, "warm_child", lost)
    monkeypatch.setattr(launcher, "fresh_child", lambda *order: pytest.fail("a second process"))
    launch(session)
    assert ended(session) == ("queued", "lost")


def test_a_child_that_says_it_crashed_is_retried(alice, child):
    session = claimed(alice)
    child("print('boom'); raise SystemExit(1)")
    launch(session)
    assert ended(session) == ("queued", "crashed")
    assert "boom" in (session_folder(session.pk) / "log.txt").read_text()


def test_a_cancel_ends_a_child_that_listens_to_sigterm(alice, child):
    session = claimed(alice)
    child(SLEEP)
    thread = later(session, lambda: session_command(session_id=session.pk, command="cancel"))
    launch(session)
    thread.join()
    assert ended(session) == ("cancelled", "unsaved")


def test_a_cancel_ends_a_child_that_does_not_listen(alice, child, settings):
    settings.QP_CANCEL_GRACE_SECONDS, session = 0.5, claimed(alice)
    child(DEAF)
    thread = later(session, lambda: session_command(session_id=session.pk, command="cancel"))
    start = time.monotonic()
    launch(session)
    thread.join()
    assert ended(session)[0] == "cancelled"
    assert time.monotonic() - start > 0.5


def test_a_stopped_child_is_ended_too(alice, child, settings):
    settings.QP_CANCEL_GRACE_SECONDS, session = 0.3, claimed(alice)
    child(SLEEP)

    def stop_and_cancel():
        os.kill(eventually(lambda: Session.objects.get(pk=session.pk).pid), signal.SIGSTOP)
        session_command(session_id=session.pk, command="cancel")

    thread = later(session, stop_and_cancel)
    launch(session)
    thread.join()
    assert ended(session)[0] == "cancelled"


def test_a_child_that_was_overtaken_is_ended_at_once(alice, child):
    session = claimed(alice)
    child(DEAF)
    thread = later(session, lambda: Session.objects.filter(pk=session.pk).update(attempt=2))
    launch(session)
    thread.join()
    assert ended(session) == ("running", "")


def test_a_child_that_stays_behind_after_its_last_word_is_ended(alice, child, settings):
    settings.QP_CANCEL_GRACE_SECONDS, session = 0.3, claimed(alice)
    child(DEAF)
    thread = later(session, lambda: session_command(session_id=session.pk, command="complete", attempt=1))
    launch(session)
    thread.join()
    assert ended(session) == ("completed", "")


def test_what_a_child_started_goes_with_it(alice, child):
    session = claimed(alice)
    child(
        "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        "print(p.pid, flush=True)"
    )
    launch(session)
    pid = int((session_folder(session.pk) / "log.txt").read_text().split()[0])
    eventually(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_a_database_that_is_away_for_a_moment_changes_nothing(alice, child, monkeypatch):
    session, real, calls = claimed(alice), launcher.Session.objects.values_list, []

    def flaky(*fields):
        calls.append(fields)
        if len(calls) == 1:
            raise DatabaseError("gone")
        return real(*fields)

    child("import time; time.sleep(0.6)")
    monkeypatch.setattr(launcher.Session.objects, "values_list", flaky)
    assert launcher._run_process(session) == 0


def test_the_real_command_runs_the_session_with_slim_settings(alice):
    session = claimed(alice)
    assert launcher.child_command(session)[-3:] == [RUN_SESSION, str(session.pk), "1"]
    environment = child_environment()
    assert environment["DJANGO_SETTINGS_MODULE"] == "quant_platform.settings.child"
    assert int(environment["OMP_NUM_THREADS"]) >= 1
    assert environment["PYTHONPATH"].split(os.pathsep)[0] == str(settings.BASE_DIR)
    assert environment["QP_PARENT_PID"] == str(os.getpid())


def test_a_worker_runs_until_nothing_waits(alice, monkeypatch):
    queued(alice)
    queued(alice)
    ran = []

    def run(session):
        ran.append(session.pk)
        session_command(session_id=session.pk, command="complete", attempt=session.attempt)

    monkeypatch.setattr(tasks, "launch", run)
    assert tasks.run_next() == 2
    assert len(ran) == 2
    assert tasks.run_next() == 0


def test_a_worker_that_drains_takes_nothing(alice, monkeypatch, tmp_path):
    session = queued(alice)
    flag = tmp_path / "drain"
    flag.touch()
    monkeypatch.setenv("QP_DRAIN_FILE", str(flag))
    assert tasks.run_next() == 0
    assert ended(session)[0] == "queued"


def test_a_worker_without_its_supervisor_takes_nothing(alice, monkeypatch):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    monkeypatch.setenv("QP_SUPERVISOR_PID", str(gone.pid))
    assert process.supervisor_gone()
    assert tasks.draining()
    monkeypatch.setenv("QP_SUPERVISOR_PID", str(os.getpid()))
    assert not tasks.draining()


def test_without_its_supervisor_the_launcher_ends_the_child(alice, child, monkeypatch):
    session = claimed(alice)
    child(SLEEP)
    thread = later(session, lambda: monkeypatch.setattr(launcher, "supervisor_gone", lambda: True))
    launch(session)
    thread.join()
    assert ended(session) == ("queued", "lost")


def test_a_signal_to_a_group_that_is_gone_is_no_error():
    gone = subprocess.Popen([sys.executable, "-c", ""], start_new_session=True)
    gone.wait()
    process.signal_group(gone, signal.SIGTERM)


@pytest.mark.skipif(sys.platform != "linux", reason="PDEATHSIG is Linux's")
def test_a_child_dies_with_its_parent():
    inner = "from apps.sessions.runner.process import die_with_parent, be_modest; import os, time; "
    inner += "die_with_parent(os.getppid()); be_modest(); print(os.getpid(), os.nice(0), flush=True); time.sleep(60)"
    outer = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {inner!r}]); time.sleep(60)"
    parent = subprocess.Popen([sys.executable, "-c", outer], stdout=subprocess.PIPE, text=True)
    pid, nice = map(int, parent.stdout.readline().split())
    assert nice >= 5
    parent.kill()
    parent.wait()
    parent.stdout.close()
    eventually(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


@pytest.mark.skipif(sys.platform != "linux", reason="PDEATHSIG is Linux's")
def test_a_child_whose_parent_is_dead_already_ends_at_once():
    code = "from apps.sessions.runner.process import die_with_parent; die_with_parent(1 << 22); print('alive')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "")


def test_the_lease_of_a_child_that_starts_slowly_is_kept(alice, child, settings):
    settings.QP_LEASE_SECONDS, session = 0.4, claimed(alice)
    child(SLEEP)
    first = session.lease_until

    def act():
        eventually(lambda: Session.objects.get(pk=session.pk).lease_until > first)
        session_command(session_id=session.pk, command="cancel")

    thread = later(session, act)
    launch(session)
    thread.join()
    assert ended(session)[0] in {"queued", "cancelled"}


def test_a_child_that_never_says_a_word_is_not_waited_for_for_ever(alice, monkeypatch):
    session = claimed(alice)
    unborn, now = launcher.Unborn(session), time.monotonic()
    unborn.renew(now)  # Too early.
    assert Session.objects.get(pk=session.pk).lease_until == session.lease_until
    before = session.lease_until
    unborn.renew(now + 2)
    assert Session.objects.get(pk=session.pk).lease_until > before
    unborn.renew(now + launcher.START_SECONDS + 1)
    assert not unborn.waiting


def test_a_child_that_has_spoken_keeps_its_lease_itself(alice):
    session = claimed(alice)
    own = session.lease_until + timedelta(seconds=1)
    Session.objects.filter(pk=session.pk).update(lease_until=own)
    unborn = launcher.Unborn(session)
    unborn.renew(time.monotonic() + 2)
    assert not unborn.waiting
    assert Session.objects.get(pk=session.pk).lease_until == own


def test_a_database_that_is_away_is_asked_again_for_the_lease(alice, monkeypatch):
    def away(session):
        raise DatabaseError

    monkeypatch.setattr(launcher, "renew_unborn", away)
    unborn = launcher.Unborn(claimed(alice))
    unborn.renew(time.monotonic() + 2)
    assert unborn.waiting
