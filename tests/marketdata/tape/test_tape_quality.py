"""Checks of trades and books: each flaw planted once, and healthy events that none of them flags."""

from __future__ import annotations

import numpy as np
import pytest

from apps.marketdata.engine.tape import verify_tape
from apps.marketdata.engine.tape.model import ADD, DELETE, SNAPSHOT, TRADE
from apps.marketdata.engine.tape.quality import check_tape
from apps.ui.engine.refusal import Refusal
from tests.marketdata.tape.conftest import book_columns, trade_columns

BIDS, ASKS = [(10.0, 5), (9.9, 2)], [(10.1, 4), (10.2, 3)]
NAN = float("nan")


def state(second=0, bids=BIDS, asks=ASKS):
    return (second, SNAPSHOT, 0, NAN, NAN, bids, asks)


def book_report(tape_of, rows, **meta):
    return check_tape(tape_of({"AA": book_columns(rows)}, **meta))


def found(report):
    return [(f.check, f.severity, f.row) for f in report.findings]


def test_a_healthy_book_is_clean(tape_of):
    report = book_report(tape_of, [state(0), state(1), (2, TRADE, 1, 10.1, 1, BIDS, ASKS)])
    assert (report.verdict, report.findings) == ("clean", ())
    assert report.checks_passed == 13


@pytest.mark.parametrize(
    ("row", "check", "severity"),
    [
        (state(1, bids=[(10.3, 5)]), "crossed_book", "error"),
        (state(1, bids=[(10.1, 5)]), "locked_book", "warning"),
        (state(1, bids=[(9.0, 5), (9.5, 2)]), "unordered_levels", "error"),
        (state(1, asks=[(10.1, 5), (10.1, 2)]), "unordered_levels", "error"),
        (state(1, bids=[(NAN, NAN), (9.5, 2)]), "hole_in_levels", "error"),
        (state(1, bids=[(10.0, -5)]), "negative_size", "error"),
        (state(1, bids=[(10.0, 0)]), "empty_level", "warning"),
        (state(1, bids=[(-1.0, 5)]), "non_positive_price", "error"),
        (state(-1), "time_backwards", "error"),
        ((1, TRADE, 1, 10.5, 1, BIDS, ASKS), "trade_outside_spread", "note"),
        ((1, TRADE, 1, NAN, 1, BIDS, ASKS), "missing_value", "error"),
        ((1, TRADE, 1, 10.1, 0, BIDS, ASKS), "negative_size", "error"),
    ],
)
def test_each_flaw_is_found_with_its_row(tape_of, row, check, severity):
    report = book_report(tape_of, [state(0), row])
    assert (check, severity, 2) in found(report)
    wrong = next(finding for finding in report.findings if finding.check == check)
    assert (wrong.symbol, wrong.line) == ("AA", 2)
    assert "%(" not in wrong.message


def test_an_empty_side_is_counted(tape_of):
    report = book_report(tape_of, [state(0, asks=[]), state(1)])
    assert [(f.check, dict(f.params)) for f in report.findings] == [("one_sided_book", {"count": 1, "rows": 2})]


def test_where_events_name_their_orders_each_must_show_in_the_book(tape_of):
    grown = [(10.0, 8), (9.9, 2)]
    rows = [state(0), (1, ADD, 1, 10.0, 3, grown, ASKS), (2, DELETE, 1, 10.0, 2, grown, ASKS),
            (3, TRADE, -1, 10.0, 8, [(9.9, 2)], ASKS)]  # fmt: skip
    report = book_report(tape_of, rows, exact=True)
    assert found(report) == [("event_without_effect", "warning", 3)]
    assert report.findings[0].message == "The event changes the size at 10 by -2, the book by +0."
    assert found(book_report(tape_of, rows)) == []


def test_a_trade_beyond_an_exact_book_is_to_be_looked_at(tape_of):
    report = book_report(tape_of, [state(0), (1, TRADE, 1, 10.5, 1, BIDS, ASKS)], exact=True)
    assert ("trade_outside_spread", "warning", 2) in found(report)


def test_long_lists_are_cut_and_counted(tape_of):
    rows = [state(at, bids=[(10.3, 5)]) for at in range(50)]
    report = book_report(tape_of, rows)
    listed = [f for f in report.findings if f.check == "crossed_book"]
    more = [f for f in report.findings if f.check == "more_like_this"]
    assert len(listed) + more[0].params["count"] == 50


def test_missing_and_repeated_trades_show_in_their_numbers(tape_of):
    rows = [(at, 10, 1, 1, at + 1 + 3 * (at >= 100)) for at in range(200)]
    rows[50] = (50, 10, 1, 1, 50)
    report = check_tape(tape_of({"AA": trade_columns(rows)}))
    assert [(f.check, f.row, f.params.get("count")) for f in report.findings] == [
        ("duplicate_trade", 51, None), ("trades_missing", 52, 1), ("trades_missing", 101, 3),
    ]  # fmt: skip
    assert report.gaps == {"AA": 2}


def test_numbers_that_count_something_else_are_no_gaps(tape_of):
    rows = [(at, 10, 1, 1, 7 * at + 1) for at in range(100)]
    assert check_tape(tape_of({"AA": trade_columns(rows)})).findings == ()


def test_changed_files_are_noticed(tape_of):
    tape = tape_of({"AA": trade_columns([(0, 10, 1, 1, 1)])})
    folder = next(path for path in (tape_folder(tape)).iterdir() if path.name == tape.content_hash)
    verify_tape(folder)
    price = np.load(folder / "price.npy", mmap_mode="r+")
    price[0] = 11
    price.flush()
    with pytest.raises(Refusal) as no:
        verify_tape(folder)
    assert no.value.code == "dataset_changed"
    (folder / "size.npy").unlink()
    with pytest.raises(Refusal) as no:
        verify_tape(folder)
    assert no.value.code == "dataset_missing"


def tape_folder(tape):
    from pathlib import Path

    return Path(tape.columns["price"].filename).parent.parent
