"""Benchmarks: rows with goals, peers in their own process, and a clear word where one is missing."""

from __future__ import annotations

import json
import sys
import textwrap

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

import quant_platform.bench as bench
from quant_platform.bench import BENCHMARKS, Row, benchmark
from quant_platform.bench import peers as peers_module
from quant_platform.bench.measure import cpu_seconds, interleaved, wall_seconds
from quant_platform.bench.peers import Peer, PeerMissing, peer_python

ROWS = [
    Row("work", 0.001, 0.005, ours_s=0.001, peer="slowpoke", peer_s=0.1),
    Row("rate", 10, 20, "steps/s", more_is_better=True),
]


@pytest.fixture
def two_rows(monkeypatch):
    monkeypatch.setitem(BENCHMARKS, "two", "tests.platform.test_bench:rows")


def rows():
    return ROWS


def good_rows():
    return ROWS[:1]


def test_a_goal_is_a_ceiling_or_a_floor():
    assert ROWS[0].met
    assert not ROWS[1].met
    assert ROWS[0].ratio == pytest.approx(100)
    assert ROWS[1].ratio is None


def test_the_document_has_the_agreed_keys(two_rows, capsys):
    with pytest.raises(SystemExit):
        call_command("bench", "two", "--json")
    found = json.loads(capsys.readouterr().out)
    assert (found["name"], found["met"]) == ("two", False)
    assert {"work", "ours_s", "peer", "peer_s", "ratio", "goal", "met"} <= set(found["rows"][0])


def test_people_read_a_line_a_row(monkeypatch, capsys):
    monkeypatch.setitem(BENCHMARKS, "good", "tests.platform.test_bench:good_rows")
    call_command("bench", "good")
    assert "met  work: 0.001 CPU s (goal ≤ 0.005); slowpoke 0.1 s, ×100.0" in capsys.readouterr().out


def test_all_runs_every_benchmark(monkeypatch, capsys):
    monkeypatch.setattr("quant_platform.management.commands.bench.BENCHMARKS", {"good": "", "more": ""})
    monkeypatch.setattr("quant_platform.management.commands.bench.benchmark", lambda name: good_rows)
    call_command("bench", "all", "--json")
    found = json.loads(capsys.readouterr().out)
    assert [b["name"] for b in found["benchmarks"]] == ["good", "more"]
    assert found["met"] is True


def test_an_unknown_benchmark_names_those_there_are():
    with pytest.raises(CommandError, match="backtest, rl_env, push, start"):
        call_command("bench", "speed")


@pytest.mark.parametrize("name", ["backtest", "rl_env", "push", "start"])
def test_each_name_leads_to_a_function(name):
    assert callable(benchmark(name))


def test_rounds_are_interleaved_and_the_median_is_kept():
    order, values = [], iter([1.0, 10.0, 3.0, 30.0, 2.0, 20.0])

    def work(name):
        def measure():
            order.append(name)
            return next(values)

        return measure

    assert interleaved({"a": work("a"), "b": work("b")}, 3) == {"a": 2.0, "b": 20.0}
    assert order == ["a", "b"] * 3


def test_times_are_taken():
    assert cpu_seconds(lambda: sum(range(1000)), 3) >= 0
    assert wall_seconds(lambda: None) >= 0


class TestPeers:
    @pytest.fixture
    def script(self, tmp_path, monkeypatch):
        monkeypatch.setenv("BENCH_PYTHON", sys.executable)
        monkeypatch.setattr(peers_module, "SCRIPTS", tmp_path)

        def write(text):
            (tmp_path / "peer.py").write_text(textwrap.dedent(text), encoding="utf-8")

        return write

    def test_a_peer_does_a_round_for_each_line(self, script):
        script(
            """
            import sys
            print('{"ready": 1}', flush=True)
            for n, line in enumerate(sys.stdin):
                print('{"seconds": %d, "value": 7}' % (n + 1), flush=True)
            """
        )
        with Peer("peer.py") as peer:
            assert [peer.round(), peer.round()] == [1.0, 2.0]
            assert peer.value == 7

    def test_a_peer_that_lacks_its_library_says_which(self, script):
        script("""print('{"missing": "vectorbt is not installed"}')""")
        with pytest.raises(PeerMissing, match="vectorbt is not installed"):
            Peer("peer.py")

    def test_a_peer_that_dies_is_missing(self, script):
        script("raise SystemExit(3)")
        with pytest.raises(PeerMissing, match="status 3"):
            Peer("peer.py")

    def test_without_its_environment_a_peer_names_the_way_to_it(self, monkeypatch, tmp_path):
        monkeypatch.setenv("BENCH_PYTHON", str(tmp_path / "none"))
        with pytest.raises(PeerMissing, match=r"requirements-bench\.txt"):
            peer_python()


def test_the_backtester_is_measured_with_and_without_peers(monkeypatch, tmp_path):
    from quant_platform.bench import backtest

    monkeypatch.setenv("BENCH_PYTHON", str(tmp_path / "none"))
    monkeypatch.setattr(backtest, "MINUTES", 2_000)
    monkeypatch.setattr(backtest, "DAYS", 300)
    monkeypatch.setattr(backtest, "ROUNDS", 1)
    found = list(backtest.rows())
    assert len(found) == 9
    assert all(row.measured > 0 for row in found)
    assert all("requirements-bench.txt" in row.note for row in found if row.peer)


def test_benchmarks_are_listed_without_loading_what_they_measure():
    assert all(":" in entry for entry in bench.BENCHMARKS.values())
