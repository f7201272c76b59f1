"""Imports as jobs: what can be ordered when, half never appears, the dead are taken back."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import timedelta
from itertools import product
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.utils import timezone
from django_q.models import Schedule

from apps.accounts.models import AuditEntry
from apps.marketdata import tasks
from apps.marketdata.adapters import import_runner
from apps.marketdata.engine.import_states import TRANSITIONS, ImportOrder, ImportState, allowed, next_state
from apps.marketdata.engine.readers import ReadOptions
from apps.marketdata.import_pages import import_document, reason_text, seconds_left
from apps.marketdata.models import Dataset, ImportJob, ImportOrigin
from apps.marketdata.services import import_jobs, imports
from apps.marketdata.services.import_jobs import import_claim, import_order, import_recover, import_start, job_folder
from apps.ui.engine.refusal import Refusal
from tests.marketdata.conftest import HEADER, csv_lines
from tests.marketdata.importing import work

pytestmark = pytest.mark.django_db
BAD = HEADER + "2024-01-02,1,x,1,1,1\n"


@pytest.fixture(autouse=True)
def rings(monkeypatch, var_dir):
    """Nobody works; how often the bell rang is remembered."""
    heard: list[str] = []
    monkeypatch.setattr(import_jobs, "async_task", lambda name, **_: heard.append(name))
    return heard


def start(path, alice, name="spy", **more) -> ImportJob:
    values = {"options": ReadOptions(), "origin": ImportOrigin.API, **more}
    return import_start(path=path, name=name, owner=alice, **values)


@pytest.mark.parametrize(("state", "order"), list(product(ImportState, ImportOrder)))
def test_only_what_the_table_says_can_happen(state, order):
    if (state, order) in TRANSITIONS:
        assert next_state(state, order) == TRANSITIONS[state, order]
    else:
        with pytest.raises(Refusal) as caught:
            next_state(state, order)
        assert (caught.value.code, caught.value.status) == ("import_state", 409)


def test_an_end_leaves_nothing_to_order():
    assert allowed("completed") == allowed("cancelled") == ()
    assert allowed("failed") == (ImportOrder.RESUME, ImportOrder.DISCARD)


def test_an_import_waits_runs_and_becomes_a_dataset(write, alice, settings, rings, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        job = start(write("SPY.csv", csv_lines(40)), alice, tags=["a"], licence="mine", title="Spider")
    assert (job.state, rings) == ("queued", [import_jobs.TASK])
    assert not Dataset.objects.exists()
    job = work(settings)
    assert (job.state, job.progress, job.rows_read, job.files_read, job.files_total) == ("completed", 1.0, 40, 1, 1)
    assert job.bytes_read == job.bytes_total > 0
    made = Dataset.objects.get()
    assert (job.dataset, made.owner, made.title, made.licence, made.tag_list) == (made, alice, "Spider", "mine", ["a"])
    assert not job_folder(job).exists()


@pytest.mark.parametrize(
    ("change", "code"),
    [({"name": "Bad Name"}, "bad_dataset_name"), ({"calendar": "XXXX"}, "unknown_calendar"),
     ({"tags": ["x" * 33]}, "invalid_tags"), ({"adjustment": "half"}, "unknown_choice"),
     ({"path": Path("/nowhere/x.csv")}, "no_such_file")],
)  # fmt: skip
def test_what_needs_no_reading_is_refused_at_once(write, alice, change, code):
    with pytest.raises(Refusal) as caught:
        start(**{"path": write("SPY.csv", csv_lines(3)), "alice": alice, **change})
    assert caught.value.code == code
    assert not ImportJob.objects.exists()


def test_a_refusal_in_the_background_names_file_line_column_and_value(write, alice, settings):
    start(write("SPY.csv", BAD), alice)
    job = work(settings)
    assert (job.state, job.reason_code, job.params["line"], job.params["column"]) == ("failed", "bad_number", 2, "high")
    assert "SPY.csv, line 2, column high: “x” is not a number." in reason_text(job)
    assert not Dataset.objects.exists()
    document = import_document(job)
    assert (document["details"]["value"], document["can"]) == ("x", ["resume", "discard"])


def test_a_mended_file_is_imported_by_trying_again(write, alice, settings):
    start(write("SPY.csv", BAD), alice)
    job = work(settings)
    write("SPY.csv", csv_lines(3))
    import_order(job=job, order="resume", actor=alice)
    job = work(settings)
    assert (job.state, job.attempt, job.reason) == ("completed", 2, {})
    assert AuditEntry.objects.filter(action="import.resume").count() == 1


def test_a_waiting_import_is_cancelled_and_goes_on(write, alice, settings):
    job = start(write("SPY.csv", csv_lines(3)), alice)
    assert import_order(job=job, order="cancel", actor=alice).state == "interrupted"
    assert work(settings).state == "interrupted"
    import_order(job=job, order="resume", actor=alice)
    assert work(settings).state == "completed"


@pytest.mark.parametrize("stage", ["checking", "storing"])
def test_a_running_import_stops_before_anything_is_written(write, alice, settings, monkeypatch, stage):
    job = start(write("SPY.csv", csv_lines(3)), alice)
    real = import_runner.JobProgress.stage

    def cancelled_at(self, name):
        if name == stage:
            import_order(job=ImportJob.objects.get(pk=job.pk), order="cancel", actor=alice)
        real(self, name)

    monkeypatch.setattr(import_runner.JobProgress, "stage", cancelled_at)
    assert work(settings).state == "interrupted"
    assert not Dataset.objects.exists()
    assert not (Path(settings.VAR_DIR) / "datasets").exists()


def test_an_order_that_comes_too_late_changes_nothing(write, alice, settings, monkeypatch):
    job = start(write("SPY.csv", csv_lines(3)), alice)
    real = import_runner.import_complete

    def late(job, dataset):
        import_order(job=ImportJob.objects.get(pk=job.pk), order="cancel", actor=alice)
        return real(job, dataset)

    monkeypatch.setattr(import_runner, "import_complete", late)
    assert work(settings).state == "completed"
    with pytest.raises(Refusal):
        import_order(job=job, order="cancel", actor=alice)


def test_discarding_forgets_the_upload_and_what_was_read(write, alice, settings):
    job = start(write("up/SPY.csv", BAD), alice, uploaded=True)
    assert Path(job.path).parent == job_folder(job).resolve()
    job = work(settings)
    assert Path(job.path).exists()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(import_jobs.transaction, "on_commit", lambda call, **_: call())
        import_order(job=job, order="discard", actor=alice)
    assert (job.state, Path(job.path).exists()) == ("cancelled", False)


def test_what_nobody_comes_back_for_is_discarded(write, alice, settings):
    start(write("SPY.csv", BAD), alice)
    job = work(settings)
    assert import_jobs.import_tidy() == 0
    ImportJob.objects.update(finished_at=timezone.now() - timedelta(days=8))
    assert import_jobs.import_tidy() == 1
    job.refresh_from_db()
    assert job.state == "cancelled"


def test_one_import_runs_at_a_time_and_the_oldest_first(write, alice):
    first, second = (start(write(f"{name}.csv", csv_lines(3)), alice, name=name) for name in ("a", "b"))
    assert import_claim() == first
    assert import_claim() is None
    assert import_claim(second.pk) == second
    assert import_claim(second.pk) is None


def test_a_dead_process_is_noticed_at_once_on_its_host_and_by_its_lease_elsewhere(write, alice, monkeypatch):
    job = start(write("SPY.csv", csv_lines(3)), alice)
    assert import_claim() == job
    assert import_recover() == 0
    ImportJob.objects.update(worker="elsewhere:1", leased_until=timezone.now() + timedelta(seconds=5))
    assert import_recover() == 0
    ImportJob.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    assert import_recover() == 1
    assert import_claim().attempt == 2
    monkeypatch.setattr(import_jobs.psutil, "pid_exists", lambda pid: False)
    assert tasks.imports_due() == {"taken_back": 1, "waiting": 1}


def test_what_crashes_again_and_again_fails_with_its_last_words(write, alice, settings, monkeypatch, capsys):
    def crash(*args, **more):
        raise RuntimeError("broken reader")

    monkeypatch.setattr(import_runner, "dataset_import_path", crash)
    start(write("SPY.csv", csv_lines(3)), alice)
    job = work(settings)
    assert (job.state, job.reason_code, job.attempt) == ("failed", "import_crashed", 3)
    assert "broken reader" in capsys.readouterr().err


def test_an_attempt_that_was_replaced_says_nothing(write, alice, settings):
    start(write("SPY.csv", csv_lines(3)), alice)
    old = import_claim()
    ImportJob.objects.update(attempt=2)
    assert import_runner.run_attempt(old) == 0
    assert ImportJob.objects.get().state == "running"
    assert not Dataset.objects.exists()


def test_a_going_worker_lets_it_run_again(write, alice, settings, monkeypatch):
    start(write("SPY.csv", csv_lines(3)), alice)
    job = import_claim()
    monkeypatch.setenv("QP_PARENT_PID", "1")
    assert import_runner.run_attempt(job) == 0
    assert ImportJob.objects.get().state == "queued"


def test_a_drained_worker_takes_nothing(write, alice, monkeypatch, tmp_path):
    start(write("SPY.csv", csv_lines(3)), alice)
    (tmp_path / "drain").touch()
    monkeypatch.setenv("QP_DRAIN_FILE", str(tmp_path / "drain"))
    assert tasks.run_imports() == 0


def test_what_is_left_is_told_by_the_speed_of_this_attempt(write, alice):
    job = start(write("SPY.csv", csv_lines(3)), alice)
    now = timezone.now()
    assert seconds_left(job) is None
    job.state, job.attempt_started = "running", now - timedelta(seconds=30)
    job.progress_before, job.progress = 0.4, 0.5
    assert seconds_left(job, now) == pytest.approx(150.0)


def test_the_command_leaves_a_job_and_ctrl_c_a_resumable_one(write, alice, monkeypatch, capsys):
    path = write("SPY.csv", csv_lines(3))
    real = imports.read_bars

    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(imports, "read_bars", stop)
    with pytest.raises(CommandError, match="The same command goes on from here"):
        call_command("import_bars", str(path), "--dataset", "spy", "--tags", "a")
    assert ImportJob.objects.get().state == "interrupted"
    monkeypatch.setattr(imports, "read_bars", real)
    call_command("import_bars", str(path), "--dataset", "spy", "--tags", "b")
    call_command("import_bars", str(path), "--dataset", "spy", "--tags", "a")
    assert [(job.state, job.attempt) for job in ImportJob.objects.order_by("id")] == [
        ("completed", 2), ("completed", 1)
    ]  # fmt: skip
    call_command("imports")
    out = capsys.readouterr().out
    assert out.count("completed   ") == 2
    assert "spy@1" in out


def test_the_command_lists_and_orders(write, alice, bob, settings, capsys):
    start(write("SPY.csv", BAD), alice)
    job = work(settings)
    call_command("imports", "--state", "failed", "--json")
    assert "is not a number" in capsys.readouterr().out
    with pytest.raises(CommandError, match="There is no import"):
        call_command("imports", "discard", str(job.pk), "--user", "bob")
    call_command("imports", "discard", str(job.pk), "--user", "alice")
    with pytest.raises(CommandError, match="cannot be told to resume"):
        call_command("imports", "resume", str(job.pk))


def test_migrating_schedules_the_care_and_leaves_a_persons_choice():
    from apps.marketdata.apps import _schedule

    _schedule("default")
    _schedule("default")
    names = {"imports due": "I", "quality of all datasets": "W"}
    assert {row.name: row.schedule_type for row in Schedule.objects.filter(name__in=names)} == names
    Schedule.objects.filter(name="quality of all datasets").update(repeats=0)
    _schedule("default")
    assert Schedule.objects.get(name="quality of all datasets").repeats == 0


@pytest.mark.django_db(transaction=True)
def test_a_killed_child_is_run_again_in_another_process(write, alice, settings, monkeypatch):
    settings.SESSION_RUNNER = "process"
    start(write("SPY.csv", csv_lines(3)), alice)
    commands: list[list[str]] = []
    real = subprocess.Popen

    def popen(command, **more):
        commands.append(command)
        if len(commands) == 1:  # dies like one that the kernel ends
            command = [sys.executable, "-c", f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})"]
        else:
            more["env"] |= {
                "DJANGO_SETTINGS_MODULE": "quant_platform.settings.test", "VAR_DIR": str(settings.VAR_DIR),
                "TEST_DATABASE": str(connection.settings_dict["NAME"]),
            }  # fmt: skip
            command = [sys.executable, "-c", CHILD, *command[-2:]]
        return real(command, **more)

    monkeypatch.setattr(import_runner.subprocess, "Popen", popen)
    assert tasks.run_imports() == 2
    job = ImportJob.objects.get()
    assert (job.state, job.attempt, job.dataset.name) == ("completed", 2, "spy")
    assert [command[-3:] for command in commands] == [["run_import", str(job.pk), str(n)] for n in (1, 2)]


#: The child of a test reads the test's database and folder.
CHILD = """
import os, sys
import django
from django.conf import settings
settings.DATABASES["default"]["NAME"] = os.environ["TEST_DATABASE"]
django.setup()
from django.core.management import call_command
call_command("run_import", *sys.argv[1:])
"""
