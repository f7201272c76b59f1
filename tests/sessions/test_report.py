"""The report page: what it shows of a document, for whom, and what it says when there is none."""

from __future__ import annotations

import copy
import csv
import io
import json
import re
from functools import cache

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.html import escape

from apps.sessions import reports
from apps.sessions.selectors import session_folder
from apps.strategies.engine.backtesting import backtest
from apps.strategies.engine.config import RuleConfig
from apps.trading.engine.glossary import GLOSSARY
from tests.sessions.live_fixtures import make_session
from tests.strategies.learning_markets import panel

pytestmark = pytest.mark.django_db
PAGES = ["report", "report_json", "trades_csv", "equity_csv"]


@cache
def _document():
    config = RuleConfig(symbol="S0", fast=2, slow=4)
    return json.dumps(backtest("rule", config, panel(330), capital=100_000.0))


@pytest.fixture
def document():
    """A real report over made-up bars, each test's own copy."""
    return json.loads(_document())


@pytest.fixture(autouse=True)
def _folder(settings, tmp_path):
    settings.VAR_DIR = tmp_path


@pytest.fixture
def session(alice):
    return make_session(alice, kind="backtest", type_key="rule", status="completed")


@pytest.fixture
def page(client, alice):
    client.force_login(alice)
    return client


def write(session, document):
    path = session_folder(session.pk) / "report.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")


def url(name, session):
    return reverse(f"sessions:{name}", args=[session.pk])


def shown(page, session, document, query=""):
    write(session, document)
    answer = page.get(url("report", session) + query)
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.parametrize("name", PAGES)
def test_strangers_find_nothing_and_nobody_sees_it_without_logging_in(client, session, document, bob, root, name):
    write(session, document)
    assert client.get(url(name, session)).status_code == 302
    client.force_login(bob)
    assert client.get(url(name, session)).status_code == 404
    client.force_login(root)
    assert client.get(url(name, session)).status_code == 200


def test_strangers_find_nothing_in_the_api(client, session, document, bob, alice):
    write(session, document)
    client.force_login(bob)
    for tail in ("report", "trades"):
        assert client.get(f"/api/sessions/{session.pk}/{tail}").status_code == 404
    client.force_login(alice)
    assert client.get(f"/api/sessions/{session.pk}/report").json() == document
    answer = client.get(f"/api/sessions/{session.pk}/trades?limit=3&offset=2").json()
    assert (answer["total"], answer["items"]) == (len(document["trades"]), document["trades"][2:5])
    assert client.get(f"/api/sessions/{session.pk}/trades?limit=0").status_code == 422


def test_the_page_shows_the_verdict_every_metric_with_its_definition_and_the_newest_trade(page, session, document):
    text = shown(page, session, document)
    assert {"pass": "Pass", "not_yet": "Not yet", "fail": "Fail"}[document["verdict"]["word"]] in text
    for name in document["metrics"]:
        assert escape(str(GLOSSARY[name].title)) in text
    assert text.count("<svg") >= 6  # three charts, each for desktop and phone
    assert document["trades"][-1]["entry_time"] in text
    assert document["dataset"] in text


def test_each_headline_stands_beside_its_benchmark(document, rf):
    found = {figure.label: figure for figure in reports.headline(document)}
    bench = document["benchmark_metrics"]
    assert found["Net return"].note == f"{reports.shown(bench['total_return'], 'percent')} Buy and hold"
    assert found["Sharpe ratio"].note.endswith(f"{reports.shown(bench['sharpe'], 'ratio')} Buy and hold")
    assert found["Closed trades"].value == str(len(document["trades"]))
    assert "10.0 bp a side paid" in found["Break-even cost"].note


@pytest.mark.parametrize(
    ("even", "value", "note"),
    [
        ({"bp": None, "state": "never", "highest_bp": 1000.0}, "–", "loses even without costs"),
        ({"bp": None, "state": "above", "highest_bp": 1000.0}, "–", "earns even at 1,000 bp a side"),
        ({"bp": 34.5, "state": "found", "highest_bp": 1000.0}, "34.5 bp", "10.0 bp a side paid"),
    ],
)
def test_a_missing_break_even_cost_says_why(document, even, value, note):
    document["break_even"] = even
    figure = next(figure for figure in reports.headline(document) if figure.label == "Break-even cost")
    assert (figure.value, figure.note) == (value, note)


@pytest.mark.parametrize(("net", "tone"), [(0.1, "up"), (-0.1, "down"), (0.0, ""), (None, "")])
def test_only_a_return_that_is_not_zero_has_a_direction(document, net, tone):
    document["metrics"]["total_return"] = net
    assert reports.headline(document)[1].tone == tone


def test_undefined_is_a_dash(page, session, document):
    for name in document["metrics"]:
        if name != "total_return":
            document["metrics"][name] = None
    rows = {row["title"]: row for row in reports.metric_rows(document)}
    assert rows["Sharpe ratio"]["own"] == "–"
    shown(page, session, document)


def test_a_metric_the_benchmark_has_not_is_a_dash_beside_it(document):
    rows = {row["title"]: row for row in reports.metric_rows(document)}
    assert rows[str(GLOSSARY["beta"].title)]["bench"] == "–"


