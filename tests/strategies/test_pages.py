"""Pages, forms and results of the strategies beyond the first walk through them."""

from __future__ import annotations

import csv
import io
import re

import pytest
from django.db import connection
from django.http import Http404
from django.test.utils import CaptureQueriesContext

from apps.sessions.models import Session
from apps.sessions.services.performance import summary_refresh
from apps.strategies import selectors, services
from apps.strategies.engine.gallery import EXAMPLES
from apps.strategies.forms import entered
from apps.strategies.models import Strategy, StrategyVersion
from apps.ui.engine.refusal import Refusal


@pytest.fixture
def page(client, alice):
    client.force_login(alice)
    return client


def ran(strategy, sharpe, **fields):
    """A session of the strategy's newest version."""
    version = strategy.versions.order_by("-number")[0]
    dataset = fields.pop("dataset", None) or _dataset()
    values = {
        "kind": "backtest", "status": "completed", "out_of_sample": True, "result_sharpe": sharpe,
        "result_return": None if sharpe is None else sharpe / 10, "time_limit": 60, "title": strategy.name,
        "config": version.config,
    } | fields  # fmt: skip
    made = Session.objects.create(owner=strategy.owner, version=version, dataset=dataset, **values)
    summary_refresh(strategy.pk)
    return made


def _dataset():
    from apps.marketdata.selectors import dataset_by_name

    return dataset_by_name(None, "us-daily-adjusted")


def listed(user, **filters):
    return list(selectors.strategy_list(user, **filters))


def test_the_best_result_is_of_a_completed_run_on_unseen_bars_and_names_its_session(rule, alice):
    ran(rule, 9.0, out_of_sample=False)
    ran(rule, 8.0, status="failed")
    ran(rule, None)
    best = ran(rule, 1.5)
    ran(rule, 0.5)
    training = ran(rule, None, kind="training", status="running")
    (row,) = listed(alice)
    assert (row.best_session, row.best_sharpe, row.best_return) == (best.pk, 1.5, 0.15)
    assert (row.total_sessions, row.active_sessions) == (6, 1)
    assert (row.last_training, row.last_training_status, row.last_training_at) == (
        training.pk, "running", training.created,
    )  # fmt: skip


def test_a_version_keeps_its_own_best_figure(rule, alice):
    first = ran(rule, 1.0)
    services.strategy_update(strategy=rule, actor=alice, config={"fast": 3})
    second = ran(rule, 2.0)
    newest, oldest = selectors.versions_with_results(rule)
    assert (newest.best_session, oldest.best_session) == (second.pk, first.pk)
    assert newest.total_sessions == 1


def test_sorting_puts_strategies_without_a_result_last(rule, alice):
    other = services.strategy_create(owner=alice, name="Other", type_key="rule", config={})
    ran(other, 1.0)
    empty = services.strategy_create(owner=alice, name="Zero", type_key="rule", config={})
    for sort in ("sharpe", "-sharpe"):
        assert listed(alice, sort=sort)[0] == other
    assert listed(alice, sort="-name")[0] == empty
    assert [row.name for row in listed(alice, sort="nonsense")] == [row.name for row in listed(alice, sort="updated")]


def test_filters_narrow_the_list(rule, alice):
    services.strategy_create(owner=alice, name="Basket", type_key="portfolio", config={}, description="of four")
    assert [row.name for row in listed(alice, type_key="portfolio")] == ["Basket"]
    assert [row.name for row in listed(alice, search="FOUR")] == ["Basket"]
    assert listed(alice, stage="trained") == []


def test_an_administrator_sees_all_and_a_stranger_nothing(rule, bob, root):
    assert listed(root) == [rule]
    assert listed(bob) == []
    assert selectors.strategy_by_name(None, "Rule") == rule
    with pytest.raises(Http404):
        selectors.strategy_by_name(bob, str(rule.pk))


@pytest.mark.parametrize("path", ["/strategies/", "/strategies/{pk}/"])
def test_pages_cost_the_same_queries_with_many_versions_and_sessions(rule, page, alice, path):
    path = path.format(pk=rule.pk)
    ran(rule, 1.0)
    page.get(path)
    with CaptureQueriesContext(connection) as few:
        page.get(path)
    for fast in range(3, 9):
        services.strategy_update(strategy=rule, actor=alice, config={"fast": fast})
        ran(rule, float(fast))
    with CaptureQueriesContext(connection) as many:
        assert page.get(path).status_code == 200
    assert len(few) == len(many)


