"""QMT's full tick, as ``xtquant.xtdata`` gives it, and the feed over a double of what is used of it."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.marketdata.engine.quotes import QmtFeed, Quote
from apps.marketdata.engine.quotes.qmt import parse_full_tick, parse_tick, qmt_code, xtquant_source
from apps.ui.engine.refusal import Refusal

#: The fields of a full tick of a stock, with those nobody here reads.
TICK = {
    "time": 1700028000000, "timetag": "20231115 14:00:00", "lastPrice": 7.05, "open": 7.0, "high": 7.1, "low": 6.98,
    "lastClose": 7.01, "amount": 123456789.0, "volume": 175000, "pvolume": 17500012, "stockStatus": 3,
    "openInt": 13, "settlementPrice": 0.0, "lastSettlementPrice": 0.0,
    "askPrice": [7.06, 7.07, 7.08, 0.0, 0.0], "askVol": [10, 20, 30, 0, 0],
    "bidPrice": [7.05, 7.04, 7.03, 7.02, 7.01], "bidVol": [1, 2, 3, 4, 5],
}  # fmt: skip


class Xtdata:
    """Calls back from a thread of its own, as the real one does."""

    def __init__(self, ticks, number=1):
        self.ticks, self.number, self.asked, self.ended = ticks, number, [], []

    def get_full_tick(self, code_list):
        self.asked.append(("full", code_list))
        return self.ticks[0]

    def subscribe_whole_quote(self, code_list, callback):
        self.asked.append(("whole", code_list))
        if self.number > 0:
            threading.Thread(target=lambda: [callback(tick) for tick in self.ticks[1:]]).start()
        return self.number

    def unsubscribe_quote(self, seq):
        self.ended.append(seq)


def test_a_tick_becomes_a_quote_in_shares_and_seconds():
    assert parse_tick("600000.SH", TICK, 1.0) == Quote(
        "SH600000", 7.05, 1700028000.0, 1.0,
        bids=((7.05, 100.0), (7.04, 200.0), (7.03, 300.0), (7.02, 400.0), (7.01, 500.0)),
        asks=((7.06, 1000.0), (7.07, 2000.0), (7.08, 3000.0)),
        volume=17500012.0, amount=123456789.0, prev_close=7.01, day=19676,
    )  # fmt: skip
    assert parse_tick("600000.SH", {**TICK, "pvolume": 0}, 1.0).volume == 17_500_000.0


@given(
    st.dictionaries(
        st.sampled_from(sorted(TICK)),
        st.none() | st.text(max_size=3) | st.lists(st.integers(), max_size=3) | st.floats(),
    )
)
def test_a_broken_tick_is_counted_and_the_others_are_read(broken):
    rejected: dict[str, int] = {}
    found = parse_full_tick({"000001.SZ": {**TICK, **broken}, "600000.SH": TICK, "x": 7}, 1.0, rejected)
    assert found[-1].symbol == "SH600000"
    assert len(found) + rejected["not_understood"] == 3


@pytest.mark.parametrize(
    ("ours", "theirs"), [("SH600000", "600000.SH"), ("000001.SZ", "000001.SZ"), ("IF2401", "IF2401")]
)
def test_symbols_are_named_as_qmt_does(ours, theirs):
    assert qmt_code(ours) == theirs


async def test_the_feed_gives_the_state_first_then_what_is_called_back():
    source = Xtdata(
        [{"600000.SH": TICK}, {"600000.SH": {**TICK, "lastPrice": 7.06}}, {"600000.SH": {**TICK, "lastPrice": 7.07}}]
    )
    feed = QmtFeed(source, clock=lambda: 1.0)
    batches = feed.batches(["SH600000"])
    lasts = [(await anext(batches))[0].last for _ in range(3)]
    assert feed.connected
    await batches.aclose()
    assert lasts == [7.05, 7.06, 7.07]
    assert source.asked == [("whole", ["600000.SH"]), ("full", ["600000.SH"])]
    assert (source.ended, feed.connected) == ([1], False)


async def test_a_refused_subscription_and_a_machine_without_xtquant_say_so():
    with pytest.raises(Refusal, match="miniQMT"):
        await anext(QmtFeed(Xtdata([{}], number=-1)).batches([]))
    with pytest.raises(Refusal, match="Windows"):
        xtquant_source()