@pytest.mark.parametrize(
    ("passed", "kind", "shape"),
    [(True, "merit", "pass"), (False, "merit", "fail"), (False, "evidence", "notyet")],
)
def test_a_gate_has_the_shape_of_what_it_means(document, passed, kind, shape):
    document["verdict"]["gates"][0] |= {"passed": passed, "kind": kind}
    assert reports.gates(document)[0]["shape"] == shape


def test_a_gate_of_a_later_release_keeps_its_name(document):
    document["verdict"]["gates"][0]["name"] = "later"
    assert reports.gates(document)[0]["title"] == "later"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"status": "running"}, "has no report yet"),
        ({"kind": "training", "type_key": "algorithmic_trading"}, "is a training"),
        ({"status": "completed"}, "is gone"),
    ],
)
def test_without_a_report_it_says_what_to_do(page, alice, fields, sentence):
    session = make_session(alice, **{"kind": "backtest", "type_key": "rule", "status": "completed", **fields})
    for name in PAGES:
        answer = page.get(url(name, session))
        assert answer.status_code == 404
        assert sentence in answer.content.decode()
    problem = page.get(f"/api/sessions/{session.pk}/report")
    assert (problem.status_code, problem["Content-Type"]) == (404, "application/problem+json")
    assert sentence in problem.json()["detail"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema": 99}', "null", "\u20ac"])
def test_a_damaged_file_is_a_sentence_and_no_error_page(page, session, text):
    write(session, text)
    answer = page.get(url("report", session))
    assert answer.status_code == 409
    assert "cannot be read" in answer.content.decode()


def test_trades_are_paged_newest_first(page, session, document):
    many = [dict(document["trades"][0], symbol=f"T{i}") for i in range(60)]
    document["trades"] = many
    first = shown(page, session, document)
    assert "T59" in first
    assert "T34" not in first
    assert "T0<" in shown(page, session, document, "?page=3")
    for odd in ("?page=x", "?page=-1", "?page=99999", "?open=x"):
        shown(page, session, document, odd)


def test_a_page_costs_the_same_queries_for_few_and_many_trades(page, session, document):
    few = copy.deepcopy(document)
    few["trades"] = few["trades"][:1]
    shown(page, session, few)
    with CaptureQueriesContext(connection) as one:
        shown(page, session, few)
    with CaptureQueriesContext(connection) as many:
        shown(page, session, document)
    assert len(one) == len(many)


def test_a_run_that_did_nothing_has_a_page(page, session):
    config = RuleConfig(symbol="S0", fast=300, slow=320)
    idle = backtest("rule", config, panel(330), capital=100_000.0)
    assert idle["fills"] == 0
    text = shown(page, session, idle)
    assert "closed no trade" in text
    assert "The strategy never traded." in text


def test_downloads_are_the_document(page, session, document):
    write(session, document)
    answer = page.get(url("report_json", session))
    assert answer.json() == document
    assert "attachment" in answer["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(page.get(url("trades_csv", session)).content.decode())))
    assert [float(row["pnl"]) for row in rows] == [trade["pnl"] for trade in document["trades"]]
    curve = list(csv.DictReader(io.StringIO(page.get(url("equity_csv", session)).content.decode())))
    assert [float(row["equity"]) for row in curve] == document["series"]["equity"]
    assert curve[0]["time"] == document["period"]["start"]


def _triangles(document):
    drawn = reports.charts(document, "run")["equity"]
    return drawn["chart"].svg(824), drawn["subtitle"]


def test_a_long_trade_buys_and_sells_and_a_short_one_sells_and_buys(document):
    trade = document["trades"][3]
    kinds = []
    for side in ("long", "short"):
        days = [reports._day(text) for text in document["curves"]["times"]]
        document["trades"] = [dict(trade, side=side)]
        kinds.append([mark.kind for mark in reports._markers(document, days, document["curves"]["equity"])])
    assert kinds == [["buy", "sell"], ["sell", "buy"]]
    assert "▲" in _triangles(document)[1]


def test_too_many_trades_draw_no_triangles(document):
    document["trades"] = document["trades"][:1] * 61
    assert "▲" not in _triangles(document)[1]


def test_a_trade_before_the_curve_or_where_it_is_undefined_draws_no_triangle(document):
    days = [reports._day(text) for text in document["curves"]["times"]]
    document["trades"] = [dict(document["trades"][0], entry_time="1990-01-01")]
    assert len(reports._markers(document, days, [None] * len(days))) == 0


def test_bars_of_one_day_stand_beside_each_other(document):
    times = document["curves"]["times"]
    document["curves"]["times"] = [f"2020-01-01T{i // 60:02d}:{i % 60:02d}:00Z" for i in range(len(times))]
    document["trades"] = []
    path = re.search(
        r'class="[^"]*\bs1\b[^"]*"[^>]*d="([^"]+)"|d="([^"]+)"[^>]*class="[^"]*\bs1\b', _triangles(document)[0]
    )
    assert path is not None
    xs = {match.split(",")[0] for match in re.findall(r"[ML ]?(-?[\d.]+[, ][\d.]+)", path.group(1) or path.group(2))}
    assert len(xs) > 50


def test_open_lots_of_one_instrument_are_one_row_at_their_average_price(page, session, document):
    lot = {"symbol": "S0", "side": "long", "quantity": 1.0, "entry_time": "2020-02-01", "entry_price": 10.0}
    other = dict(lot, symbol="S1", side="short", quantity=100.0)
    document["open_positions"] = [lot, dict(lot, quantity=3.0, entry_price=20.0, entry_time="2020-01-05"), other]
    large, row = reports.open_positions(document)
    assert (large.symbol, large.side) == ("S1", "short")
    assert (row.quantity, row.price, row.since) == (4.0, 17.5, "2020-01-05")
    assert "Open on the last bar" in shown(page, session, document)
    document["open_positions"] = []
    assert "Open on the last bar" not in shown(page, session, document)


def test_refused_orders_and_baselines_are_listed_in_words(page, session, document):
    document["refused"] = {"cash": 3, "later_code": 1}
    assert reports.refused_rows(document)[0] == ("refused: more than the cash", "3")
    assert reports.refused_rows(document)[1] == ("later_code", "1")
    assert "Orders not filled" in shown(page, session, document)
    names = [row["name"] for row in reports.baseline_rows(document, "This run")]
    assert names[0] == "This run"
    assert "Do nothing" in names
    document["benchmark"] = {"symbol": "SPY", "name": "SPY"}
    assert reports.benchmark_name(document) == "SPY"


def test_titles_are_findings_and_else_the_name_of_the_measure(document):
    titles = {key: item["title"] for key, item in reports.charts(document, "run").items()}
    assert "benchmark" in titles["equity"]
    document["findings"] = []
    titles = {key: item["title"] for key, item in reports.charts(document, "run").items()}
    assert titles["drawdown"] == "Drawdown from the peak"
    assert reports.notes(document) == []


def test_without_a_whole_month_there_is_no_table(page, session, document):
    document["monthly"] = []
    assert reports.months(document) is None
    assert "Monthly return" not in shown(page, session, document)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(1234.5, "money", "USD 1,234"), (12.34, "bp", "12.3 bp"), (41.2, "bars", "41"), (0.123, "percent", "12.3%")],
)
def test_every_figure_has_its_unit(value, unit, text):
    assert reports.shown(value, unit, "USD" if unit == "money" else "") == text