def test_the_list_and_the_versions_are_paged(rule, page, alice):
    for number in range(30):
        services.strategy_update(strategy=rule, actor=alice, config={"fast": number % 20 + 1, "slow": 40 + number})
    newest = rule.versions.order_by("-number")[0].number
    first = page.get(f"/strategies/{rule.pk}/").content.decode()
    assert f">v{newest}" in first
    last = page.get(f"/strategies/{rule.pk}/?versions=2").content.decode()
    assert ">v1<" in re.sub(r"\s", "", last)
    assert f'<span class="tag">v{newest}</span>' in last


def test_csv_keeps_a_spreadsheet_from_computing_a_name(rule, page, alice):
    services.strategy_create(owner=alice, name="=1+1", type_key="rule", config={})
    rows = list(csv.DictReader(io.StringIO(page.get("/strategies/?format=csv").content.decode())))
    assert {row["name"] for row in rows} == {"'=1+1", "Rule"}


def test_a_version_saved_under_older_rules_still_has_its_page(rule, page):
    StrategyVersion.objects.filter(strategy=rule).update(config={"symbol": "AAPL", "retired_field": 1})
    answer = page.get(f"/strategies/{rule.pk}/")
    assert answer.status_code == 200
    assert "AAPL" in answer.content.decode()


def test_only_what_can_learn_is_trained(page, catalogue, alice):
    texts = {}
    for item in EXAMPLES:
        made = services.strategy_create(owner=alice, name=item.name, type_key=item.type, config=item.config)
        texts[item.key] = page.get(f"/strategies/{made.pk}/").content.decode()
    trains = {key for key, text in texts.items() if 'value="training"' in text}
    assert trains == {"dqn-quick", "dqn-aapl", "ppo-four"}
    assert "Nothing is trained yet" in texts["dqn-aapl"]
    assert 'value="backtest"' in texts["sma-aapl"]


def test_a_backtest_of_what_learned_asks_which_training_decides(page, catalogue, alice):
    item = next(item for item in EXAMPLES if item.key == "dqn-aapl")
    made = services.strategy_create(owner=alice, name="Q", type_key=item.type, config=item.config)
    done = ran(made, 1.0, kind="training")
    ran(made, None, kind="training", status="running")
    text = page.get(f"/strategies/{made.pk}/").content.decode()
    assert re.findall(r'<option value="(\d+)"', text) == [str(done.pk)]


def test_the_form_shows_defaults_units_and_the_data_one_may_use(page, catalogue):
    text = page.get("/strategies/new/?type=rule").content.decode()
    assert "default 10" in text
    assert "% of equity" in text
    assert re.search(r'<option value="us-daily-adjusted" selected>us-daily-adjusted \([^)]+\)', text)
    assert '<option value="MSFT">' in text
    assert 'data-only="rule"' in text
    assert 'type="radio"' in text
    assert " style=" not in text


def test_the_first_error_is_named_so_that_it_gets_the_focus(page, catalogue):
    answer = page.post("/strategies/new/", {"type": "rule", "name": "x", "rule": "sma_cross", "fast": "0", "slow": "z"})
    text = answer.content.decode()
    assert 'data-first-error="fast"' in text
    assert text.count('aria-invalid="true"') == 2
    assert 'role="alert"' in text


def test_data_that_is_gone_stays_in_the_form_and_is_an_error_there(rule, page):
    StrategyVersion.objects.filter(strategy=rule).update(config={"dataset": "gone", "symbol": "AAPL"})
    assert '<option value="gone" selected>' in page.get(f"/strategies/{rule.pk}/edit/").content.decode()
    answer = page.post(f"/strategies/{rule.pk}/edit/", {"dataset": "gone", "symbol": "AAPL", "rule": "buy_and_hold"})
    assert answer.status_code == 422
    assert 'id="e-dataset"' in answer.content.decode()


def test_saving_without_a_change_says_so(rule, page):
    config = {name: value for name, value in rule.versions.get().config.items() if value is not None}
    answer = page.post(f"/strategies/{rule.pk}/edit/", config, follow=True)
    assert "Nothing changed; version 1 stays." in answer.content.decode()
    assert rule.versions.count() == 1


