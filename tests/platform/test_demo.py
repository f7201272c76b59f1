"""A try-out begins with data, examples, a training and a backtest; a second call changes nothing."""

from __future__ import annotations

import pytest

from apps.marketdata.models import Dataset
from apps.sessions.models import Kind, Session
from apps.strategies.engine.gallery import EXAMPLES
from apps.strategies.models import Strategy
from quant_platform.demo import prepare

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(settings, tmp_path):
    settings.VAR_DIR = tmp_path
    return tmp_path


def test_everything_is_there_when_the_page_opens(folder):
    demo = prepare()
    assert demo.session is not None
    assert Dataset.objects.count() == 2
    assert Strategy.objects.filter(owner__username="demo").count() == len(EXAMPLES)
    kinds = sorted(Session.objects.filter(owner__username="demo").values_list("kind", flat=True))
    assert kinds == [Kind.BACKTEST, Kind.TRAINING]
    assert (folder / "demo-password").stat().st_mode & 0o077 == 0


def test_a_second_call_leaves_what_there_is(folder):
    first = prepare()
    Strategy.objects.filter(name=EXAMPLES[0].name).update(description="mine")
    again = prepare()
    assert again.session is None
    assert again.password == first.password
    assert Session.objects.count() == 2
    assert Strategy.objects.filter(description="mine").count() == 1


def test_without_training_nothing_starts(folder):
    assert prepare(training=False).session is None
    assert not Session.objects.exists()


def test_no_more_is_queued_than_the_demo_user_may_run(folder, django_user_model):
    prepare(training=False)
    django_user_model.objects.filter(username="demo").update(max_concurrent_sessions=1)
    prepare()
    assert Session.objects.count() == 1
