"""Benchmarks: rows with goals, peers in their own process, and a clear word where one is missing."""

from __future__ import annotations

import json
import re
import sys
import textwrap

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

import quant_platform.bench as bench
from quant_platform.bench import BENCHMARKS, ON_A_DATABASE, Row, benchmark, http
from quant_platform.bench import peers as peers_module
from quant_platform.bench.databases import server_of
from quant_platform.bench.document import DOCUMENT, write_section
from quant_platform.bench.measure import cpu_seconds, interleaved, wall_seconds
from quant_platform.bench.peers import Peer, PeerMissing, peer_python

ROWS = [
    Row("work", 0.001, 0.005, ours_s=0.001, peer="slowpoke", peer_s=0.1),
    Row("rate", 10, 20, "steps/s", more_is_better=True),
]

#: What docs/performance.md must promise, as it stands there.
GOALS = {
    "push": {"≤ 100", "≤ 300", "≥ 5000", "≤ 0"},
    "start": {"≤ 2", "≤ 1"},
    "metric": {"≤ 300"},
    "import": {"≤ 1000", "≥ 20"},
    "http": {"≤ 150", "≤ 50", "≤ 0", "≤ 220"},
    "quotes": {"≥ 20000", "≤ 2", "≥ 0.95"},
    "historical": {"≤ 20", "≤ 300"},
    "backtest": {"≤ 0.005", "≤ 0.015", "≤ 0.5", "≤ 0.02", "≤ 0.1"},
}


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
    monkeypatch.setattr("quant_platform.management.commands.bench.benchmark", lambda name, database: good_rows)
    call_command("bench", "all", "--json")
    found = json.loads(capsys.readouterr().out)
    assert [b["name"] for b in found["benchmarks"]] == ["good", "more"]
    assert found["met"] is True


def test_an_unknown_benchmark_names_those_there_are():
    with pytest.raises(CommandError, match="backtest, rl_env, push, start"):
        call_command("bench", "speed")


def test_a_database_is_chosen_where_one_is_measured(monkeypatch):
    asked = []
    monkeypatch.setattr("quant_platform.bench.push.rows", lambda database="": asked.append(database) or good_rows())
    monkeypatch.setenv("DATABASE_URL", "postgres://somebody@db/quant")
    for database in ("sqlite", "postgres"):
        benchmark("push", database)()
    benchmark("push")()
    assert asked == ["sqlite", "postgres", ""]
    assert [server_of(database) for database in ("sqlite", "postgres", "")] == [
        "",
        *["postgres://somebody@db/quant"] * 2,
    ]
    with pytest.raises(CommandError, match="measures no database"):
        call_command("bench", "backtest", "--database", "sqlite")


def test_postgres_without_a_server_is_refused(monkeypatch):
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(CommandError, match="Set DATABASE_URL"):
        call_command("bench", "metric", "--database", "postgres")


class TestDocument:
    """``docs/performance.md``: a section a benchmark and database, replaced as a whole."""

    def test_a_section_is_added_once_and_then_replaced(self, tmp_path):
        path = tmp_path / "performance.md"
        path.write_text("# Performance\n\nWords.\n", encoding="utf-8")
        write_section("one", "SQLite", ROWS, 0.5, path)
        write_section("two", "", ROWS[1:], 0.5, path)
        write_section("one", "SQLite", ROWS[:1], 0.25, path)
        text = path.read_text(encoding="utf-8")
        assert text.startswith("# Performance\n\nWords.\n\n<!-- bench one SQLite -->\n## `bench one` on SQLite\n")
        assert text.count("| work | 0.001 CPU s | ≤ 0.005 | met | slowpoke 0.1 s, ×100.0 |") == 1
        assert text.count("| rate | 10 steps/s | ≥ 20 | **missed** |") == 1
        assert "25% busy" in text

    def test_the_command_writes_it(self, monkeypatch, tmp_path, capsys):
        path = tmp_path / "performance.md"
        path.write_text("# Performance\n", encoding="utf-8")
        monkeypatch.setitem(BENCHMARKS, "good", "tests.platform.test_bench:good_rows")
        monkeypatch.setattr("quant_platform.bench.document.DOCUMENT", path)
        call_command("bench", "good", "--document")
        assert "## `bench good`\n" in path.read_text(encoding="utf-8")


def written() -> dict[tuple[str, str], list[list[str]]]:
    """Return the rows of each section of docs/performance.md by benchmark and database."""
    text = DOCUMENT.read_text(encoding="utf-8")
    parts = re.findall(r"<!-- bench (\w+) ?(\w*) -->(.*?)<!-- end of bench \1 ?\2 -->", text, re.DOTALL)
    lines = {(name, kind): part.splitlines() for name, kind, part in parts}
    return {key: [line.split(" | ") for line in part if line.startswith("| ")][1:] for key, part in lines.items()}


class TestWritten:
    """What stands in the repository is measured against the goals that are promised today."""

    def test_the_sections_are_of_benchmarks_and_databases_that_there_are(self):
        found = written()
        assert set(found) >= {(name, kind) for name in ON_A_DATABASE for kind in ("SQLite", "PostgreSQL")}
        assert {name for name, _ in found} <= set(BENCHMARKS)
        assert all(kind in ({"SQLite", "PostgreSQL"} if name in ON_A_DATABASE else {""}) for name, kind in found)

    def test_each_row_has_a_figure_todays_goal_and_a_verdict(self):
        for (name, _kind), rows in written().items():
            assert rows
            assert {row[2] for row in rows} == GOALS[name]
            assert all(row[3] in {"met", "**missed**"} for row in rows)
            assert all(re.match(r"[\d.e+,]+ \S", row[1]) for row in rows)

    def test_http_has_figures_of_every_page_and_question(self):
        for (name, _kind), rows in written().items():
            if name == "http":
                pages = {row[0].removeprefix("| p95 of "): row[4] for row in rows}
                assert set(pages) >= {*http.PAGES, *http.ASKED}
                assert all(re.search(r"\d+ SQL, \d+ ms of CPU", pages[one]) for one in (*http.PAGES, *http.ASKED))


def test_the_pages_of_the_http_benchmark_are_pages_and_the_questions_are_asked_of_the_api():
    assert all(not address.startswith("/api/") for address in http.PAGES)
    assert all(address.startswith("/api/") for address in http.ASKED)
    assert (http.FIRST_PAGE in http.PAGES, http.CANDLES_PAGE in http.PAGES) == (True, True)


def test_what_people_met_becomes_rows():
    seen = http.Seen()
    for address in (*http.PAGES, *http.ASKED):
        seen.times[address] = [10.0, 20.0, 200.0]
    seen.failed.append("GET /: 500")
    facts = {"statements": 5, "cpu_ms": 3.0, "kb": 4.0}
    counted = {"first": 40.0, "candles": 300.0} | dict.fromkeys([*http.PAGES, *http.ASKED], facts)
    rows = [*http.heads(seen, 1, counted, "SQLite"), *http.each(seen, counted)]
    missed = {row.work for row in rows[:6] if not row.met}
    assert "weight of the candles page with all it loads" in missed
    assert "weight of the first page with all it loads" not in missed
    assert any(row.work.startswith("requests not answered") and row.measured == 1 for row in rows)
    assert any(row.work.startswith("trainings lost") and not row.met for row in rows)
    assert len(rows) == 6 + len(http.PAGES) + len(http.ASKED)


@pytest.mark.parametrize("name", ["backtest", "rl_env", "push", "start", "http", "metric"])
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
