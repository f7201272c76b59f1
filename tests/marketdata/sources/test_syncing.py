"""Syncs from asking to the new version: incremental, idempotent, whole or nothing, one at a time."""

from __future__ import annotations

import os
import socket
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.marketdata.engine.sources.port import Stopped
from apps.marketdata.models import Dataset, Source, SyncRun
from apps.marketdata.selectors import dataset_events, dataset_panel
from apps.marketdata.services import sync_steps, syncing
from apps.marketdata.services.sources import source_create, source_update
from apps.marketdata.services.syncing import claim, claim_next, lost_runs, scratch_root, sync_execute, sync_request
from apps.ui.engine.refusal import Refusal
from tests.marketdata.conftest import csv_lines
from tests.marketdata.sources.conftest import put

pytestmark = pytest.mark.django_db


def sync(source, **options) -> SyncRun:
    """Ask and carry out at once, in this process."""
    run = sync_request(Source.objects.get(pk=source.pk), actor=source.owner, **options)
    assert claim(run)
    return sync_execute(run)


def rows(start, count, price=100.0):
    return csv_lines(count, start=start, price=price)


def test_the_first_sync_makes_a_dataset_that_says_where_it_came_from(folder_source, import_root, alice):
    file = put(import_root / "daily", "AAA.csv", rows("2024-01-01", 30))
    run = sync(folder_source)
    dataset = Dataset.objects.get(name="daily")
    assert (run.state, run.added, run.changed, run.dataset, run.content_hash) == (
        "completed", 30, 0, dataset, dataset.content_hash,
    )  # fmt: skip
    assert (dataset.owner, dataset.rows, dataset.version) == (alice, 30, 1)
    assert dataset.lineage["kind"] == "sync"
    assert (dataset.lineage["source"], dataset.lineage["run"]) == ("daily", run.pk)
    received = dataset.lineage["received"][0]
    assert (received["what"], received["size"]) == ("daily/AAA.csv", file.stat().st_size)
    assert len(received["sha256"]) == 64
    assert run.pieces == [received]


def test_nothing_new_makes_no_version_and_no_files(folder_source, import_root):
    put(import_root / "daily", "AAA.csv", rows("2024-01-01", 30))
    sync(folder_source)
    again = sync(folder_source)
    assert (again.state, again.piece_count) == ("unchanged", 0)
    put(import_root / "daily", "AAA.csv", rows("2024-01-01", 30), age=1800)  # written again, the same
    assert sync(folder_source).state == "unchanged"
    assert Dataset.objects.count() == 1
    assert not any(scratch_root().iterdir())


def test_the_same_bars_in_another_file_make_no_version(folder_source, import_root):
    text = rows("2024-01-01", 30)
    put(import_root / "daily", "AAA.csv", text)
    sync(folder_source)
    put(import_root / "daily", "AAA-copy.csv", text.replace("date,", "date,symbol,").replace("\n2024", "\nAAA2024"))
    put(import_root / "daily", "AAA-copy.csv", "\n".join(
        ["date,symbol,open,high,low,close,volume", *(line.replace(",", ",AAA,", 1) for line in text.splitlines()[1:])]
    ) + "\n")  # fmt: skip
    run = sync(folder_source)
    assert (run.state, run.piece_count, run.same) == ("unchanged", 1, 30)
    assert Dataset.objects.count() == 1


def test_new_bars_are_added_to_a_new_version_and_the_old_one_stays(folder_source, import_root):
    put(import_root / "daily", "AAA.csv", rows("2024-01-01", 30))
    first = sync(folder_source).dataset
    put(import_root / "daily", "AAA-2.csv", "\n".join(
        ["date,symbol,open,high,low,close,volume",
         *(line.replace(",", ",AAA,", 1) for line in rows("2024-02-12", 5, 130.0).splitlines()[1:])]) + "\n")  # fmt: skip
    run = sync(folder_source)
    assert (run.state, run.added, run.changed, run.piece_count) == ("completed", 5, 0, 1)
    assert (run.dataset.version, run.dataset.rows, run.dataset.parent) == (2, 35, first)
    assert (run.since.date().isoformat(), run.until.date().isoformat()) == ("2024-02-09", "2024-02-16")
    assert dataset_panel(first).close.shape == (1, 30)


def test_a_revised_bar_is_counted_and_replaces_the_one_held(folder_source, import_root):
    put(import_root / "daily", "AAA.csv", rows("2024-01-01", 30))
    sync(folder_source)
    put(import_root / "daily", "AAA.csv", rows("2024-01-01", 30).replace(",1005\n", ",2005\n"), age=100)
    run = sync(folder_source)
    assert (run.added, run.changed, run.same) == (0, 1, 29)
    assert dataset_panel(run.dataset).volume[0, 5] == 2005