def test_a_wrong_draft_still_shows_its_diff(rule, page):
    answer = page.post(f"/strategies/{rule.pk}/edit/", {"symbol": "AAPL", "rule": "sma_cross", "fast": "x"})
    text = answer.content.decode()
    assert "Fast average: x bars" in text
    assert "Enter a whole number." in text


def test_two_who_save_at_once_make_one_version_and_one_refusal(rule, alice, monkeypatch):
    from django.db import IntegrityError

    def collide(*args):
        raise IntegrityError

    monkeypatch.setattr(services, "_add_version", collide)
    with pytest.raises(Refusal) as caught:
        services.strategy_update(strategy=rule, actor=alice, config={"fast": 2})
    assert (caught.value.code, caught.value.status) == ("edited_meanwhile", 409)


def test_what_another_tab_saved_is_not_passed_over_and_nothing_typed_is_lost(rule, page, root):
    address = f"/strategies/{rule.pk}/edit/"
    typed = {**rule.versions.get().config, "fast": "7", "base": "1", "note": "mine"}
    typed = {name: value for name, value in typed.items() if value is not None}
    services.strategy_update(strategy=rule, actor=root, config={"symbol": "AAPL", "fast": 5})
    answer = page.post(address, typed | {"slow": "0"})
    assert answer.status_code == 422
    answer = page.post(address, typed | {"base": str(answer.context["based"])})
    text = answer.content.decode()
    assert answer.status_code == 409
    assert f"{root.username} saved v2 while you were editing" in text
    assert 'name="fast" value="7"' in text
    assert 'value="mine"' in text
    assert rule.versions.count() == 2
    answer = page.post(address, typed | {"base": str(answer.context["based"])})
    assert answer.status_code == 302
    assert rule.versions.order_by("-number")[0].config["fast"] == 7


def test_saving_what_another_tab_saved_already_changes_nothing(rule, alice):
    config = {"symbol": "AAPL", "fast": 5}
    services.strategy_update(strategy=rule, actor=alice, config=config)
    assert services.strategy_update(strategy=rule, actor=alice, config=config, base=1)[1] is False


@pytest.mark.parametrize("values", [{"dataset": "us\x00daily"}, {"symbol": "AA\x00PL"}])
def test_characters_no_database_keeps_are_an_error_at_their_field(catalogue, alice, values):
    with pytest.raises(Refusal) as caught:
        services.strategy_create(owner=alice, name="x", type_key="rule", config=values)
    assert caught.value.field == next(iter(values))
    with pytest.raises(Refusal, match="cannot be shown"):
        services.strategy_create(owner=alice, name="x\x00", type_key="rule", config={})


def test_pages_take_zero_characters_in_a_search(page, rule):
    assert page.get("/strategies/?q=%00Rule").status_code == 200


def test_a_description_and_a_note_lose_what_no_database_keeps(catalogue, alice):
    made = services.strategy_create(owner=alice, name="x", type_key="rule", config={}, description="a\x00b ")
    version, _ = services.strategy_update(strategy=made, actor=alice, config={"fast": 2}, note="n\x00" + "o" * 300)
    assert (made.description, len(version.note), version.note[:2]) == ("ab", 200, "no")


def test_who_may_not_edit_changes_nothing(rule, page, alice, monkeypatch):
    from apps.accounts import permissions

    monkeypatch.setattr(permissions, "PERMISSIONS", {**permissions.PERMISSIONS, "strategy.edit": frozenset()})
    assert page.post(f"/strategies/{rule.pk}/archive/").status_code == 403
    assert page.post(f"/strategies/{rule.pk}/copy/").status_code == 403
    assert Strategy.objects.count() == 1


def test_an_example_used_in_chinese_has_a_chinese_name(page, catalogue, alice):
    alice.language = "zh-hans"
    alice.save()
    page.post("/strategies/gallery/hold-msft/use/")
    assert re.search("[\u4e00-\u9fff]", Strategy.objects.get().name)


