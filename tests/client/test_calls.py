"""Calls apart from a server: addresses, documents, secrets, errors, pauses."""

from __future__ import annotations

import inspect
import json
import pickle
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from quant_platform.client import (
    BackOff,
    Client,
    Invalid,
    NotFound,
    Retry,
    ServerFault,
    UnexpectedAnswer,
    Unreachable,
    rooms,
)
from quant_platform.client import endpoints as ask
from quant_platform.client import models as m
from quant_platform.client.calls import Answer, pairs, part
from quant_platform.client.documents import read
from quant_platform.client.encoding import packed, unpacked
from quant_platform.client.errors import problem_of, seconds_of
from quant_platform.client.secret import Keys, Secret
from quant_platform.client.tables import batches, feature_calls
from tests.conftest import ROOT

TOKEN = "qp_abcdefghijklmnop"  # pragma: allowlist secret


def test_the_package_needs_nothing_of_the_platform_and_may_be_copied(tmp_path):
    shutil.copytree(ROOT / "quant_platform/client", tmp_path / "quant_client")
    code = (
        "import sys\nfor name in ('django', 'apps', 'quant_platform', 'pyarrow', 'pandas', 'numpy', 'websockets'):\n"
        "    sys.modules[name] = None\nimport quant_client\n"
        "print(quant_client.Client('http://localhost:1', 'qp_x'))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "Client('http://localhost:1')"


def test_both_clients_know_the_same_calls():
    for name in ("System", "MarketRoom", "Strategies", "Sessions", "Data"):
        waited, awaited = getattr(rooms, name), getattr(rooms, f"Async{name}")
        assert {one for one in dir(waited) if one[0] != "_"} == {one for one in dir(awaited) if one[0] != "_"}
        calls = [one for one in vars(awaited) if one[0] != "_" and not one.startswith("follow")]  # those are iterated
        assert all(inspect.iscoroutinefunction(getattr(awaited, one)) for one in calls)


def test_a_call_keeps_the_words_and_the_arguments_of_its_question():
    assert "checkpoint" in rooms.Sessions.pause.__doc__
    assert list(inspect.signature(rooms.Sessions.metrics).parameters)[:2] == ["session_id", "names"]


@pytest.mark.parametrize(
    "url", ["", "quant.example", "ftp://x", "http://", "http://a:b@x", "http://x/?a=1", "http://[::1"]
)
def test_an_address_that_is_none_is_refused_at_once(url):
    with pytest.raises(ValueError, match="address"):
        Client(url)


def test_a_token_in_the_clear_is_warned_of():
    with pytest.warns(UserWarning, match="in the clear"):
        Client("http://quant.example", TOKEN)


def test_a_secret_does_not_show_itself():
    secret = Secret(TOKEN)
    assert TOKEN not in f"{secret} {secret!r} {Keys(secret)} {[secret]}"
    assert secret.reveal() == TOKEN
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(ValueError, match="printable") as error:
        Secret("geheim\n")
    assert "geheim" not in str(error.value)


def test_a_query_leaves_out_what_is_not_given_and_repeats_lists():
    assert pairs({"a": None, "b": "", "c": 0, "d": True, "e": ["x", "y"], "f": 1.5}) == (
        ("c", "0"), ("d", "true"), ("e", "x"), ("e", "y"), ("f", "1.5"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("symbol", "path"), [("BTC/USDT", "BTC%2FUSDT"), ("贵州茅台", None), ("A?b=1#c", "A%3Fb%3D1%23c")]
)
def test_a_symbol_is_one_part_of_the_path(symbol, path):
    assert "/" not in part(symbol)
    assert path in (None, part(symbol))
    assert ask.bars(symbol).path.isascii()


@pytest.mark.parametrize("symbol", ["", ".", ".."])
def test_a_symbol_that_would_leave_the_path_is_refused(symbol):
    with pytest.raises(ValueError, match="no symbol"):
        ask.bars(symbol)


def test_only_what_changes_nothing_may_be_repeated():
    starts = [ask.strategy_train(1), ask.strategy_backtest(1), ask.strategy_create("a", "rule"), ask.session_retry(1)]
    assert not any(call.may_repeat for call in starts)
    assert all(call.may_repeat for call in (ask.health(), ask.strategy_validate("rule"), ask.ws_ticket()))


def test_long_lists_of_symbols_are_split_in_their_order():
    names = [f"S{n}" for n in range(120)]
    assert [len(some) for some in batches([*names, "S0"])] == [50, 50, 20]
    assert [name for some in batches(names) for name in some] == names
    for wrong in ([], [""], ["A,B"]):
        with pytest.raises(ValueError, match="symbol"):
            batches(wrong)


def test_expressions_that_compare_symbols_are_not_split():
    names = [f"S{n}" for n in range(120)]
    assert len(feature_calls("bars", "$close", "", names, "", "", False)) == 3
    assert len(feature_calls("bars", ["$close", "CSRank( $close )"], "", names, "", "", False)) == 1
    assert len(feature_calls("bars", "$close", "", (), "", "", False)) == 1


@dataclass(frozen=True)
class Inner:
    at: datetime
    share: float | None = None


@dataclass(frozen=True)
class Outer:
    id: int
    inner: tuple[Inner, ...]
    word: str = "none"
    raw: m.Document = field(default_factory=dict)


def test_a_document_becomes_its_class_and_keeps_what_is_new():
    document = {"id": 3, "inner": [{"at": "2026-01-02T03:04:05Z", "share": 1}], "new": True}
    made = read(Outer, document)
    assert made.inner == (Inner(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), 1.0),)
    assert made.raw["new"] is True


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ([], "an object"), ({"inner": []}, "no field id"), ({"id": "3", "inner": []}, "Outer.id"),
        ({"id": True, "inner": []}, "Outer.id"), ({"id": 1, "inner": {}}, "a list"), ({"id": 1, "inner": [3]}, "an object"),
        ({"id": 1, "inner": [{"at": "soon"}]}, "Inner.at"), ({"id": 1, "inner": [{"at": None}]}, "Inner.at"),
    ],
)  # fmt: skip
def test_a_document_of_another_form_names_what_is_wrong(document, named):
    with pytest.raises(UnexpectedAnswer, match=named):
        read(Outer, document)


