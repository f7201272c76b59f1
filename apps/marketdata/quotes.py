"""Reading quotes: the newest by symbol, the log behind a cursor, minute bars, feeds; who may see which."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet
from django.http import Http404

from apps.accounts.models import User
from apps.accounts.shares import shared_ids
from apps.marketdata.adapters import quote_tables
from apps.marketdata.adapters.quote_board import Held, board
from apps.marketdata.engine.quotes import Quote
from apps.marketdata.engine.symbols import canonical
from apps.marketdata.models import Feed, FeedKind, LatestQuote, MinuteRow, QuoteRecord
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

#: Symbols of one question, quotes of one answer.
MOST_SYMBOLS, MOST_QUOTES = 500, 10_000
#: Raw quotes one answer looks at: a cursor moves on although nothing of what it asks for came.
SCAN = 100_000
NO_QUOTE = N_("No feed that you may see has given a quote of %(symbol)s.")
TOO_MANY = N_("Name at most %(most)s symbols.")
UNKNOWN_FEED = N_("There is no feed %(feed)s. There are %(known)s.")


def feed_visible(user: User | None) -> QuerySet[Feed]:
    """Feeds ``user`` may see: everybody's, their own, those shared with them; administrators and None see all."""
    if user is None or user.is_administrator:
        return Feed.objects.all()
    return Feed.objects.filter(Q(owner=None) | Q(owner=user) | Q(pk__in=shared_ids(user, Feed)))


def feed_for_user(user: User, pk: int, write: bool = False) -> Feed:
    """Return the feed, or Http404 where ``user`` may not see it (with ``write``: control it)."""
    rows = feed_visible(user).select_related("owner", "dataset")
    if write and not user.is_administrator:
        rows = rows.filter(Q(owner=user) | Q(pk__in=shared_ids(user, Feed, write=True)))
    found = rows.filter(pk=pk).first() if 0 < pk < 2**63 else None
    if found is None:
        raise Http404
    return found


def feed_by_name(user: User | None, name: str) -> Feed:
    """Return the feed called ``name``; raises ``Refusal`` ``unknown_feed`` (404) that names what there is."""
    found = feed_visible(user).select_related("owner", "dataset").filter(name=name.replace("\x00", "")).first()
    if found is None:
        known = ", ".join(feed_visible(user).values_list("name", flat=True)[:12]) or "–"
        raise Refusal("unknown_feed", UNKNOWN_FEED, status=404, field="feed", feed=name[:64], known=known)
    return found


@dataclass(frozen=True)
class Seen:
    """The feeds somebody may see: id → (name, whether it is a replay)."""

    feeds: dict[int, tuple[str, bool]]

    def best(self, held: Iterable[Held]) -> Held | None:
        """Return the newest quote, one of a source before one of a replay."""
        mine = [one for one in held if one.feed_id in self.feeds]
        return max(mine, key=lambda one: (not self.feeds[one.feed_id][1], one.quote.time, one.seq), default=None)


def feeds_seen(user: User | None, feed: str = "") -> Seen:
    """Return the feeds of ``user`` in one query, or the one called ``feed``; raises ``Refusal`` ``unknown_feed``."""
    rows = {pk: (name, kind == FeedKind.REPLAY) for pk, name, kind in
            feed_visible(user).order_by().values_list("pk", "name", "kind")}  # fmt: skip
    if feed:
        rows = {pk: row for pk, row in rows.items() if row[0] == feed}
        if not rows:
            feed_by_name(user, feed)
    return Seen(rows)


def _feeds_held(user: User | None, feed: str) -> Seen:
    """As ``feeds_seen``, of the feeds in memory: what may be asked of the database is shared with whom."""
    rows = board.feeds
    if user is not None and not user.is_administrator:
        others = [pk for pk, known in rows.items() if known.owner_id not in (None, user.pk)]
        shared = set(shared_ids(user, Feed).values_list("object_id", flat=True)) if others else set()
        rows = {pk: known for pk, known in rows.items() if known.owner_id in (None, user.pk) or pk in shared}
    held = {pk: (known.name, known.replay) for pk, known in rows.items() if feed in ("", known.name)}
    return Seen(held) if held or not feed else feeds_seen(user, feed)


def symbols_of(text: str | Sequence[str]) -> list[str]:
    """Return the symbols asked for, each once, as we name them; raises ``Refusal`` ``too_many_symbols``."""
    names = text.split(",") if isinstance(text, str) else text
    found = list(dict.fromkeys(canonical(name) for name in names if name.strip()))
    if len(found) > MOST_SYMBOLS:
        raise Refusal("too_many_symbols", TOO_MANY, field="symbols", most=MOST_SYMBOLS)
    return found


def latest(user: User | None, symbols: Sequence[str], feed: str = "") -> tuple[dict[str, Held | None], Seen, bool]:
    """Return the newest quote of each symbol, the feeds, and whether this process's memory answered alone."""
    found, hit = board.of(symbols)
    seen = _feeds_held(user, feed)
    return {symbol: seen.best(found[symbol]) for symbol in symbols}, seen, hit