def test_a_payout_on_the_first_new_day_is_an_event(folder_source, import_root):
    head = "date,open,high,low,close,volume,dividends\n"
    put(import_root / "daily", "AAA.csv", head + "2024-01-02,10,11,9,10,100,0\n2024-01-03,10,11,9,10,100,0\n")
    sync(folder_source)
    put(import_root / "daily", "AAA_2024-01-04.csv", head + "2024-01-04,9.5,10,9,9.5,100,0.5\n")
    run = sync(folder_source)
    event = dataset_events(run.dataset)[0]
    assert (str(event.day), event.kind, event.cash, round(event.factor, 4)) == ("2024-01-04", "dividend", 0.5, 0.95)


def test_steps_of_a_factor_between_two_syncs_are_events(folder_source, import_root):
    head = "date,open,high,low,close,volume,factor\n"
    put(import_root / "daily", "AAA.csv", head + "2024-01-02,10,11,9,10,100,1\n2024-01-03,10,11,9,10,100,1\n")
    sync(folder_source)
    put(import_root / "daily", "AAA_2024-01-04.csv", head + "2024-01-04,5,5.5,4.5,5,200,2\n")
    event = dataset_events(sync(folder_source).dataset)[0]
    assert (event.kind, event.ratio) == ("split", 2.0)


def test_lots_recognised_once_are_lots_ever_after(folder_source, import_root):
    head = "date,open,high,low,close,volume,amount\n"
    days = [f"2024-01-{day:02d}" for day in range(2, 12)]
    put(import_root / "daily", "AAA.csv", head + "".join(f"{day},10,11,9,10,5,5000\n" for day in days))
    assert dataset_panel(sync(folder_source).dataset).volume[0, 0] == 500
    put(import_root / "daily", "AAA_2024-01-15.csv", head + "2024-01-15,10,11,9,10,7,7000\n")
    assert dataset_panel(sync(folder_source).dataset).volume[0, -1] == 700  # one bar alone would tell nothing


def test_intraday_starts_become_ends_even_of_a_single_bar(folder_source, import_root, alice):
    source_update(folder_source, actor=alice, values={"folder": "daily", "settle": 5, "stamp": "start"})
    head = "datetime,open,high,low,close,volume\n"
    times = [f"2024-01-02 09:{minute}:00" for minute in range(30, 60, 5)]
    put(import_root / "daily", "AAA.csv", head + "".join(f"{time},10,11,9,10,5\n" for time in times))
    assert str(dataset_panel(sync(folder_source).dataset).times[0])[:16] == "2024-01-02T09:35"
    put(import_root / "daily", "AAA_2.csv", head + "2024-01-02 10:00:00,10,11,9,10,5\n")
    run = sync(folder_source)
    assert (run.state, run.added) == ("completed", 1), run.reason
    assert str(dataset_panel(run.dataset).times[-1])[:16] == "2024-01-02T10:05"


def test_intraday_bars_do_not_go_into_a_daily_dataset(folder_source, import_root):
    put(import_root / "daily", "AAA.csv", rows("2024-01-01", 30))
    sync(folder_source)
    put(
        import_root / "daily",
        "AAA_x.csv",
        "datetime,open,high,low,close\n2024-03-01 09:30:00,1,1,1,1\n2024-03-01 09:31:00,1,1,1,1\n",
    )
    run = sync(folder_source)
    assert run.state == "failed"
    assert Dataset.objects.count() == 1


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("<!doctype html><title>Log in</title>", "wrong_contents"),
        ("date,open,high,low,close\n2024-01-02,1,1,1", "truncated_file"),
        ("date,open,high,low,close,volume\n2024-01-02,1,2,0.5,1,5\n2024-01-03,1,2", "truncated_file"),
        ("date,open,high,low,close\n2024-01-02,1,2,rubbish,1\n", "bad_number"),
        ("", "empty_file"),
        ("a,b\n1,2\n", "no_dates"),
    ],
)
def test_rubbish_is_refused_whole_and_the_reason_kept(folder_source, import_root, text, code):
    put(import_root / "daily", "AAA.csv", rows("2024-01-01", 30))
    put(import_root / "daily", "BBB.csv", text)
    run = sync(folder_source)
    assert (run.state, run.reason["code"], run.dataset) == ("failed", code, None)
    assert not Dataset.objects.exists()
    put(import_root / "daily", "BBB.csv", rows("2024-01-01", 30), age=100)
    assert sync(folder_source).added == 60  # what failed is asked again as if it had never been


def test_everything_again_reads_what_is_known(folder_source, import_root):
    put(import_root / "daily", "AAA.csv", rows("2024-01-01", 30))
    sync(folder_source)
    run = sync(folder_source, whole=True)
    assert (run.state, run.same, run.piece_count) == ("unchanged", 30, 1)


def test_a_dataset_put_away_is_begun_again(folder_source, import_root, alice):
    from apps.marketdata.services import dataset_archive

    put(import_root / "daily", "AAA.csv", rows("2024-01-01", 30))
    dataset_archive(sync(folder_source).dataset, actor=alice)
    run = sync(folder_source)
    assert (run.state, run.dataset.version, run.dataset.rows) == ("completed", 2, 30)


def test_bars_are_not_laid_over_an_order_book(folder_source, import_root):
    put(import_root / "daily", "AAA.csv", rows("2024-01-01", 30))
    sync(folder_source)
    Dataset.objects.update(content="book")
    assert sync(folder_source).reason["code"] == "not_bars"