@pytest.mark.parametrize(
    "metrics", [{}, {"metrics": []}, {"metrics": {"a": 3}, "session_id": 1, "total": 1, "last_seq": 1}]
)
def test_curves_of_another_form_are_an_unexpected_answer(metrics):
    with pytest.raises(UnexpectedAnswer):
        ask.session_metrics(1).read(Answer(200, {}, json.dumps(metrics).encode()))


@pytest.mark.parametrize("installed", [True, False], ids=["pydantic", "alone"])
@pytest.mark.parametrize(
    "text", ['{"a": [1, 1.0, -0.0, 1e400, NaN, null, "\u6d66"]}', '["\\ud800"]', "\ufeff{}", "12345678901234567890123"]
)
def test_json_says_the_same_with_and_without_pydantic(monkeypatch, installed, text):
    if not installed:
        monkeypatch.setitem(sys.modules, "pydantic_core", None)
    assert repr(Answer(200, {}, text.encode()).json()) == repr(json.loads(text.encode()))


def test_what_is_no_json_is_shown_by_its_beginning():
    with pytest.raises(UnexpectedAnswer, match="<html>"):
        ask.health().read(Answer(200, {}, b"<html>hello"))


def test_a_problem_document_becomes_its_error():
    body = {
        "status": 422,
        "code": "invalid_config",
        "detail": "No.",
        "errors": [{"field": "lot", "message": "Too few."}, 3],
    }
    found = problem_of(422, {"content-type": "application/problem+json"}, json.dumps(body).encode())
    assert isinstance(found, Invalid)
    assert (found.code, found.errors[0].field) == ("invalid_config", "lot")
    assert "Too few." in str(found)


@pytest.mark.parametrize("content", [b"<html>", b"[]", b'"x"', b""])
def test_a_refusal_without_a_document_has_its_status(content):
    assert isinstance(problem_of(404, {"content-type": "application/json"}, content), NotFound)
    assert isinstance(problem_of(500, {}, content), ServerFault)


def test_retry_after_is_seconds_or_a_date():
    later = (datetime.now(UTC) + timedelta(seconds=90)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert seconds_of("17") == 17
    assert 80 < seconds_of(later) <= 90
    assert seconds_of("Thu, 01 Jan 1970 00:00:00 GMT") == 0
    assert seconds_of("soon") is None


def test_pauses_double_and_obey_the_server():
    retry, lost = Retry(), Unreachable("x")
    assert [retry.wait(n, lost) for n in range(4)] == [0.3, 0.6, 1.2, None]
    limited = problem_of(429, {"retry-after": "5"}, b"")
    assert retry.wait(0, limited) == 5
    assert retry.wait(0, problem_of(429, {"retry-after": "3600"}, b"")) is None
    assert retry.wait(0, problem_of(503, {}, b"")) == 0.3
    assert retry.wait(0, problem_of(500, {}, b"")) is None
    assert retry.wait(0, problem_of(404, {}, b"")) is None


def test_a_live_connection_backs_off_from_one_to_thirty_seconds():
    back = BackOff()
    assert [back.wait(n, 1.0) for n in (1, 2, 3, 6, 5000)] == [1, 2, 4, 30, 30]
    assert back.wait(3, 0.0) == 2


def test_bodies_are_packed_when_it_is_worth_it():
    assert packed(b"short") == (b"short", "")
    data, coding = packed(b"long" * 1000)
    assert coding in ("zstd", "gzip")
    assert unpacked(data, coding) == b"long" * 1000
    for broken, name in ((data[:-4], coding), (b"x", "gzip"), (b"x", "br")):
        with pytest.raises(ValueError, match=name):
            unpacked(broken, name)
