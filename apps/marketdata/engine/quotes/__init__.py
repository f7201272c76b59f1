"""Quotes: what a feed gives (``feed``), a replay of any dataset (``replay``), the newest of each (``latest``)."""

from apps.marketdata.engine.quotes.feed import Quote, QuoteFeed
from apps.marketdata.engine.quotes.latest import LatestQuotes
from apps.marketdata.engine.quotes.replay import ReplayFeed

__all__ = ["LatestQuotes", "Quote", "QuoteFeed", "ReplayFeed"]
