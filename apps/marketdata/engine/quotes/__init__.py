"""Quotes: what a feed gives (``feed``), its sources, what is no quote (``checks``), minutes, the newest of each."""

from apps.marketdata.engine.quotes.feed import Quote, QuoteFeed
from apps.marketdata.engine.quotes.intake import Intake
from apps.marketdata.engine.quotes.latest import LatestQuotes
from apps.marketdata.engine.quotes.mapping import FieldMap
from apps.marketdata.engine.quotes.minutes import MinuteBar, MinuteBars
from apps.marketdata.engine.quotes.qmt import QmtFeed
from apps.marketdata.engine.quotes.replay import ReplayFeed
from apps.marketdata.engine.quotes.websocket import WebSocketFeed

__all__ = [
    "FieldMap", "Intake", "LatestQuotes", "MinuteBar", "MinuteBars", "QmtFeed", "Quote", "QuoteFeed", "ReplayFeed",
    "WebSocketFeed",
]  # fmt: skip
