"""Tables, the file and the comparison of reports: what is in them and for whom."""

from __future__ import annotations

import csv
import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import translation

from apps.sessions import report_tables
from apps.sessions.services.run_params import clean_params
from apps.strategies.engine.backtesting import backtest
from apps.strategies.engine.config import RuleConfig
from apps.trading.engine.report.luck import History
from apps.ui.engine.refusal import Refusal
from tests.sessions.live_fixtures import make_session
from tests.sessions.test_report import write
from tests.strategies.learning_markets import panel

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def document():
    """A report with everything in it."""
    options = {"history": History(3, (0.01, 0.02)), "check_leaks": True, "capital": 100_000.0}
    config, market = RuleConfig(symbol="S0", fast=2, slow=4), panel(1100)
    whole = backtest("rule", config, market, study="walk_forward", **options)
    whole["walk_forward"]["holdout"]["openings"] = 2
    whole["sweep"] = backtest("rule", config, market, study="sweep", **options)["sweep"]
    return whole


@pytest.fixture(autouse=True)
def _folder(settings, tmp_path):
    settings.VAR_DIR = tmp_path


@pytest.fixture
def session(alice, document):
    made = make_session(alice, kind="backtest", type_key="rule", status="completed")
    write(made, document)
    return made


@pytest.fixture
def page(client, alice):
    client.force_login(alice)
    return client


def test_the_report_shows_luck_leaks_walk_sweep_and_chance(page, session, document):
    text = page.get(reverse("sessions:report", args=[session.pk])).content.decode()
    for part in (
        'id="luck"',
        'id="leaks"',
        'id="walk"',
        'id="sweep"',
        "Deepest drawdowns",
        "If chance had dealt otherwise",
    ):
        assert part in text
    assert "Locked: nothing of this study has read it." in text
    assert "Opened 2 times" in text
    assert " style=" not in text


def test_every_table_comes_as_csv_and_json(page, session, document):
    tables = report_tables.tables_of(document)
    assert {
        "metrics",
        "gates",
        "trades",
        "monthly",
        "walk_forward",
        "sweep",
        "drawdowns",
        "percentiles",
        "leak_tests",
    } <= set(tables)
    for name, rows in tables.items():
        found = page.get(reverse("sessions:report_table", args=[session.pk, name, "json"])).json()
        assert len(found["rows"]) == len(rows)
        text = page.get(reverse("sessions:report_table", args=[session.pk, name, "csv"])).content.decode()
        assert len(list(csv.DictReader(io.StringIO(text)))) == len(rows)
        assert page.get(f"/api/sessions/{session.pk}/tables/{name}").json()["rows"] == found["rows"]
    assert page.get(reverse("sessions:report_table", args=[session.pk, "omens", "csv"])).status_code == 404


def test_the_file_needs_nothing_else_and_lists_every_trade(page, session, document):
    answer = page.get(reverse("sessions:report_file", args=[session.pk]))
    text = answer.content.decode()
    assert "attachment" in answer["Content-Disposition"]
    assert "<style>" in text
    assert "<link" not in text
    assert "<script" not in text
    assert "<form" not in text
    assert all(trade["entry_time"] in text for trade in document["trades"])


@pytest.mark.parametrize("count", [50, 51])
def test_a_long_list_of_trades_fills_no_ream_of_paper(page, session, document, count):
    write(session, {**document, "trades": [{**document["trades"][0], "number": number} for number in range(count)]})
    text = page.get(reverse("sessions:report_file", args=[session.pk])).content.decode()
    assert ("On paper the newest 50" in text) == (count > 50)
    assert "#trades tbody tr:nth-child(n+51){display:none}" in text


def test_strangers_find_neither_tables_nor_file_nor_comparison(client, session, bob):
    client.force_login(bob)
    for name, args in (("report_table", [session.pk, "trades", "csv"]), ("report_file", [session.pk])):
        assert client.get(reverse(f"sessions:{name}", args=args)).status_code == 404
    assert client.get(f"/api/sessions/{session.pk}/tables/trades").status_code == 404
    assert client.get(f"/api/sessions/reports/compare?ids={session.pk}").json() == {"sessions": [], "rows": []}


def test_backtests_stand_side_by_side(page, session, alice, document, capsys):
    other = make_session(alice, kind="backtest", type_key="rule", status="completed", name="other")
    write(other, document)
    ids = f"{session.pk},{other.pk},{session.pk},x,999999999999999999999"
    text = page.get(reverse("sessions:report_compare") + f"?ids={ids}").content.decode()
    assert "Sharpe ratio" in text
    found = page.get(f"/api/sessions/reports/compare?ids={session.pk},{other.pk}").json()
    assert found["sessions"] == [session.pk, other.pk]
    assert all(len(row["values"]) == 2 for row in found["rows"])
    call_command("compare_backtests", str(session.pk), str(other.pk), "--json")
    assert json.loads(capsys.readouterr().out) == found
    with pytest.raises(CommandError):
        call_command("compare_backtests", "0")
    assert page.get(reverse("sessions:report_compare")).status_code == 200


def test_rules_are_obeyed_unless_a_run_says_otherwise():
    assert "market_rules" not in clean_params("backtest", {"market_rules": "obey"})
    assert clean_params("backtest", {"market_rules": "ignore"})["market_rules"] == "ignore"


def test_a_study_there_is_not_is_refused_and_what_belongs_to_none_is_left_out():
    with pytest.raises(Refusal):
        clean_params("backtest", {"study": "astrology"})
    with pytest.raises(Refusal):
        clean_params("backtest", {"study": "walk_forward", "mode": "sideways"})
    assert "mode" not in clean_params("backtest", {"study": "sweep", "mode": "anchored", "open_holdout": "1"})
    assert clean_params("backtest", {"study": "walk_forward", "open_holdout": "1"})["open_holdout"] is True


def test_every_table_is_named_in_words_in_both_languages(page, session, document):
    """Each table of the page says what it holds; its file keeps the short name."""
    assert set(report_tables.tables_of(document)) <= set(report_tables.TITLES)
    text = page.get(reverse("sessions:report", args=[session.pk])).content.decode()
    assert "The cone of chance" in text
    assert reverse("sessions:report_table", args=[session.pk, "cone", "csv"]) in text
    with translation.override("zh-hans"):
        assert all(report_tables.title_of(name) != title for name, title in report_tables.TITLES.items())


def test_money_of_two_currencies_has_no_best(document, session):
    other = {**document, "currency": "CNY", "metrics": {**document["metrics"], "fees": 1.0}}
    two = [report_tables.Compared(session, document), report_tables.Compared(session, other)]
    fees = next(row for row in report_tables.comparison(two) if row["name"] == "fees")
    assert not any(cell["best"] for cell in fees["cells"])
    same = [two[0], report_tables.Compared(session, {**other, "currency": document["currency"]})]
    fees = next(row for row in report_tables.comparison(same) if row["name"] == "fees")
    assert [cell["best"] for cell in fees["cells"]] == [False, True]
