"""Both clients against a real server."""

from __future__ import annotations

import asyncio
import json
import logging
import threading

import pyarrow as pa
import pytest

from quant_platform.client import (
    AsyncClient,
    Client,
    Conflict,
    DiskCache,
    Invalid,
    NotAllowed,
    NotAuthenticated,
    NotCached,
    NotFound,
    Retry,
    Unreachable,
)
from tests.installation import PASSWORD, free_port

from .conftest import SYMBOLS

MAKE_TOKEN = """
from apps.accounts.models import User
from apps.accounts.tokens import token_create
print(token_create(User.objects.get(username="alice"), "{name}", scopes={scopes!r})[1])
"""
REVOKE = """
from django.utils import timezone
from apps.accounts.models import ApiToken
assert ApiToken.objects.filter(name="stolen").update(revoked_at=timezone.now()) == 1
"""
MAKE_SESSION = """
from apps.accounts.models import User
from tests.sessions.live_fixtures import make_session, points, say
session = make_session(User.objects.get(username="alice"), status="{status}", name="{name}")
for step in range(1, 6):
    say(session, points(step, reward=float(step)))
print(session.pk)
"""


@pytest.fixture(scope="session")
def run(shell):
    """A running session of alice with five points in its log."""
    return int(shell(MAKE_SESSION.format(status="running", name="Client")))


def test_the_site_tells_how_it_is_and_who_we_are(client):
    assert client.system.health().version
    ready = client.system.ready()
    assert {part.name for part in ready.checks} >= {"database"}
    assert ready.ok == (ready.status == "ready")
    assert client.system.me().username == "alice"
    assert client.system.me().scopes == ("*",)


def test_markets_are_told_one_by_one_or_the_usual_ones(client):
    assert [market.calendar for market in client.market.status("XSHG")] == ["XSHG"]
    assert len(client.market.status()) > 1


def test_a_strategy_is_checked_made_listed_and_its_errors_name_fields(client):
    kinds = {kind.key: kind for kind in client.strategies.types()}
    assert kinds["rule"].schema["properties"]
    config = {"dataset": "bars", "symbol": "S001"}
    checked = client.strategies.validate("rule", config)
    assert checked.valid, checked.errors
    assert checked.config["symbol"] == "S001"
    assert set(checked.config) > set(config)
    wrong = client.strategies.validate(
        "rule",
        {
            "dataset": "bars",
            "symbol": "NOPE",
        },
    )
    assert not wrong.valid
    assert wrong.errors[0].field == "symbol"
    assert client.strategies.list(search="By client").total == 0, "a check saves nothing"

    made = client.strategies.create("By client", "rule", config, description="From afar")
    assert client.strategies.get(made.id).config_hash == checked.config_hash
    assert [row.id for row in client.strategies.list(search="By client").items] == [made.id]
    with pytest.raises(Conflict) as taken:
        client.strategies.create("By client", "rule", config)
    assert taken.value.code == "name_taken"
    with pytest.raises(Invalid) as error:
        client.strategies.create("Wrong", "rule", {"dataset": "nowhere"})
    assert "dataset" in {item.field for item in error.value.errors}


def test_a_run_is_queued_watched_and_cancelled(client):
    made = client.strategies.create("To be run", "rule", {"dataset": "bars", "symbol": "S002"})
    queued = client.strategies.backtest(made.id, "2024-01-02", "2024-01-08", capital=50_000, priority=3)
    assert (queued.status, queued.kind, queued.strategy_id) == ("queued", "backtest", made.id)
    assert queued.params["capital"] == 50_000
    assert [row.id for row in client.sessions.list(strategy=made.id).items] == [queued.id]
    assert "cancel" in client.sessions.status(queued.id).commands
    assert client.sessions.pause(queued.id).status == "paused"
    assert client.sessions.resume(queued.id, time_limit=600).status == "queued"
    assert client.sessions.cancel(queued.id).is_final
    with pytest.raises(Conflict) as error:
        client.sessions.pause(queued.id)
    assert error.value.code == "invalid_transition"
    with pytest.raises(NotFound) as absent:
        client.sessions.report(queued.id)
    assert absent.value.code == "no_report"
    assert client.sessions.retry(queued.id).status == "queued"
    client.sessions.cancel(queued.id)


def test_a_session_shows_its_curves_and_log(client, run):
    found = client.sessions.metrics(run, ["reward"], limit=3)
    assert [point.value for point in found.metrics["reward"]] == [3.0, 4.0, 5.0]
    assert (found.total, found.last_seq) == (5, 5)
    assert [event["seq"] for event in client.sessions.events(run, after=3)["events"]] == [4, 5]
    assert client.sessions.get(run).config


