"""The detailed half of a report: years, returns, signal and members, and reports from before it was told."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from django.urls import reverse

from apps.marketdata.engine.universe import Membership
from apps.sessions import report_more, report_tables, reports
from apps.strategies.engine.backtesting import backtest
from apps.strategies.engine.config_allocation import AllocationConfig
from tests.sessions.live_fixtures import make_session
from tests.sessions.test_report import _document, shown, url
from tests.strategies.learning_markets import panel

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _folder(settings, tmp_path):
    settings.VAR_DIR = tmp_path


@pytest.fixture
def document():
    return json.loads(_document())


@pytest.fixture
def session(alice):
    return make_session(alice, kind="backtest", type_key="rule", status="completed")


@pytest.fixture
def page(client, alice):
    client.force_login(alice)
    return client


def test_years_quantiles_and_charts_of_the_details_are_shown(page, session, document):
    text = shown(page, session, document)
    for part in ('id="years"', 'id="more"', "Quantiles of the returns", "Rolling volatility", "Turnover by month",
                 "Returns of the closed trades", "Invested part of the equity"):  # fmt: skip
        assert part in text
    assert [row["period"] for row in report_more.year_rows(document)] == [y["period"] for y in document["by_year"]]
    assert report_more.side_rows(document) == []  # it was long only
    short = {**document["by_side"][0], "name": "short"}
    document["by_side"].append(short)
    assert [row["name"] for row in report_more.side_rows(document)] == ["Long", "Short"]
    assert "Long and short" in shown(page, session, document)


def test_a_month_without_a_position_shows_a_dot_and_one_that_earned_nothing_a_zero(document):
    year = {"year": 2020, "months": [0.0, 0.01, *[None] * 10], "total": 0.01, "flat": list(range(3, 13))}
    document["monthly"] = [year]
    _, cells = reports.months(document).rows[0]
    assert [cell.text for cell in cells[:3]] == ["0.0", "+1.0", "·"]


def test_a_report_from_before_the_details_still_opens(page, session, document):
    for key in ("by_side", "by_year", "by_month", "quantiles", "histograms", "membership", "signal"):
        del document[key]
    del document["curves"]["rolling_volatility"]
    for row in document["monthly"]:
        del row["flat"]
    for draw in ("monte_carlo", "bootstrap"):
        for key in ("goal", "goal_return"):
            (document["robustness"][draw] or {}).pop(key, None)
    document["refused"] = {"price_limit": 4}
    text = shown(page, session, document)
    assert "bars an order waited at a price limit" in text
    assert 'id="years"' not in text
    assert "Returns of the bars" not in text
    names = {name for name, _ in report_tables.tables_of(document).items()}
    assert "by_year" not in names
    assert page.get(url("report_json", session)).json()["refused"] == {"price_limit": 4}


def _ranked():
    """Return the report of a ranking over a dated universe of twelve instruments."""
    market = panel(260, symbols=12)
    spans = [Membership("index", symbol, market.times[0], market.times[-1]) for symbol in market.symbols[:11]]
    spans[0] = replace(spans[0], end=market.times[150])
    spans.append(Membership("index", market.symbols[11], market.times[100], market.times[-1]))
    market = replace(market, meta={**market.meta, "membership": tuple(spans)})
    config = AllocationConfig(universe="index", method="top_k", top=3, rebalance=10, signal="$close/Ref($close, 5)-1")
    return backtest("allocation", config, market, capital=100_000.0, goal=0.1)


def test_a_ranking_over_a_universe_tells_its_signal_its_groups_and_its_members(page, session):
    document = json.loads(json.dumps(_ranked(), allow_nan=False))
    figures = document["metrics"]
    assert figures["members_exchanged"] == pytest.approx(1 / 11)
    assert figures["frozen_gap"] is not None
    assert figures["lot_residual"] >= 0
    assert -1 <= figures["rank_ic"] <= 1
    assert document["robustness"]["bootstrap"]["goal_return"] == 0.1
    text = shown(page, session, document)
    for part in ('id="membership"', "had left by the last", "The highest fifth came to", "reach the goal of +10%"):
        assert part in text
    tables = report_tables.tables_of(document)
    assert len(tables["signal"]) == len(document["series"]["times"])
    assert [row["group"] for row in tables["signal_groups"]] == [1, 2, 3, 4, 5]
    assert tables["membership"][0]["members"] == 11
    for name in ("signal", "signal_groups", "membership", "by_year", "by_month", "quantiles"):
        for form in ("csv", "json"):
            assert page.get(reverse("sessions:report_table", args=[session.pk, name, form])).status_code == 200
