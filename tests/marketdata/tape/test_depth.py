"""Depth messages: what a stated book and its changes add up to, and the chain of their numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.marketdata.engine.readers import ReadOptions
from apps.marketdata.engine.tape import load_tape, read_tape, tape_format
from tests.marketdata.tape.conftest import ladder_rows

T0 = 1_711_589_400_000


def snapshot(last=100, bids=(("10.0", "5"), ("9.9", "1")), asks=(("10.1", "4"),), **more):
    return json.dumps({"lastUpdateId": last, "bids": bids, "asks": asks, **more})


def change(first, last, bids=(), asks=(), *, at=0, **more):
    document = {"e": "depthUpdate", "E": T0 + at, "s": "BTCUSDT", "U": first, "u": last, "b": bids, "a": asks, **more}
    return json.dumps(document)


def trade(price, size, *, at=0, maker=True, number=1):
    return json.dumps({"e": "trade", "E": T0 + at, "T": T0 + at, "s": "BTCUSDT", "t": number, "p": price, "q": size,
                       "m": maker})  # fmt: skip


def lines(*documents):
    return "\n".join(documents) + "\n"


def checks(found):
    return [finding.check for finding in found.findings]


def test_a_snapshot_and_its_changes_give_the_book_after_each(put, read):
    text = lines(snapshot(E=T0), change(99, 101, [["10.0", "7"]], [["10.2", "3"]], at=100),
                 change(102, 103, [["9.9", "0"]], [["10.1", "0"]], at=200))  # fmt: skip
    tape, found = read(put("BTCUSDT.jsonl", text))
    assert (found.format, tape.symbols, tape.columns["kind"].tolist()) == ("binance_depth", ("BTCUSDT",), [0, 8, 8])
    assert ladder_rows(tape, "BTCUSDT") == [
        ([(10.0, 5), (9.9, 1)], [(10.1, 4)]),
        ([(10.0, 7), (9.9, 1)], [(10.1, 4), (10.2, 3)]),
        ([(10.0, 7)], [(10.2, 3)]),
    ]
    assert found.findings == ()


def test_what_the_snapshot_contains_is_left_out_and_what_came_before_it_waits(put, read):
    text = lines(change(90, 95, [["9.0", "1"]]), change(96, 101, [["10.0", "6"]], at=50), snapshot(E=T0 + 40),
                 change(98, 100, [["8.0", "1"]], at=60), change(102, 102, [["9.8", "2"]], at=70))  # fmt: skip
    tape, found = read(put("x.jsonl", text))
    rows = ladder_rows(tape, "BTCUSDT")
    assert rows[-1][0] == [(10.0, 6), (9.9, 1), (9.8, 2)]
    assert {finding.check: finding.params["count"] for finding in found.findings} == {
        "before_stated_book": 1, "stale_update": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("message", "gap"),
    [
        (change(101, 105, at=100), False),
        (change(102, 105, at=100), True),
        (change(101, 105, at=100, pu=99), False),
        (change(101, 105, at=100, pu=101), True),
    ],
)
def test_a_hole_in_the_chain_is_an_error_with_its_line(put, read, message, gap):
    _, found = read(put("x.jsonl", lines(snapshot(E=T0), message)))
    assert (checks(found) == ["sequence_gap"]) is gap
    if gap:
        assert (found.findings[0].severity, found.findings[0].line) == ("error", 2)


def test_on_futures_each_change_names_the_one_before(put, read):
    good = lines(snapshot(E=T0), change(95, 110, at=1, pu=94), change(130, 140, at=2, pu=110))
    assert checks(read(put("a.jsonl", good))[1]) == []
    bad = lines(snapshot(E=T0), change(95, 110, at=1, pu=94), change(111, 140, at=2, pu=115))
    assert checks(read(put("b.jsonl", bad))[1]) == ["sequence_gap"]


def test_changes_without_a_snapshot_are_a_book_to_look_at(put, read):
    tape, found = read(put("x.jsonl", lines(change(1, 2, [["5", "1"]]), change(3, 4, [], [["6", "2"]], at=5))))
    assert checks(found) == ["no_stated_book"]
    assert ladder_rows(tape, "BTCUSDT") == [([(5, 1)], []), ([(5, 1)], [(6, 2)])]


def test_streams_that_overtake_each_other_are_put_into_the_order_of_the_exchange(put, read):
    text = lines(snapshot(E=T0), change(101, 101, [["10.0", "4"]], at=20), trade("10.0", "1", at=15))
    tape, _ = read(put("x.jsonl", text))
    assert tape.columns["kind"].tolist() == [0, 4, 8]
    assert (tape.columns["price"][1], tape.columns["size"][1], tape.columns["side"][1]) == (10.0, 1.0, -1)


def test_wrapped_messages_with_the_time_of_receipt_are_read(put, read):
    wrapped = json.dumps({"stream": "ethusdt@depth5@100ms", "data": json.loads(snapshot())})
    text = lines(f"{T0 * 1000 + 5} {wrapped}", f'{T0 * 1000 + 9} {{"stream":"x@bookTicker","data":{{"u":1}}}}')
    tape, found = read(put("feed.dat", text))
    assert tape.symbols == ("ETHUSDT",)
    assert tape.columns["time"].tolist() == [(T0 * 1000 + 5) * 1000]
    assert [(f.check, f.params) for f in found.findings] == [
        ("messages_left_out", {"count": 1, "kind": "bookTicker"})
    ]  # fmt: skip


def test_a_snapshot_file_beside_the_changes_belongs_to_them(put, read):
    put("btc_changes.jsonl", lines(change(101, 101, [["10.0", "1"]], at=5)))
    path = put("btc_snapshot.json", snapshot())
    tape, found = read(path.parent, format="binance_depth")
    assert checks(found) == []
    assert ladder_rows(tape, "BTCUSDT") == [([(10.0, 1), (9.9, 1)], [(10.1, 4)])]


def test_bybit_says_the_same_in_other_words(put, read):
    def bybit(kind, u, bids, asks, at):
        data = {"s": "XRPUSDT", "b": bids, "a": asks, "u": u}
        return json.dumps({"topic": "orderbook.50.XRPUSDT", "type": kind, "ts": T0 + at, "data": data})

    text = lines(bybit("snapshot", 5, [["1", "2"]], [["2", "1"]], 0), bybit("delta", 6, [["1", "0"]], [], 1),
                 bybit("delta", 8, [["1.5", "3"]], [], 2))  # fmt: skip
    tape, found = read(put("x.data", text))
    assert ladder_rows(tape, "XRPUSDT") == [([(1, 2)], [(2, 1)]), ([], [(2, 1)]), ([(1.5, 3)], [(2, 1)])]
    assert checks(found) == ["sequence_gap"]


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        (lines(snapshot(E=T0), "{broken"), "bad_json", 2),
        (lines(snapshot(E=T0), "[1, 2]"), "bad_json", 2),
        (lines(change(1, "x")), "bad_message", 1),
        (lines(change(1, 2, [["a", "1"]])), "bad_message", 1),
        (lines(change(1, 2, [["1"]])), "bad_message", 1),
        (lines('{"e":"depthUpdate","U":1,"u":2}'), "bad_message", 1),
        (lines(change(1, 2).replace(str(T0), "7")), "bad_message", 1),
        (lines(trade("1", "1")), "not_book", None),
    ],
)
def test_a_line_that_is_no_message_is_refused(put, refused, text, code, line):
    no = refused(put("x.jsonl", text), format="binance_depth")
    assert (no.code, no.params.get("line")) == (code, line)
    assert str(no)


def test_a_snapshot_of_nobody_between_two_symbols_is_refused(put, refused):
    other = change(1, 2).replace("BTCUSDT", "ETHUSDT")
    no = refused(put("x.jsonl", lines(change(1, 2), other, snapshot())))
    assert (no.code, no.field, no.params["known"]) == ("no_symbol", "symbol", "BTCUSDT, ETHUSDT")


def test_the_format_is_told_by_the_messages(put):
    assert tape_format(put("x.txt", lines(change(1, 2))), ReadOptions()) == "binance_depth"
    assert tape_format(put("bars.json", '[{"open": 1}]'), ReadOptions()) is None


PRICES = st.integers(1, 12)
LEVELS = st.lists(st.tuples(PRICES, st.integers(0, 3)), max_size=4)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(LEVELS, LEVELS), min_size=1, max_size=12), st.integers(1, 4))
def test_the_book_built_from_changes_is_the_book_kept_by_hand(tmp_path_factory, changes, levels):
    """A dictionary of prices, sorted after every change, says the same as the stored rows."""
    folder = tmp_path_factory.mktemp("book")
    documents = [snapshot(0, (), (), E=T0, s="BTCUSDT").replace('"lastUpdateId": 0', '"lastUpdateId": 1')]
    books: list[tuple[dict, dict]] = [({}, {})]
    wanted = [([], [])]
    for at, (bids, asks) in enumerate(changes):
        # Bids below, asks above 20: the book is never crossed by construction.
        asks = [(price + 20, size) for price, size in asks]
        documents.append(change(at + 2, at + 2, [[str(p), str(s)] for p, s in bids],
                                [[str(p), str(s)] for p, s in asks], at=at + 1))  # fmt: skip
        mine = tuple({**side} for side in books[-1])
        for side, told in zip(mine, (bids, asks), strict=True):
            for price, size in told:
                side[price] = size
        books.append(mine)
        alive = [sorted((float(p), float(s)) for p, s in side.items() if s) for side in mine]
        wanted.append((alive[0][::-1][:levels], alive[1][:levels]))
    path = folder / "x.jsonl"
    path.write_text(lines(*documents))
    found = read_tape(path, ReadOptions(levels=levels), folder / "store", folder / "spool")
    tape = load_tape(found.folder)
    assert ladder_rows(tape, "BTCUSDT") == wanted
    assert not found.findings
    for name, sign in (("bid_price", -1), ("ask_price", 1)):
        steps = sign * np.diff(np.asarray(tape.columns[name]), axis=1)
        assert not (steps <= 0).any()
    assert not any((np.asarray(tape.columns[name]) <= 0).any() for name in ("bid_size", "ask_size"))


@pytest.mark.data
@pytest.mark.parametrize(
    ("path", "rows", "gaps"),
    [("spot_btcusdt_20230405.dat.gz", 7_073, 0), ("usdm_btcusdt_20230404.dat.gz", 6_514, 0),
     ("usdm_btcusdt_20240718.gz", 4_296, 0)],
)  # fmt: skip
def test_real_feeds_have_whole_chains(market_data, read, path, rows, gaps):
    tape, found = read(market_data / "lob" / "hftbacktest" / path)
    assert (tape.rows, checks(found).count("sequence_gap")) == (rows, gaps)
    assert ("no_stated_book" in checks(found)) is path.startswith("spot")
    best = np.asarray(tape.columns["ask_price"][:, 0]) - np.asarray(tape.columns["bid_price"][:, 0])
    assert (best[np.isfinite(best)] > 0).all()
