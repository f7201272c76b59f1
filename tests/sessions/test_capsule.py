"""The run capsule: what it holds, that it is intact, who may read it, what two of them differ in."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from django.conf import settings as project
from django.core.management import call_command
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.tokens import token_create
from apps.sessions import capsules
from apps.sessions.capsules import SETTINGS, capsule_of, capsule_path, capsule_record, capsule_take, code, source_hash
from apps.sessions.engine.capsule import ABSENT, differences, digest, leaves
from apps.sessions.models import Session
from apps.ui.engine.refusal import Refusal
from tests.sessions.live_fixtures import make_session

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
BASE = {"code": {"commit": "a"}, "data": [{"name": "x", "rows": 1}], "libraries": {"torch": "2"}, "seeds": [1, 2]}


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4))
def test_a_capsule_read_back_is_the_same(document):
    again = json.loads(json.dumps(document))
    assert digest(again) == digest(document)
    assert differences(document, again) == []


@pytest.mark.parametrize(
    ("change", "name", "values"),
    [
        ({"libraries": {"torch": "3"}}, "libraries.torch", ("2", "3")),
        ({"data": [{"name": "x", "rows": 2}]}, "data.x.rows", (1, 2)),
        ({"seeds": [1]}, "seeds", ([1, 2], [1])),
        ({"device": {"type": "cuda"}}, "device.type", (ABSENT, "cuda")),
    ],
)
def test_a_difference_names_its_leaf_and_both_values(change, name, values):
    (found,) = differences(BASE, {**BASE, **change})
    assert (found.name, (found.original, found.again)) == (name, values)


def test_what_cannot_matter_is_no_difference():
    one = {**BASE, "session": 1, "ledger": {"count": 1}, "environment": {"variables": {"OMP_NUM_THREADS": "1"}}}
    other = {**BASE, "session": 2, "ledger": {"count": 9}, "environment": {"variables": {"OMP_NUM_THREADS": "4"}}}
    assert differences(one, other) == []


def test_leaves_are_found_at_every_depth():
    assert dict(leaves({"a": {"b": [{"name": "n", "c": 1}]}, "d": [], "e": {}})) == {
        "a.b.n.name": "n",
        "a.b.n.c": 1,
        "d": [],
        "e": {},
    }


def test_one_byte_of_the_source_is_another_version(tmp_path):
    for part in capsules.SOURCES:
        (tmp_path / part).mkdir()
    file = tmp_path / "apps" / "a.py"
    file.write_text("seed = 1\n")
    first = source_hash(tmp_path)
    file.write_text("seed = 2\n")
    assert source_hash(tmp_path) != first
    file.write_text("seed = 1\n")
    assert source_hash(tmp_path) == first


@pytest.mark.parametrize(
    ("described", "commit", "dirty"),
    [("ab" * 20, "ab" * 20, False), ("ab" * 20 + "-dirty", "ab" * 20, True), ("", "", None)],
)
def test_the_code_is_a_commit_and_whether_it_was_changed(monkeypatch, described, commit, dirty):
    monkeypatch.setattr(capsules, "_git", lambda *arguments: described)
    code.cache_clear()
    try:
        found = code()
    finally:
        code.cache_clear()
    assert (found["commit"], found["dirty"], found["version"]) == (commit, dirty, project.VERSION)
    assert len(found["source_sha256"]) == 64


def test_every_setting_of_a_capsule_exists():
    assert [name for name in SETTINGS if not hasattr(project, name)] == []


@pytest.mark.django_db
class TestKept:
    def test_it_says_what_the_result_depends_on(self, alice):
        session = make_session(alice, status="completed")
        document = capsule_take(session)
        assert document["config"] == session.config
        assert document["data"][0]["content_hash"] == session.dataset.content_hash
        assert document["seeds"] == [session.config["seed"]]
        assert document["libraries"]["torch"]
        assert len(document["libraries"]["lock_sha256"]) == 64
        assert document["device"]["processor"]
        assert document["device"]["threads"] >= 1
        assert document["environment"]["settings"]["QP_BACKTEST_CAPITAL"] == project.QP_BACKTEST_CAPITAL

    def test_a_rule_depends_on_no_torch(self, alice):
        session = make_session(alice, kind="backtest", type_key="rule", name="rule")
        assert "threads" not in capsule_take(session)["device"]

    def test_it_is_written_with_its_hash_and_read_again(self, alice):
        session = make_session(alice)
        written = capsule_record(session)
        session.refresh_from_db()
        assert digest(written) == session.capsule_hash
        assert capsule_of(session) == written
        assert session.environment["device"] == "cpu"

    def test_secrets_are_hidden(self, alice, monkeypatch):
        monkeypatch.setenv("NUMBA_CPU_NAME", "password=hunter22")  # pragma: allowlist secret
        session = make_session(alice, params={"broker_token": "abcdef123"})
        capsule_record(session)
        text = capsule_path(session.pk).read_text()
        assert "hunter22" not in text
        assert "abcdef123" not in text  # pragma: allowlist secret

    def test_one_that_was_changed_is_refused(self, alice):
        session = make_session(alice)
        capsule_record(session)
        path = capsule_path(session.pk)
        path.write_text(path.read_text().replace('"cpu"', '"gpu"'))
        with pytest.raises(Refusal) as caught:
            capsule_of(session)
        assert (caught.value.code, caught.value.status) == ("capsule_damaged", 409)
        path.unlink()
        with pytest.raises(Refusal) as caught:
            capsule_of(session)
        assert (caught.value.code, caught.value.status) == ("no_capsule", 404)

    def test_an_attempt_that_went_on_elsewhere_leaves_the_first_on_record(self, alice, monkeypatch):
        session = make_session(alice)
        capsule_record(session)
        Session.objects.filter(pk=session.pk).update(attempt=2)
        session.refresh_from_db()
        assert capsule_record(session)["earlier"] == []
        monkeypatch.setattr(capsules, "libraries", lambda: {"torch": "9"})
        Session.objects.filter(pk=session.pk).update(attempt=3)
        session.refresh_from_db()
        (earlier,) = capsule_record(session)["earlier"]
        assert earlier["attempt"] == 2
        assert {"name": "libraries.torch", "original": capsules._version("torch"), "again": "9"} in earlier[
            "differences"
        ]

    def test_a_stale_attempt_does_not_overwrite_the_hash(self, alice):
        session = make_session(alice)
        Session.objects.filter(pk=session.pk).update(attempt=2)
        capsule_record(session)
        session.refresh_from_db()
        assert session.capsule_hash == ""


@pytest.mark.django_db
class TestShown:
    @pytest.fixture
    def session(self, alice):
        session = make_session(alice, status="completed")
        capsule_record(session)
        session.refresh_from_db()
        return session

    @pytest.mark.parametrize(("language", "words"), [("en", "Run capsule"), ("zh-hans", "运行胶囊")])
    def test_the_page_shows_it_folded(self, client, alice, session, language, words):
        client.force_login(alice)
        client.cookies["django_language"] = language
        text = client.get(f"/sessions/{session.pk}/").content.decode()
        assert words in text
        assert f"/sessions/{session.pk}/capsule.json" in text
        assert "source_sha256" in text

    def test_the_page_says_when_it_was_changed(self, client, alice, session):
        capsule_path(session.pk).write_text("{}")
        client.force_login(alice)
        assert "its hash differs" in client.get(f"/sessions/{session.pk}/").content.decode()

    def test_it_can_be_downloaded_by_those_who_may_see_the_session(self, client, alice, bob, session):
        client.force_login(alice)
        answer = client.get(f"/sessions/{session.pk}/capsule.json")
        assert "attachment" in answer["Content-Disposition"]
        assert digest(answer.json()) == session.capsule_hash
        client.force_login(bob)
        assert client.get(f"/sessions/{session.pk}/capsule.json").status_code == 404

    def test_the_api_gives_it(self, alice, bob, session):
        def ask(user):
            _row, plain = token_create(user, "x", scopes=["sessions:read"])
            return Client().get(f"/api/sessions/{session.pk}/capsule", headers={"authorization": f"Bearer {plain}"})

        answer = ask(alice).json()
        assert digest(answer["capsule"]) == answer["sha256"] == session.capsule_hash
        assert ask(bob).status_code == 404

    def test_the_command_prints_it(self, session, alice, capsys):
        call_command("sessions", "capsule", str(session.pk), "--user", "alice")
        assert digest(json.loads(capsys.readouterr().out)) == session.capsule_hash


def test_the_processor_has_a_name(monkeypatch):
    capsules.processor.cache_clear()
    assert capsules.processor()
    monkeypatch.setattr(capsules, "sys", SimpleNamespace(platform="other"))
    capsules.processor.cache_clear()
    try:
        assert capsules.processor()
    finally:
        capsules.processor.cache_clear()
