"""The periodic report: what blocks first, what became worse, as page, HTML, CSV, JSON; checks on a schedule."""

from __future__ import annotations

import csv
import io
import json
import shutil
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils.translation import override
from django_q.models import Schedule

from apps.marketdata import services
from apps.marketdata.engine.findings import MESSAGES
from apps.marketdata.models import QualityCheck, QualityFinding
from apps.marketdata.quality_report import quality_report
from apps.marketdata.scheduling import CHECK_ALL
from apps.marketdata.selectors import dataset_folder
from apps.marketdata.tasks import check_all
from apps.marketdata.words import CHECKS

pytestmark = pytest.mark.django_db


def test_what_blocks_comes_first_and_a_first_check_is_new(builtin):
    report = quality_report(None)
    assert [(line.dataset.name, line.trend) for line in report.lines] == [
        ("us-daily-raw", "new"), ("us-daily-adjusted", "new"),
    ]  # fmt: skip
    assert report.kinds[0]["check_name"] == "split_like_jump"


@pytest.mark.parametrize(
    ("verdict", "errors", "trend"), [("clean", 0, "worse"), ("blocked", 9, "better"), ("blocked", 4, "same")]
)
def test_the_trend_compares_with_the_check_before_the_period(builtin, verdict, errors, trend):
    raw = builtin[0]
    QualityCheck.objects.filter(dataset=raw).update(verdict=verdict, errors=errors)
    QualityCheck.objects.update(created=raw.created - timedelta(days=60))
    services.dataset_check(raw)
    line = next(line for line in quality_report(None).lines if line.dataset == raw)
    assert (line.trend, line.checks) == (trend, 1)


def test_page_files_and_api_show_what_the_user_may_see(client, builtin, alice, bob, django_assert_max_num_queries):
    services.dataset_fix(builtin[0], actor=alice)
    client.force_login(bob)
    with django_assert_max_num_queries(16):
        text = client.get("/data/quality/", {"days": "7"}).content.decode()
    assert "us-daily-adjusted" in text
    assert "us-daily-raw-alice" not in text
    rows = list(csv.DictReader(io.StringIO(client.get("/data/quality/", {"format": "csv"}).content.decode())))
    assert [row["dataset"] for row in rows] == ["us-daily-raw@1", "us-daily-adjusted@1"]
    page = client.get("/data/quality/", {"format": "html", "days": "junk"})
    assert "attachment" in page["Content-Disposition"]
    assert "us-daily-raw" in page.content.decode()
    client.force_login(alice)
    assert "us-daily-raw-alice" in client.get("/data/quality/").content.decode()


def test_an_empty_catalogue_has_an_empty_report(client, alice, var_dir):
    client.force_login(alice)
    assert "There is no dataset yet." in client.get("/data/quality/").content.decode()
    assert client.get("/data/quality/", {"format": "csv"}).content.decode().strip() == "dataset"


def test_all_are_checked_even_when_one_is_gone(builtin):
    shutil.rmtree(dataset_folder(builtin[0]))
    assert check_all() == {"checked": 1, "failed": 1}


def test_the_command_prints_and_schedules(builtin, capsys):
    call_command("quality_report", "--check", "--every", "weekly", "--json")
    document = json.loads(capsys.readouterr().out)
    assert [row["checks_in_period"] for row in document["datasets"]] == [2, 2]
    assert Schedule.objects.get(func=CHECK_ALL).schedule_type == "W"
    call_command("quality_report", "--every", "never")
    assert Schedule.objects.get(func=CHECK_ALL).repeats == 0
    assert "us-daily-raw@1" in capsys.readouterr().out


def test_every_check_has_words(client, builtin, alice):
    assert set(CHECKS) == set(MESSAGES)
    client.force_login(alice)
    client.cookies["django_language"] = "zh-hans"
    text = client.get("/data/quality/").content.decode()
    assert "类似拆股的跳变" in text
    assert "split_like_jump" in text
    assert "类似拆股的跳变" in client.get("/data/quality/?format=html").content.decode()


@pytest.mark.parametrize(("language", "said"), [("en", "price of zero"), ("zh-hans", "价格不大于零")])
def test_findings_name_fields_and_kinds_in_the_readers_language(language, said):
    finding = QualityFinding(check_name="non_positive_price", params={"column": "open, adj_close", "value": "0"})
    rest = QualityFinding(check_name="more_like_this", params={"count": 3, "name": "non_positive_price"})
    with override(language):
        assert said in rest.message.lower()
        assert ("adj. close" in finding.message) == (language == "en")
        assert ("开盘" in finding.message) == (language != "en")