def test_what_is_not_ours_is_not_there(server, run):
    with Client(server.url, server.tokens["bob"]) as stranger:
        for call in (stranger.sessions.get, stranger.sessions.status, stranger.sessions.pause):
            with pytest.raises(NotFound):
                call(run)


def test_the_catalogue_and_the_bars_of_one_symbol(client):
    (found,) = client.data.datasets(search="bars").datasets
    assert (found.symbols, found.reference) == (70, "bars@1")
    assert len(client.data.dataset(found.id).raw["instruments"]) == 70
    bars = client.data.bars("S001", "2024-01-03", dataset="bars", fields=["close"])
    assert bars.columns == {"time": ["2024-01-03", "2024-01-04", "2024-01-05", "2024-01-08"],
                            "close": [11.75, 12.0, 12.25, 12.5]}  # fmt: skip


def test_seventy_symbols_come_as_one_table_in_their_order(client, server, relay, token):
    with Client(relay.url, token) as counted:
        table = counted.data.historical(SYMBOLS[::-1], dataset="bars", fields="close,volume")
    assert relay.asked("/api/data/historical") == 2
    assert table.column_names == ["symbol", "time", "close", "volume"]
    assert table.num_rows == 350
    assert table["symbol"].unique().to_pylist() == SYMBOLS[::-1]
    assert table.schema.metadata[b"dataset"] == b"bars@1"
    assert table.schema.metadata[b"kept_at"] == b""
    assert table.to_pandas().iloc[0]["close"] == client.data.bars("S069", dataset="bars").columns["close"][0]


def test_one_wrong_symbol_of_many_is_named_and_nothing_comes(client):
    with pytest.raises(NotFound) as error:
        client.data.historical([*SYMBOLS, "NOPE"], dataset="bars")
    assert (error.value.code, error.value.params["symbol"]) == ("unknown_symbol", "NOPE")


def test_features_come_as_a_table(client):
    table = client.data.features("bars", ["$close", "up:=$close / Ref($close, 1) - 1"], symbols=SYMBOLS)
    assert table.column_names[-2:] == ["$close", "up"]
    assert len(table["symbol"].unique()) == 70
    ranked = client.data.features("bars", "rank:=CSRank($close)", symbols=SYMBOLS)
    assert max(ranked["rank"].to_pylist()) == 1.0
    assert client.data.feature_analysis("bars", "$close", horizons="1")["dataset"] == "bars@1"
    with pytest.raises(Invalid):
        client.data.features("bars", "Reff($close, 1)")


async def test_the_same_awaited(server, token):
    async with AsyncClient(server.url, token) as client:
        health, me = await asyncio.gather(client.system.health(), client.system.me())
        assert (health.version, me.username) != ("", "")
        table = await client.data.historical(SYMBOLS, dataset="bars", prices="forward")
        assert table.num_rows == 350
        features = await client.data.features("bars", "$close", symbols=SYMBOLS[:60])
        assert len(features["symbol"].unique()) == 60
        with pytest.raises(NotFound):
            await client.data.historical([*SYMBOLS, "NOPE"], dataset="bars")
        made = await client.strategies.create("Awaited", "rule", {"dataset": "bars", "symbol": "S003"})
        run = await client.strategies.train(made.id) if made.type != "rule" else None
        assert run is None
        assert (await client.sessions.list()).pages >= 1
        assert await client.market.status("XNYS")


# Who we are


