"""Strategies as data: configuration, versions, pages, API."""

from __future__ import annotations

import pytest

from apps.sessions.engine.states import ACTIVE as SESSION_ACTIVE
from apps.strategies import selectors, services
from apps.strategies.engine.diff import config_diff
from apps.strategies.engine.gallery import EXAMPLES, example
from apps.strategies.engine.overrides import parse_overrides
from apps.strategies.engine.registry import TYPES, InvalidConfig, parse_config, strategy_type
from apps.strategies.forms import ConfigForm, posted_values, schema
from apps.strategies.models import Strategy, StrategyVersion
from apps.ui.engine.refusal import Refusal


@pytest.mark.parametrize("key", TYPES)
def test_the_form_posts_back_the_configuration_it_shows(key):
    config = parse_config(key, {})
    data = {}
    for group in ConfigForm(key, config.model_dump(mode="json")).groups():
        for field in group.fields:
            if field.kind != "bool" or field.value:
                data[field.name] = field.value
    assert parse_config(key, posted_values(key, data)) == config


@pytest.mark.parametrize("key", TYPES)
def test_every_field_says_what_it_is(key):
    for name, item in schema(key)["properties"].items():
        assert item["title"], name
        assert item["description"], name
        assert item["group"], name


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"fast": 0}, "fast"),
        ({"fast": "many"}, "fast"),
        ({"fast": 40, "slow": 30}, "fast"),
        ({"fraction": 101}, "fraction"),
        ({"test_start": "soon"}, "test_start"),
        ({"rule": "magic"}, "rule"),
        ({"sizing": "fixed_shares", "shares": -1}, "shares"),
        ({"unknown": 1}, "unknown"),
        ({"rule": "rsi_reversal", "rsi_low": 80}, "rsi_low"),
        ({"commission_bp": "nan"}, "commission_bp"),
    ],
)
def test_a_wrong_field_is_named_with_a_sentence(values, field):
    with pytest.raises(InvalidConfig) as caught:
        parse_config("rule", values)
    assert caught.value.errors[0].field == field
    assert caught.value.errors[0].message % caught.value.errors[0].params


def test_epochs_zero_and_dates_out_of_order_are_refused():
    with pytest.raises(InvalidConfig, match="1 or more"):
        parse_config("portfolio", {"epochs": 0})
    with pytest.raises(InvalidConfig, match="after"):
        parse_config("algorithmic_trading", {"valid_start": "2011-01-03", "test_start": "2010-01-04"})


def test_an_unknown_type_is_refused():
    with pytest.raises(Refusal, match="no strategy type"):
        strategy_type("magic")


def test_set_understands_lists_empty_values_and_typing_errors():
    portfolio, rule = TYPES["portfolio"].config, TYPES["rule"].config
    assert parse_overrides(portfolio, ["symbols=AAPL, MSFT"]) == {"symbols": ["AAPL", "MSFT"]}
    assert parse_overrides(rule, ["stop_loss="]) == {"stop_loss": None}
    with pytest.raises(Refusal, match="Did you mean fast"):
        parse_overrides(rule, ["fats=3"])
    with pytest.raises(Refusal, match="There are dataset"):
        parse_overrides(rule, ["zzzz=3"])
    with pytest.raises(Refusal, match="no value"):
        parse_overrides(rule, ["fast"])


