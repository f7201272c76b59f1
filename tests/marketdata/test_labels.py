"""Tags and licence notes: changed without a new version, found again by URL, API and command."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from apps.accounts.models import AuditEntry
from apps.marketdata.engine.assemble import Imported
from apps.marketdata.models import Dataset
from apps.marketdata.selectors import dataset_list, tags_in_use
from apps.marketdata.services import dataset_import, dataset_label
from apps.ui.engine.refusal import Refusal
from tests.marketdata.conftest import bars

pytestmark = pytest.mark.django_db


def made(name, owner, **more):
    panel = bars([100 + n % 3 for n in range(5)], symbol=name.upper())
    return dataset_import(name=name, imported=Imported(panel), source="test", owner=owner, **more)


@pytest.fixture
def hers(var_dir, alice):
    return made("hers", alice, tags=["daily"])


def run(*arguments) -> str:
    out = StringIO()
    call_command("datasets", *arguments, stdout=out)
    return out.getvalue()


def test_labels_change_and_the_content_stays(hers, alice):
    before = hers.content_hash
    dataset_label(hers, actor=alice, tags=[" A-Shares ", "daily", "a-shares"], licence="  for   research only ")
    hers.refresh_from_db()
    assert (hers.tag_list, hers.licence) == (["a-shares", "daily"], "for research only")
    assert (hers.content_hash, hers.version) == (before, 1)
    assert AuditEntry.objects.get(action="dataset.label").details["licence"] == "for research only"
    dataset_label(hers, actor=alice, tags=[])
    assert (hers.tag_list, hers.licence) == ([], "for research only")


@pytest.mark.parametrize(
    ("labels", "code"),
    [({"tags": ["x" * 33]}, "invalid_tags"), ({"tags": [str(n) for n in range(9)]}, "invalid_tags"),
     ({"tags": ["a,b"]}, "invalid_tags"), ({"tags": [f"{n}{'x' * 31}" for n in range(8)]}, "invalid_tags"),
     ({"licence": "x" * 121}, "text_too_long")],
)  # fmt: skip
def test_what_does_not_fit_is_refused_and_nothing_changes(hers, alice, labels, code):
    with pytest.raises(Refusal) as caught:
        dataset_label(hers, actor=alice, **labels)
    assert caught.value.code == code
    hers.refresh_from_db()
    assert hers.tag_list == ["daily"]
    with pytest.raises(Refusal) as caught:
        made("other", alice, **labels)
    assert caught.value.code == code


def test_a_tag_finds_whole_words_only(hers, alice, bob):
    made("other", alice, tags=["daily-adjusted"])
    assert [dataset.name for dataset in dataset_list(alice, tag="Daily")] == ["hers"]
    assert not dataset_list(bob, tag="daily")
    assert (tags_in_use(alice), tags_in_use(bob)) == (["daily", "daily-adjusted"], [])


def test_the_page_filters_by_the_url_and_changes_labels(client, hers, alice):
    made("other", alice)
    client.force_login(alice)
    text = client.get("/data/", {"tag": "daily"}).content.decode()
    assert f'href="/data/{hers.pk}/"' in text
    assert ">other<" not in text
    page = f"/data/{hers.pk}/"
    assert f'action="{page}labels/"' in client.get(page).content.decode()
    assert client.post(f"{page}labels/", {"tags": "us，daily", "licence": "own"}).status_code == 302
    hers.refresh_from_db()
    assert (hers.tag_list, hers.licence) == (["us", "daily"], "own")
    answer = client.post(f"{page}labels/", {"tags": "x" * 40, "licence": "own"}, follow=True)
    assert "up to 32 characters" in answer.content.decode()


def test_a_stranger_and_a_reader_change_nothing(client, hers, bob, var_dir):
    everybodys = made("everybodys", None)
    client.force_login(bob)
    for dataset in (hers, everybodys):
        assert client.post(f"/data/{dataset.pk}/labels/", {"tags": "x"}).status_code == 404
        answer = client.put(f"/api/datasets/{dataset.pk}/labels", {"tags": ["x"]}, content_type="application/json")
        assert answer.status_code == 404
    assert "labels/" not in client.get(f"/data/{everybodys.pk}/").content.decode()
    with pytest.raises(CommandError, match="There is no dataset everybodys"):
        run("label", "everybodys", "--tags", "x", "--user", "bob")


def test_the_api_changes_what_is_given(client, hers, alice):
    client.force_login(alice)
    path = f"/api/datasets/{hers.pk}/labels"
    document = client.put(path, {"licence": "free"}, content_type="application/json").json()
    assert (document["tags"], document["licence"]) == (["daily"], "free")
    assert client.put(path, {"tags": ["x" * 40]}, content_type="application/json").json()["code"] == "invalid_tags"
    assert client.get("/api/datasets?tag=daily").json()["total"] == 1
    assert client.get("/api/datasets?tag=none").json()["total"] == 0


def test_the_command_lists_and_labels(hers):
    assert json.loads(run("label", "hers", "--tags", "a,b", "--json"))["datasets"][0]["tags"] == ["a", "b"]
    assert json.loads(run("label", "hers", "--licence", "mine", "--json"))["datasets"][0]["tags"] == ["a", "b"]
    assert "hers@1" in run("--tag", "b")
    assert "a, b; mine" in run()
    assert run("--tag", "c") == ""
    with pytest.raises(CommandError, match="needs the name"):
        run("label")
    assert Dataset.objects.count() == 1