def test_a_jwt_is_got_renewed_and_ended(server):
    client = Client.log_in(server.url, "alice", PASSWORD, scopes=["account:read", "data:read"])
    with client:
        assert client.system.me().scopes == ("account:read", "data:read")
        first = client._wire.keys
        first.ends_at = 0.0
        assert client.system.me().username == "alice"
        assert client._wire.keys is not first, "an old JWT is renewed before it is used"
        client._wire.keys.access = first.access.__class__("eyJ-not-a-token")
        threads = [threading.Thread(target=client.system.me) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client.system.me().username == "alice", "a refused JWT is renewed once, for all threads"
        with pytest.raises(NotAllowed) as error:
            client.strategies.list()
        assert error.value.code == "scope_missing"
        keys = client._wire.keys
        client.log_out()
        with pytest.raises(NotAuthenticated):
            client.system.me()
        client._wire.keys = keys
        with pytest.raises(NotAuthenticated):
            client.system.me()


async def test_a_jwt_is_renewed_once_for_all_that_wait(server):
    client = await AsyncClient.log_in(server.url, "alice", PASSWORD)
    async with client:
        client._wire.keys.ends_at = 0.0
        answers = await asyncio.gather(*(client.system.me() for _ in range(6)))
        assert {answer.username for answer in answers} == {"alice"}
        await client.log_out()


def test_a_wrong_password_says_nothing_of_itself(server):
    with pytest.raises(NotAuthenticated) as error:
        Client.log_in(server.url, "alice", "open sesame 99")
    assert error.value.code == "wrong_credentials"
    assert "sesame" not in str(error.value)


def test_a_revoked_token_is_refused_and_never_shown(server, shell, caplog):
    plain = shell(MAKE_TOKEN.format(name="stolen", scopes=["*"])).strip()
    with caplog.at_level(logging.DEBUG), Client(server.url, plain, retry=Retry(base=0.0)) as client:
        assert client.system.me().username == "alice"
        shell(REVOKE)
        with pytest.raises(NotAuthenticated) as error:
            client.system.me()
    assert error.value.code == "authentication_required"
    assert plain not in f"{client!r} {error.value!r} {vars(client)} {client._wire!r} {caplog.text}"


def test_without_a_token_only_the_public_answers(server):
    with Client(server.url) as client:
        assert client.system.health().version
        with pytest.raises(NotAuthenticated):
            client.sessions.list()


# On the disk


def test_bars_are_kept_asked_about_and_read_offline(server, relay, token, tmp_path):
    cache = DiskCache(tmp_path / "kept")
    with Client(relay.url, token, cache=cache, retry=Retry(base=0.0)) as client:
        first = client.data.historical(["S001"], dataset="bars")
        again = client.data.historical(["S001"], dataset="bars")
        assert again.equals(first)
        assert again.schema.metadata[b"kept_at"]
        assert relay.seen[-1][2]["if-none-match"]
        size = cache.size()
        pinned = client.data.historical(["S001"], dataset="bars@1")
        asked = len(relay.seen)
        assert client.data.historical(["S001"], dataset="bars@1").equals(pinned)
        assert len(relay.seen) == asked, "what names its version cannot change and is not asked for again"
        assert cache.size() >= size
        relay.script = ["hang up"] * 4
        assert client.data.historical(["S001"], dataset="bars").equals(first), "the server is gone"
    with Client("http://127.0.0.1:1", token, cache=cache, offline=True) as elsewhere, pytest.raises(NotCached):
        elsewhere.data.historical(["S001"], dataset="bars")
    with Client(relay.url, token, cache=cache, offline=True) as offline:
        asked = len(relay.seen)
        assert offline.data.historical(["S001"], dataset="bars").equals(first)
        with pytest.raises(NotCached):
            offline.data.historical(["S002"], dataset="bars")
        with pytest.raises(NotCached):
            offline.sessions.list()
        assert len(relay.seen) == asked


def test_a_damaged_copy_is_fetched_again(server, token, tmp_path):
    cache = DiskCache(tmp_path / "kept")
    with Client(server.url, token, cache=cache) as client:
        first = client.data.historical(["S001"], dataset="bars@1")
        for path in cache.folder.glob("objects/*"):
            path.write_bytes(path.read_bytes()[:-7] + b"garbage")
        assert client.data.historical(["S001"], dataset="bars@1").equals(first)
        assert client.data.bars("S001", dataset="bars@1") == client.data.bars("S001", dataset="bars@1")


async def test_the_awaited_client_reads_the_same_disk(server, token, tmp_path):
    cache = DiskCache(tmp_path / "kept")
    async with AsyncClient(server.url, token, cache=cache) as client:
        first = await client.data.features("bars", "$close", symbols=["S001"])
    async with AsyncClient(server.url, token, cache=cache, offline=True) as client:
        assert (await client.data.features("bars", "$close", symbols=["S001"])).equals(first)


# Restart


def test_a_restart_between_and_during_calls_is_survived(server, token):
    waits = []
    with Client(server.url, token) as client:
        assert client.system.me().username == "alice"
        server.restart()
        assert client.system.me().username == "alice", "the kept connection was dead"
        server.stop()

        def restart(seconds):
            waits.append(seconds)
            if len(waits) == 2:
                server.start()

        client._sleep = restart
        assert client.system.me().username == "alice"
        assert waits == [0.3, 0.6]
        server.stop()
        waits.extend([0, 0])
        try:
            with pytest.raises(Unreachable):
                client.strategies.create("Never sent twice", "rule", {"dataset": "bars", "symbol": "S001"})
            assert len(waits) == 4, "what starts something is not tried again"
        finally:
            server.start()


def test_nobody_there_is_said_with_the_address():
    url = f"http://127.0.0.1:{free_port()}"
    with Client(url, "qp_x", retry=Retry(base=0.0)) as client, pytest.raises(Unreachable, match=url):
        client.system.health()


def test_tables_are_ordinary_arrow(client):
    table = client.data.historical("S001", dataset="bars")
    assert isinstance(table, pa.Table)
    assert json.loads(json.dumps(table["close"].to_pylist()))