def test_one_source_is_asked_once_at_a_time(folder_source, alice):
    sync_request(folder_source, actor=alice)
    with pytest.raises(Refusal) as caught:
        sync_request(folder_source, actor=alice)
    assert (caught.value.code, caught.value.status) == ("sync_running", 409)
    assert SyncRun.objects.count() == 1


def test_no_more_run_at_once_than_the_settings_allow(folder_source, alice, import_root, settings):
    other = source_create(owner=alice, name="other", kind="folder", values={"folder": "."})
    first, second = sync_request(folder_source, actor=alice), sync_request(other, actor=alice)
    assert claim_next() == first
    assert claim_next() is None
    settings.QP_SYNCS = 2
    assert claim_next() == second


def test_a_waiting_run_is_stopped_at_once_and_a_running_one_at_its_next_step(folder_source, import_root, alice):
    put(import_root / "daily", "AAA.csv", rows("2024-01-01", 30))
    waiting = sync_request(folder_source, actor=alice)
    assert syncing.sync_stop(waiting, actor=alice)
    waiting.refresh_from_db()
    assert waiting.state == "cancelled"
    running = sync_request(folder_source, actor=alice)
    assert claim(running)
    assert syncing.sync_stop(running, actor=alice)
    assert sync_execute(running).state == "cancelled"
    assert not syncing.sync_stop(running, actor=alice)
    assert not Dataset.objects.exists()
    assert not any(scratch_root().iterdir())


def test_a_run_stopped_while_reading_leaves_nothing(folder_source, import_root, alice, monkeypatch):
    put(import_root / "daily", "AAA.csv", rows("2024-01-01", 30))

    def stopped(*args, **kwargs):
        raise Stopped

    monkeypatch.setattr(sync_steps, "read_bars", stopped)
    assert sync(folder_source).state == "cancelled"
    assert not Dataset.objects.exists()
    monkeypatch.undo()
    assert sync(folder_source).state == "completed"


@pytest.mark.parametrize("where", ["read_bars", "dataset_import", "_record"])
def test_a_worker_killed_in_the_middle_leaves_no_half(folder_source, import_root, monkeypatch, where):
    """What is left when the process is gone: the row that says running, and the files it had fetched."""
    put(import_root / "daily", "AAA.csv", rows("2024-01-01", 30))

    class Killed(BaseException):
        pass

    def die(*args, **kwargs):
        raise Killed

    run = sync_request(folder_source, actor=folder_source.owner)
    assert claim(run)
    scratch = scratch_root() / str(run.pk)
    scratch.mkdir(parents=True)
    monkeypatch.setattr(sync_steps, where, die)
    with pytest.raises(Killed):
        sync_steps.carry_out(run, scratch, sync_steps.Watch(run))
    monkeypatch.undo()
    assert any(scratch.iterdir())
    SyncRun.objects.filter(pk=run.pk).update(worker=f"{socket.gethostname()}:{os.getpid()}:1")  # another, long ago
    assert lost_runs() == 1
    run.refresh_from_db()
    assert (run.state, run.reason["code"]) == ("interrupted", "lost")
    assert not scratch.exists()
    again = sync(folder_source)
    dataset = Dataset.objects.get()
    assert (dataset.rows, dataset.version) == (30, 1)
    assert again.state == ("unchanged" if where == "_record" else "completed")


def test_a_run_of_another_host_is_lost_only_after_a_long_silence(folder_source, alice):
    run = sync_request(folder_source, actor=alice)
    assert claim(run)
    rows_ = SyncRun.objects.filter(pk=run.pk)
    rows_.update(worker="elsewhere:1:1")
    assert lost_runs() == 0
    rows_.update(beat_at=timezone.now() - syncing.SILENT - timedelta(seconds=1))
    assert lost_runs() == 1


def test_a_run_taken_for_dead_does_not_speak_any_more(folder_source, import_root, alice):
    put(import_root / "daily", "AAA.csv", rows("2024-01-01", 30))
    run = sync_request(folder_source, actor=alice)
    assert claim(run)
    SyncRun.objects.filter(pk=run.pk).update(state="interrupted")
    assert sync_execute(run).state == "interrupted"


def test_the_end_of_the_process_is_noted(folder_source, alice, monkeypatch):
    run = sync_request(folder_source, actor=alice)
    assert claim(run)

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(syncing, "carry_out", interrupt)
    with pytest.raises(KeyboardInterrupt):
        sync_execute(run)
    run.refresh_from_db()
    assert run.state == "interrupted"


def test_a_program_that_fails_is_told_without_its_secrets(folder_source, alice, monkeypatch):
    def fail(*args):
        raise RuntimeError("connect postgres://me:hunter22@db/x failed")  # pragma: allowlist secret

    monkeypatch.setattr(syncing, "carry_out", fail)
    run = sync(folder_source)
    assert (run.state, run.reason["code"]) == ("failed", "source_failed")
    assert "hunter22" not in str(run.reason)
