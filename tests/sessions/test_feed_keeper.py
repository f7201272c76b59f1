"""Wanted feeds are started, once, and end with the keeper; the embedded replay follows its setting."""

from __future__ import annotations

import subprocess

import pytest
from django.utils import timezone

from apps.marketdata.models import Feed
from apps.marketdata.services.feeds import EMBEDDED, embedded_replay
from apps.sessions.runner import feeds
from apps.sessions.runner.feeds import FeedKeeper
from apps.ui.engine.refusal import Refusal
from tests.marketdata.conftest import builtin, var_dir  # noqa: F401 - fixtures

pytestmark = pytest.mark.django_db


class Process:
    """A child that ends when it is told to, or not."""

    def __init__(self, name, stubborn=False):
        self.name, self.stubborn, self.ended, self.killed = name, stubborn, None, False

    def poll(self):
        return self.ended

    def terminate(self):
        self.ended = None if self.stubborn else -15

    def wait(self, seconds):
        if self.ended is None:
            raise subprocess.TimeoutExpired(self.name, seconds)

    def kill(self):
        self.killed = True


@pytest.fixture
def started():
    return []


@pytest.fixture
def keeper(started):
    return FeedKeeper(lambda name: started.append(Process(name)) or started[-1])


def names(started):
    return [process.name for process in started]


def test_what_is_wanted_is_started_once_and_again_when_it_has_ended(keeper, started):
    Feed.objects.create(name="a", kind="qmt", wanted=True)
    Feed.objects.create(name="b", kind="qmt")
    keeper.look()
    keeper.look()
    assert names(started) == ["a"]
    started[0].ended = 1
    keeper.look()
    assert names(started) == ["a", "a"]


def test_what_another_host_runs_is_left_to_it(keeper, started):
    later = timezone.now() + timezone.timedelta(seconds=9)
    Feed.objects.create(name="a", kind="qmt", wanted=True, state="running", lease_until=later)
    keeper.look()
    assert started == []


def test_a_host_that_drains_starts_nothing_and_a_crowd_is_held(keeper, started, monkeypatch):
    for n in range(feeds.MOST + 3):
        Feed.objects.create(name=f"f{n}", kind="qmt", wanted=True)
    with monkeypatch.context() as draining:
        draining.setattr(feeds, "worker_draining", lambda: True)
        keeper.look()
        assert started == []
    keeper.look()
    assert len(started) == feeds.MOST


def test_at_the_end_all_are_asked_and_the_stubborn_are_killed(keeper, started):
    Feed.objects.create(name="a", kind="qmt", wanted=True)
    Feed.objects.create(name="b", kind="qmt", wanted=True)
    keeper.look()
    started[1].stubborn = True
    keeper.close()
    assert [(process.ended, process.killed) for process in started] == [(-15, False), (None, True)]


def test_the_embedded_replay_follows_its_setting(builtin, settings, keeper):  # noqa: F811
    keeper.look()
    assert not Feed.objects.exists()
    settings.QP_QUOTES_REPLAY, settings.QP_QUOTES_SPEED = builtin[1].name, 100.0
    embedded_replay()
    embedded_replay()
    feed = Feed.objects.get()
    assert (feed.name, feed.wanted, feed.owner, feed.options) == (EMBEDDED, True, None, {"speed": 100.0, "loop": True})
    settings.QP_QUOTES_SPEED = 10.0
    embedded_replay()
    assert Feed.objects.get().options["speed"] == 10.0
    settings.QP_QUOTES_REPLAY = ""
    embedded_replay()
    assert not Feed.objects.get().wanted


def test_a_setting_that_names_nothing_is_told_and_stops_nobody(settings, keeper, started):
    settings.QP_QUOTES_REPLAY = "nothing"
    Feed.objects.create(name="a", kind="qmt", wanted=True)
    with pytest.raises(Refusal):
        embedded_replay()
    keeper.look()
    assert names(started) == ["a"]