def test_the_page_speaks_chinese(page, session, document, alice):
    alice.language = "zh-hans"
    alice.save()
    text = shown(page, session, document)
    assert "净收益" in text
    assert "最大回撤" in text
    for english in ("Monthly return", "Net return", "Beside the baselines", "Equity after costs", "Ended by"):
        assert english not in text
    page.get(url("report", make_session(alice, kind="backtest", type_key="rule", status="running", name="x")))


def test_the_page_keeps_the_content_policy(page, session, document):
    text = shown(page, session, document)
    assert " style=" not in text
    assert "<style" not in text
    assert not re.search(r"\son\w+=", text)


def test_what_is_kept_of_a_report_is_of_its_content_and_the_readers_language(page, session, document, alice, bob):
    first = shown(page, session, document)
    assert shown(page, session, document).count("<svg") == first.count("<svg")
    document["metrics"]["total_return"] = document["metrics"]["ann_return"] = 0.123456
    changed = shown(page, session, document)
    assert "12.3%" in changed
    assert "12.3%" not in first
    alice.language = "zh-hans"
    alice.save()
    assert "净收益" in shown(page, session, document)
    alice.language = "en"
    alice.save()
    session.title = "Renamed"
    session.save()
    renamed = shown(page, session, document)
    assert "Renamed" in renamed
    assert "净收益" not in renamed
    page.force_login(bob)
    assert page.get(url("report", session)).status_code == 404, "what is kept is nobody's way in"


def test_what_is_kept_of_one_report_is_shown_for_another_with_links_of_its_own(page, session, document, alice):
    shown(page, session, document)
    other = make_session(alice, kind="backtest", type_key="rule", status="completed")
    text = shown(page, other, document)
    assert f"/sessions/{other.pk}/" in text
    assert f"/sessions/{session.pk}/" not in text


def test_the_dashboard_draws_the_newest_report_in_the_readers_language_and_as_it_is_now(page, session, document, alice):
    session.result_return = 0.1
    session.save()
    write(session, document)
    english = page.get("/").content.decode()
    assert "Equity after costs" in english
    alice.language = "zh-hans"
    alice.save()
    assert "Equity after costs" not in page.get("/").content.decode()
    alice.language = "en"
    alice.save()
    document["curves"]["equity"][-1] *= 3
    write(session, document)
    drawn = page.get("/").content.decode()
    assert "Equity after costs" in drawn
    assert drawn.count('class="ln s1"') == english.count('class="ln s1"')
    assert drawn.partition('class="ln s1"')[2][:2000] != english.partition('class="ln s1"')[2][:2000]
    write(session, "{}")
    assert page.get("/").status_code == 200