def quote_document(held: Held, seen: Seen, now: float) -> dict[str, Any]:
    """Return a quote as the API shows it: times as ISO 8601 in UTC, ages in seconds, sizes in shares."""
    quote, (name, replay) = held.quote, seen.feeds[held.feed_id]
    age = quote.age(now)
    return {
        "seq": held.seq, "feed": name, "replay": replay, "symbol": quote.symbol, "last": quote.last,
        "prev_close": quote.prev_close, "bids": quote.bids, "asks": quote.asks, "volume": quote.volume,
        "amount": quote.amount, "time": moment(quote.time), "received": moment(quote.received),
        "age_s": round(age, 3), "stale": age > settings.QP_QUOTE_STALE_SECONDS,
    }  # fmt: skip


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def realtime(user: User | None, symbols: Sequence[str], feed: str = "") -> dict[str, Any]:
    """Return the newest quotes; a symbol without one, or with one past its lifetime, is under ``missing``."""
    wanted, now = symbols_of(symbols), time.time()
    found, seen, _hit = latest(user, wanted, feed)
    quotes, missing = [], []
    for symbol, held in found.items():
        if held is not None and held.quote.age(now) <= settings.QP_CACHE_QUOTES_SECONDS:
            quotes.append(quote_document(held, seen, now))
        else:
            age = round(held.quote.age(now), 3) if held else None
            missing.append({"symbol": symbol, "reason": "expired" if held else "unknown", "age_s": age})
    return {"quotes": quotes, "missing": missing, "time": moment(now)}


def cached(user: User | None, symbol: str, feed: str = "") -> dict[str, Any]:
    """Return ``{"data", "from_cache", "age_s"}``; past its lifetime a quote is no ``data``, only its age is told.

    Raises ``Refusal`` ``no_quote`` (404).
    """
    name, now = canonical(symbol), time.time()
    found, seen, hit = latest(user, [name], feed)
    held = found[name]
    if held is None:
        raise Refusal("no_quote", NO_QUOTE, status=404, field="symbol", symbol=name[:40])
    age = held.quote.age(now)
    good = age <= settings.QP_CACHE_QUOTES_SECONDS
    return {
        "data": quote_document(held, seen, now) if good else None, "from_cache": hit and good, "age_s": round(age, 3),
    }  # fmt: skip


def quote_log(
    user: User | None, *, after: int | None, symbols: Sequence[str] = (), limit: int = 1000, feed: str = ""
) -> dict[str, Any]:
    """Return the quotes with a number above ``after`` in their order, and where to go on (``next``).

    Numbers appear in their order, so a reader with a cursor misses none and gets none twice. Without ``after``: none,
    and ``next`` is now. ``lost`` counts the numbers behind ``after`` that retention has dropped already.
    """
    wanted, seen = symbols_of(symbols), feeds_seen(user, feed)
    head = quote_tables.head()
    if after is None or after > head:  # a cursor of another database goes on from now
        return {"quotes": [], "next": head, "head": head, "more": False, "lost": 0, "reset": after is not None}
    first = quote_tables.oldest() if after < head else head + 1
    lost, start = max(0, first - 1 - after), max(after, first - 1)
    end = min(head, start + SCAN)
    rows = QuoteRecord.objects.filter(seq__gt=start, seq__lte=end, feed_id__in=list(seen.feeds)).order_by("seq")
    if wanted:
        rows = rows.filter(symbol__in=wanted)
    found, now = list(rows[:limit]), time.time()
    reached = found[-1].seq if len(found) == limit else end
    documents = [quote_document(Held(row.seq, row.feed_id, record_quote(row)), seen, now) for row in found]
    return {"quotes": documents, "next": reached, "head": head, "more": reached < head, "lost": lost, "reset": False}


def record_quote(row: QuoteRecord) -> Quote:
    bids, asks = row.sides
    return Quote(row.symbol, row.last, row.time, row.received, bids, asks, row.volume, row.amount, row.prev_close)


def minute_rows(
    user: User | None, symbol: str, *, start: datetime | None = None, end: datetime | None = None, feed: str = ""
) -> QuerySet[MinuteRow]:
    """Return minute bars of ``symbol`` by time, of ``feed`` or of the one with the newest; ends are included."""
    rows = MinuteRow.objects.filter(symbol=canonical(symbol), feed__in=feed_visible(user))
    if feed:
        rows = rows.filter(feed=feed_by_name(user, feed))
    else:
        held = LatestQuote.objects.filter(symbol=canonical(symbol), feed__in=feed_visible(user))
        found = held.values_list("feed", "feed__kind", "time")
        best = max(found, key=lambda row: (row[1] != FeedKind.REPLAY, row[2]), default=None)
        rows = rows.filter(feed=best[0]) if best else rows.none()
    if start is not None:
        rows = rows.filter(minute__gte=start.timestamp())
    if end is not None:
        rows = rows.filter(minute__lte=end.timestamp())
    return rows.order_by("minute")


def minute_document(row: MinuteRow) -> dict[str, Any]:
    return {
        "time": moment(row.minute), "open": row.open, "high": row.high, "low": row.low, "close": row.close,
        "volume": row.volume, "amount": row.amount, "quotes": row.count,
    }  # fmt: skip