def test_every_page_speaks_chinese(rule, page, alice):
    alice.language = "zh-hans"
    alice.save()
    for path in ("", "gallery/", "new/?type=rule", f"{rule.pk}/", f"{rule.pk}/edit/", f"{rule.pk}/diff/"):
        main = page.get(f"/strategies/{path}").content.decode().split("<main", 1)[1]
        for english in ("Strategies", "Versions", "Sessions", "Save as", "Configuration", "Use this example"):
            assert english not in main, path
    answer = page.post("/strategies/new/", {"type": "rule", "name": "", "rule": "sma_cross", "fast": "0"})
    assert "Enter" not in answer.content.decode().split("<main", 1)[1]
    assert schema_titles_are_chinese(page)


def schema_titles_are_chinese(page):
    rule = next(item for item in page.get("/api/strategies/types").json() if item["key"] == "rule")
    return re.search("[\u4e00-\u9fff]", rule["schema"]["properties"]["fast"]["title"])


def test_the_api_shows_what_the_list_shows(rule, page):
    best = ran(rule, 1.25)
    training = ran(rule, None, kind="training", status="paused")
    (row,) = page.get("/api/strategies/").json()["items"]
    assert row["best_out_of_sample"] == {"session_id": best.pk, "total_return": 0.125, "sharpe": 1.25}
    assert row["last_training"]["session_id"] == training.pk
    assert row["last_training"]["status"] == "paused"
    assert row["owner"] == "alice"
    assert page.get(f"/api/strategies/{rule.pk}").json()["config_hash"] == rule.versions.get().config_hash
    for odd in ("limit=0", "limit=9999", "offset=-1", "archived=perhaps"):
        assert page.get(f"/api/strategies/?{odd}").status_code == 422


def test_a_configuration_is_checked_without_being_saved(rule, page):
    def check(config, kind="rule"):
        body = {"type": kind, "config": config}
        return page.post("/api/strategies/validate", body, content_type="application/json").json()

    current = rule.versions.get()
    good = check(current.config)
    assert (good["valid"], good["errors"], good["config"]) == (True, [], current.config)
    assert good["config_hash"] == current.config_hash
    bad = check({**current.config, "fast": 0, "dataset": "nowhere"})
    assert not bad["valid"]
    assert {error["field"] for error in bad["errors"]} == {"fast"}
    assert all(error["message"] for error in bad["errors"])
    assert [error["field"] for error in check({**current.config, "dataset": "nowhere"})["errors"]] == ["dataset"]
    assert not check({}, kind="nonsense")["valid"]
    assert rule.versions.count() == 1


@pytest.mark.parametrize("model", ["strategy", "strategyversion"])
def test_the_admin_is_for_administrators_and_versions_are_read_only(rule, client, alice, root, model):
    client.force_login(alice)
    assert client.get(f"/admin/strategies/{model}/").status_code == 302
    client.force_login(root)
    pk = rule.pk if model == "strategy" else rule.versions.get().pk
    assert client.get(f"/admin/strategies/{model}/{pk}/change/").status_code == 200
    assert client.get(f"/admin/strategies/{model}/add/").status_code == 403
    assert client.post(f"/admin/strategies/{model}/{pk}/delete/", {"post": "yes"}).status_code == 403
    if model == "strategyversion":
        assert client.post(f"/admin/strategies/{model}/{pk}/change/", {"number": 9}).status_code == 403


def test_the_admin_archives_what_is_chosen(rule, client, root):
    client.force_login(root)
    client.post("/admin/strategies/strategy/", {"action": "archive", "_selected_action": [rule.pk]})
    rule.refresh_from_db()
    assert rule.archived_at is not None


def test_changes_are_listed_while_the_form_is_filled_and_nothing_is_saved(page, rule, client, bob):
    address = f"/strategies/{rule.pk}/edit/changes/"
    config = rule.versions.get().config
    values = {name: entered(value) for name, value in config.items()}
    assert "Nothing is changed yet" in page.post(address, values).content.decode()
    text = page.post(address, values | {"fast": "7"}).content.decode()
    assert "Fast average: 7 bars" in text
    assert "Nothing is changed" not in text
    text = page.post(address, values | {"fast": "-3", "symbol": "NOPE"}).content.decode()
    assert "Fast average" in text
    assert "commission_bp" not in text
    assert rule.versions.count() == 1
    assert page.get(address).status_code == 405
    client.force_login(bob)
    assert client.post(address, values).status_code == 404