def test_a_diff_names_what_was_removed_and_added():
    lines = config_diff({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": "x"}, context=True)
    assert [(line.sign, line.text) for line in lines] == [(" ", "a: 1"), ("-", "b: 2"), ("+", "b: 3"), ("+", "c: x")]


def test_selectors_know_the_active_states_of_sessions():
    assert set(selectors.ACTIVE) == set(SESSION_ACTIVE)


@pytest.mark.parametrize("item", EXAMPLES, ids=lambda item: item.key)
def test_every_example_can_be_used(catalogue, client, alice, item):
    client.force_login(alice)
    assert client.post(f"/strategies/gallery/{item.key}/use/").status_code == 302
    assert client.post(f"/strategies/gallery/{item.key}/use/").status_code == 302
    assert Strategy.objects.filter(owner=alice).count() == 2
    assert example("nothing") is None


def test_saving_makes_a_version_and_saving_nothing_makes_none(rule, alice):
    version, saved = services.strategy_update(strategy=rule, actor=alice, config={"symbol": "AAPL", "fast": 5})
    assert (version.number, saved) == (2, True)
    again, saved = services.strategy_update(strategy=rule, actor=alice, config={"fast": 5, "symbol": "AAPL"})
    assert (again.number, saved) == (2, False)


def test_a_version_never_changes(rule):
    version = StrategyVersion.objects.get()
    version.config = {}
    with pytest.raises(TypeError, match="never changes"):
        version.save()


def test_a_symbol_the_data_lacks_is_an_error_at_its_field(catalogue, alice):
    for key, field, values in (
        ("rule", "symbol", {"symbol": "TSLA"}),
        ("portfolio", "symbols", {"symbols": ["AAPL", "TSLA"]}),
    ):
        with pytest.raises(InvalidConfig) as caught:
            services.strategy_create(owner=alice, name="x", type_key=key, config=values)
        assert caught.value.errors[0].field == field


def test_a_dataset_that_does_not_exist_is_an_error_at_its_field(catalogue, alice):
    with pytest.raises(InvalidConfig) as caught:
        services.strategy_create(owner=alice, name="x", type_key="rule", config={"dataset": "nowhere"})
    assert caught.value.errors[0].field == "dataset"


@pytest.mark.parametrize(("name", "code"), [("", "name_missing"), ("x" * 121, "name_too_long"), ("Rule", "name_taken")])
def test_names_are_needed_short_and_unique(rule, alice, name, code):
    with pytest.raises(Refusal) as caught:
        services.strategy_create(owner=alice, name=name, type_key="rule", config={})
    assert caught.value.code == code


def test_a_copy_belongs_to_who_made_it_and_is_numbered(rule, alice):
    assert services.strategy_copy(strategy=rule, actor=alice).name == "Rule (2)"
    assert services.strategy_copy(strategy=rule, actor=alice).name == "Rule (3)"


def test_a_stage_only_goes_forward(rule):
    services.stage_reached(rule.pk, "backtested")
    services.stage_reached(rule.pk, "trained")
    rule.refresh_from_db()
    assert rule.stage == "backtested"


def test_pages_are_there_for_the_owner_and_not_for_strangers(rule, client, alice, bob):
    paths = [f"/strategies/{rule.pk}/{tail}" for tail in ("", "edit/", "diff/")]
    for path in paths:
        assert client.get(path).status_code == 302
    client.force_login(alice)
    for path in [*paths, "/strategies/", "/strategies/gallery/", "/strategies/new/?type=portfolio"]:
        assert client.get(path).status_code == 200, path
    client.force_login(bob)
    for path in paths:
        assert client.get(path).status_code == 404
    for tail in ("copy", "archive"):
        assert client.post(f"/strategies/{rule.pk}/{tail}/").status_code == 404
    assert "Rule" not in client.get("/strategies/?format=csv").content.decode()
    for method, tail in (("get", ""), ("get", "/versions"), ("post", "/archive"), ("post", "/copy")):
        assert (
            getattr(client, method)(f"/api/strategies/{rule.pk}{tail}", {}, content_type="application/json").status_code
            == 404
        )


def test_creating_without_a_type_leads_to_the_gallery(client, alice):
    client.force_login(alice)
    assert client.get("/strategies/new/").url == "/strategies/gallery/"
    assert client.post("/strategies/gallery/nothing/use/").url == "/strategies/gallery/"


def test_the_form_keeps_what_was_entered_and_names_the_error(catalogue, client, alice):
    client.force_login(alice)
    answer = client.post(
        "/strategies/new/", {"type": "rule", "name": "Mine", "fast": "50", "slow": "30", "rule": "sma_cross"}
    )
    assert answer.status_code == 422
    page = answer.content.decode()
    assert "must be shorter" in page
    assert 'value="50"' in page
    assert 'value="Mine"' in page
    assert client.post("/strategies/new/", {"type": "rule", "name": "", "rule": "sma_cross"}).status_code == 422


def test_editing_saves_the_next_version_and_shows_the_diff(rule, client, alice):
    client.force_login(alice)
    data = {**rule.versions.get().config, "fast": "7", "note": "quicker"}
    data = {name: value for name, value in data.items() if value is not None}
    assert client.post(f"/strategies/{rule.pk}/edit/", data).status_code == 302
    assert rule.versions.get(number=2).note == "quicker"
    page = client.get(f"/strategies/{rule.pk}/diff/?old=1&new=2").content.decode()
    assert "Fast average: 10 bars" in page
    assert "Fast average: 7 bars" in page
    assert client.get(f"/strategies/{rule.pk}/diff/?old=9").status_code == 404
    assert client.post(f"/strategies/{rule.pk}/edit/", {**data, "fast": "0"}).status_code == 422


def test_archiving_hides_and_brings_back(rule, client, alice):
    client.force_login(alice)
    client.post(f"/strategies/{rule.pk}/archive/")
    assert "Rule" not in client.get("/strategies/?format=csv").content.decode()
    assert "Rule" in client.get("/strategies/?format=csv&archived=1").content.decode()
    client.post(f"/strategies/{rule.pk}/archive/")
    assert "Rule" in client.get("/strategies/?format=csv&q=ru&type=rule&stage=draft&sort=name").content.decode()


def test_the_list_takes_the_same_queries_for_one_and_for_many(rule, client, alice, django_assert_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client.force_login(alice)
    with CaptureQueriesContext(
        connection,
    ) as one:
        client.get("/strategies/")
    for _ in range(5):
        services.strategy_copy(strategy=rule, actor=alice)
    with django_assert_num_queries(len(one)):
        client.get("/strategies/")


def test_the_api_creates_updates_copies_and_archives(catalogue, client, alice):
    client.force_login(alice)

    def post(path, body):
        return client.post(path, body, content_type="application/json")

    made = post("/api/strategies/", {"name": "A", "type": "rule", "config": {"symbol": "IBM"}})
    assert made.status_code == 201
    number = made.json()["id"]
    assert made.json()["config"]["symbol"] == "IBM"
    saved = post(f"/api/strategies/{number}/versions", {"config": {"fast": 3}, "merge": True}).json()
    assert (saved["saved"], saved["number"], saved["config"]["symbol"]) == (True, 2, "IBM")
    assert [row["number"] for row in client.get(f"/api/strategies/{number}/versions").json()] == [2, 1]
    assert post(f"/api/strategies/{number}/copy", {}).json()["name"] == "A (2)"
    assert post(f"/api/strategies/{number}/archive", {}).json()["archived"] is True
    assert client.get("/api/strategies/").json()["total"] == 1
    assert post(f"/api/strategies/{number}/unarchive", {}).json()["archived"] is False
    assert {item["key"] for item in client.get("/api/strategies/types").json()} == set(TYPES)


def test_the_api_names_each_wrong_field(catalogue, client, alice):
    client.force_login(alice)
    body = {"name": "A", "type": "rule", "config": {"fast": 0, "slow": "x"}}
    answer = client.post("/api/strategies/", body, content_type="application/json")
    assert answer.status_code == 422
    assert answer["Content-Type"] == "application/problem+json"
    assert {item["field"] for item in answer.json()["errors"]} == {"fast", "slow"}
    assert client.post("/api/strategies/", {"name": "A"}, content_type="application/json").status_code == 422
    assert client.post("/api/strategies/", "{", content_type="application/json").status_code in {400, 422}


@pytest.mark.parametrize("model", ["strategy", "strategyversion"])
def test_the_admin_lists_strategies(rule, client, root, model):
    client.force_login(root)
    assert client.get(f"/admin/strategies/{model}/").status_code == 200


def test_a_strategy_is_found_by_number_and_by_name(rule, alice, bob):
    from django.http import Http404

    assert selectors.strategy_by_name(alice, str(rule.pk)) == rule
    assert selectors.strategy_by_name(alice, "Rule") == rule
    with pytest.raises(Http404):
        selectors.strategy_by_name(bob, "Rule")
