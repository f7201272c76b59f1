"""The log of a finished run in files: whole, read like its rows, and the rows gone when it is time."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from django_q.models import Schedule

from apps.sessions import archive
from apps.sessions.archive import events_behind
from apps.sessions.live import source
from apps.sessions.live.curves import curves_of, forget_all
from apps.sessions.logs import log_tail
from apps.sessions.models import Session, SessionEvent
from apps.sessions.services import archiving
from apps.sessions.services.archiving import retain, rows_drop, session_archive
from apps.sessions.services.deleting import attached
from apps.sessions.tasks import housekeeping
from tests.sessions.live_fixtures import make_session, points, say

pytestmark = pytest.mark.django_db


def flag(code: str) -> dict:
    return {"flags": [{"code": code, "step": 3, "seed": None, "value": 1.0, "limit": 0.5}]}


def usage(second: int) -> dict:
    return {"resources": [{"time": 1_700_000_000.0 + second, "cpu_percent": 50.0 + second, "rss_bytes": 1000 * second}]}


@pytest.fixture
def done(alice):
    """A finished run of 60 events: points of two seeds, a rewind, lines, usage and a flag."""
    found = make_session(alice, status="completed", finished_at=timezone.now() - timedelta(days=40))
    for step in range(1, 26):
        say(found, points(step, seed=1), points(step, seed=2, reward=float(step)))
    say(found, {"rewind": 20}, points(21, seed=1), {"logs": [{"time": "t", "level": "info", "text": "the end"}]})
    say(found, *(usage(second) for second in range(1, 6)), flag("plateau"), {"status": "completed"})
    return Session.objects.get(pk=found.pk)


def read(session: Session):
    """What every reader sees of the log."""
    forget_all()
    curves = curves_of(session.pk, session.last_seq)
    series = {key: [list(c) for c in (s.step, s.value, s.epoch, s.time)] for key, s in curves.series.items()}
    batch = source.catch_up(session.pk, 7)
    return (
        series, curves.seq, curves.flags, curves.usage.document(), log_tail(session), list(batch.events), batch.head,
        [(e.seq, e.attempt, e.created, e.payload) for e in events_behind(session, 10, 30)],
        attached(session).events,
    )  # fmt: skip


def test_every_reader_sees_the_same_from_rows_from_both_and_from_files(done):
    before = read(done)
    assert session_archive(done) == done.last_seq
    done.refresh_from_db()
    assert read(done) == before
    assert rows_drop(done) == done.last_seq
    assert not SessionEvent.objects.filter(session=done).exists()
    assert read(done) == before


def test_curves_are_read_again_from_the_log_where_their_file_is_damaged(done):
    before = read(done)
    session_archive(done)
    done.refresh_from_db()
    rows_drop(done)
    archive.curves_file(done.pk).write_bytes(b"rubbish")
    assert read(done) == before


def test_a_run_that_went_on_after_its_rows_were_dropped_keeps_both_parts(done):
    session_archive(done)
    done.refresh_from_db()
    rows_drop(done)
    say(done, points(22, seed=1), points(23, seed=1))
    done.refresh_from_db()
    both = read(done)
    assert both[0]["loss", 1][0][-1] == 23
    assert [event[0] for event in both[7]] == list(range(11, 41))
    assert [e.seq for e in events_behind(done, done.last_seq - 3, 10)] == [
        done.last_seq - 2,
        done.last_seq - 1,
        done.last_seq,
    ]
    assert session_archive(done) == done.last_seq
    done.refresh_from_db()
    rows_drop(done)
    assert read(done)[0] == both[0]


def test_a_damaged_archive_keeps_the_rows_and_is_written_again(done):
    session_archive(done)
    path = archive.log_file(done.pk)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert retain().damaged == 1
    assert SessionEvent.objects.filter(session=done).count() == done.last_seq
    found = retain()
    assert (found.archived, found.emptied, found.damaged) == (1, 1, 0)


def test_a_log_with_a_hole_is_never_archived(done):
    SessionEvent.objects.get(session=done, seq=9).delete()
    with pytest.raises(ValueError, match="event 9"):
        session_archive(done)
    assert not archive.log_file(done.pk).exists()
    assert retain().damaged == 1
    assert SessionEvent.objects.filter(session=done).count() == done.last_seq - 1


def test_a_full_disk_changes_nothing(done, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archive, "_settle", full)
    assert retain().damaged == 1
    done.refresh_from_db()
    assert done.archived_seq == 0
    assert SessionEvent.objects.filter(session=done).count() == done.last_seq


@pytest.mark.parametrize("status", ["running", "queued", "paused", "interrupted"])
def test_what_is_not_finished_is_left_alone(done, status):
    Session.objects.filter(pk=done.pk).update(status=status)
    found = retain()
    assert (found.archived, found.emptied) == (0, 0)


def test_rows_stay_as_long_as_the_setting_says(done, settings):
    Session.objects.filter(pk=done.pk).update(finished_at=timezone.now() - timedelta(days=29))
    found = retain()
    assert (found.archived, found.emptied) == (1, 0)
    settings.QP_RETENTION_EVENTS_DAYS = 0
    assert retain().emptied == 0
    settings.QP_RETENTION_EVENTS_DAYS = 28
    assert (retain().emptied, retain().emptied) == (1, 0)


def test_what_just_ended_is_left_to_those_who_watch(done):
    Session.objects.filter(pk=done.pk).update(finished_at=timezone.now())
    assert retain().archived == 0


def test_the_pages_and_the_api_show_an_emptied_run(client, alice, done):
    client.force_login(alice)
    total = client.get(f"/api/sessions/{done.pk}/metrics").json()["total"]
    retain()
    forget_all()
    assert client.get(f"/sessions/{done.pk}/").status_code == 200
    document = client.get(f"/api/sessions/{done.pk}/events?after=58&limit=5").json()
    assert [event["seq"] for event in document["events"]] == list(range(59, done.last_seq + 1))[:5]
    assert client.get(f"/api/sessions/{done.pk}/metrics").json()["total"] == total > 50


def test_rows_are_dropped_in_small_statements(done, monkeypatch):
    monkeypatch.setattr(archiving, "BATCH", 7)
    session_archive(done)
    done.refresh_from_db()
    assert rows_drop(done) == done.last_seq


class TestCommand:
    def test_it_says_first_what_it_would_do(self, done, capsys):
        call_command("retention", "--dry-run")
        assert "1 sessions would be archived" in capsys.readouterr().out
        assert SessionEvent.objects.filter(session=done).count() == done.last_seq
        assert not archive.log_file(done.pk).exists()

    def test_and_then_does_it(self, done, capsys):
        call_command("retention", "--json")
        found = json.loads(capsys.readouterr().out)
        assert found == {
            "archived": 1, "archived_events": done.last_seq, "emptied": 1, "dropped_rows": done.last_seq, "damaged": 0,
            "dropped_quotes": 0,
        }  # fmt: skip

    def test_days_below_none_are_refused(self):
        with pytest.raises(CommandError):
            call_command("retention", "--days", "-1")


def test_the_cluster_keeps_house_every_hour(done):
    schedule = Schedule.objects.get(name="housekeeping")
    assert (schedule.func, schedule.schedule_type) == ("apps.sessions.tasks.housekeeping", Schedule.HOURLY)
    assert housekeeping()["archived"] == 1


def test_a_pass_ends_when_its_time_is_over(done):
    assert retain(seconds=-1.0).archived == 0
