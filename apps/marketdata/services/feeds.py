"""Feeds: set up, wanted or not, and run by exactly one process at a time."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.text import slugify

from apps.accounts.models import User
from apps.accounts.permissions import require_permission
from apps.accounts.services import audit
from apps.marketdata.adapters.quote_board import board
from apps.marketdata.engine.market_status import market_status
from apps.marketdata.engine.quotes.checks import usable_symbol
from apps.marketdata.engine.quotes.mapping import FieldMap
from apps.marketdata.engine.quotes.replay import BAD_SPEED, FASTEST, SLOWEST
from apps.marketdata.engine.quotes.websocket import checked_address
from apps.marketdata.engine.symbols import canonical
from apps.marketdata.models import Dataset, Feed, FeedKind, FeedState
from apps.marketdata.selectors import dataset_by_name
from apps.marketdata.services.quotes import LEASE
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

#: Waits after failures in a row, in seconds; the last one for every further.
WAITS = (2, 5, 15, 60, 300)
MOST_RUNNING = 5
#: The name of the replay that the settings ask for.
EMBEDDED = "embedded"
MOST_SYMBOLS = 5_000
TEXTS = ("url", "subscribe", "header", "credential")
NAME_TAKEN = N_("There is a feed called %(name)s already, or the name has other signs than letters, digits, - and _.")
RUNNING = N_("%(feed)s is running; stop it first.")
TAKEN = N_("%(feed)s is run by another process (%(worker)s).")
TOO_MANY = N_("%(count)s feeds of yours are running, the most allowed. Stop one first.")
NO_SYMBOLS = N_("Name up to %(most)s symbols of at most 32 signs each, separated by commas.")
NOT_IN_DATASET = N_("%(dataset)s has no symbol %(symbol)s.")
BAD_OPTION = N_("%(name)s is no text this feed can use.")


def require_feed_permission(user: User, kind: str) -> None:
    """Raise ``PermissionDenied`` unless ``user`` may set up and run feeds of ``kind``."""
    require_permission(user, "feed.replay" if kind == FeedKind.REPLAY else "feed.live")


@transaction.atomic
def replay_create(
    *, actor: User | None, dataset: Dataset, speed: float = 60.0, symbols: Sequence[str] = (), loop: bool = False,
    name: str = "", everybody: bool = False,
) -> Feed:  # fmt: skip
    """Set up a replay of ``dataset`` (``actor`` may see it), not started yet.

    It is ``actor``'s; with ``everybody``, which only an administrator may say, and from the command line it is
    everybody's. Raises ``Refusal`` at ``speed``, ``symbols`` or ``name``.
    """
    if actor is not None:
        require_feed_permission(actor, FeedKind.REPLAY)
        if everybody:
            require_permission(actor, "feed.live")
    if not SLOWEST <= speed <= FASTEST:
        raise Refusal("bad_speed", BAD_SPEED, field="speed", speed=f"{speed:g}")
    wanted = checked_symbols(symbols)
    known = set(dataset.symbols.filter(symbol__in=wanted).values_list("symbol", flat=True)) if wanted else set()
    for symbol in wanted:
        if symbol not in known:
            raise Refusal(
                "unknown_symbol", NOT_IN_DATASET, field="symbols", symbol=symbol, dataset=str(dataset)
            )  # fmt: skip
    feed = Feed(
        name=name or free_name(f"replay-{dataset.name}"), kind=FeedKind.REPLAY, dataset=dataset,
        owner=None if everybody else actor, symbols=wanted, options={"speed": speed, "loop": loop},
    )  # fmt: skip
    return _created(feed, actor, {"dataset": str(dataset), "speed": speed})


@transaction.atomic
def source_create(
    *, actor: User | None, name: str, kind: str, symbols: Sequence[str] = (), calendar: str = "",
    options: Mapping[str, Any] | None = None,
) -> Feed:  # fmt: skip
    """Set up a WebSocket or QMT feed for everybody; only an administrator may (it opens connections from here).

    Options of a WebSocket: ``url``, ``mapping`` (``FieldMap``), ``subscribe`` (a text with ``{symbols}``; it and
    ``url`` may hold ``{secret}``), ``header`` (a name, whose value is the secret) and ``credential``, the name of the
    administrator's secret. A secret itself belongs in the vault. Raises ``Refusal`` at the field.
    """
    if actor is not None:
        require_feed_permission(actor, kind)
    given = dict(options or {})
    for text in TEXTS:
        value = given.get(text, "")
        if not isinstance(value, str) or len(value) > 2000 or not value.isprintable():
            raise Refusal("bad_option", BAD_OPTION, field=text, name=text)
    if kind == FeedKind.WEBSOCKET:
        checked_address(given.get("url", ""))
        mapping = given.get("mapping", {})
        FieldMap.read(mapping if isinstance(mapping, dict) else {"": ""})
    if calendar:
        market_status(calendar, timezone.now())
    kept = {key: given[key] for key in (*TEXTS, "mapping") if given.get(key)} if kind == FeedKind.WEBSOCKET else {}
    if actor is not None and kept.get("credential"):
        kept["credential_owner"] = actor.pk
    feed = Feed(name=name, kind=FeedKind(kind), symbols=checked_symbols(symbols), calendar=calendar, options=kept)
    return _created(feed, actor, {"kind": kind, "url": kept.get("url", "")})


def _created(feed: Feed, actor: User | None, details: dict[str, Any]) -> Feed:
    if slugify(feed.name).replace("-", "") != feed.name.lower().replace("-", "") or not 0 < len(feed.name) <= 64:
        raise Refusal("feed_name", NAME_TAKEN, field="name", name=feed.name[:64])
    try:
        with transaction.atomic():
            feed.save()
    except IntegrityError as error:
        raise Refusal("feed_name", NAME_TAKEN, status=409, field="name", name=feed.name) from error
    audit(actor, "feed.create", feed, {"name": feed.name, **details})
    return feed


def free_name(base: str) -> str:
    """Return ``base``, or with the lowest number behind it that is free."""
    base = base[:58]
    taken = set(Feed.objects.filter(name__startswith=base).values_list("name", flat=True))
    return next(name for name in (base, *(f"{base}-{n}" for n in range(2, len(taken) + 3))) if name not in taken)


def checked_symbols(symbols: Sequence[str]) -> list[str]:
    """Return the symbols as we name them, each once; raises ``Refusal`` ``bad_symbols``."""
    found = list(dict.fromkeys(canonical(symbol) for symbol in symbols if symbol.strip()))
    if len(found) > MOST_SYMBOLS or not all(usable_symbol(symbol) for symbol in found):
        raise Refusal("bad_symbols", NO_SYMBOLS, field="symbols", most=MOST_SYMBOLS)
    return found


@transaction.atomic
def feed_start(*, feed: Feed, actor: User | None) -> Feed:
    """Want ``feed`` to run: a worker starts it within a second or two. A finished replay begins anew."""
    if actor is not None:
        require_feed_permission(actor, feed.kind)
        running = Feed.objects.filter(owner=actor, wanted=True).exclude(pk=feed.pk).count()
        if feed.owner_id == actor.pk and running >= MOST_RUNNING:
            raise Refusal("feed_limit", TOO_MANY, status=409, count=running)
    anew = feed.state == FeedState.FINISHED
    values: dict[str, Any] = {"wanted": True, "failures": 0, "error": {}, "ended_at": None}
    if anew:
        values |= {"position": None, "state": FeedState.STOPPED}
    Feed.objects.filter(pk=feed.pk, wanted=False).update(**values)
    feed.refresh_from_db()
    audit(actor, "feed.start", feed, {"name": feed.name})
    return feed


@transaction.atomic
def feed_stop(*, feed: Feed, actor: User | None) -> Feed:
    """Want ``feed`` no more: its process stores what it has and ends; a replay keeps its place."""
    if actor is not None:
        require_feed_permission(actor, feed.kind)
    Feed.objects.filter(pk=feed.pk).update(wanted=False)
    Feed.objects.filter(pk=feed.pk).exclude(state=FeedState.RUNNING).update(lease_until=None)
    feed.refresh_from_db()
    audit(actor, "feed.stop", feed, {"name": feed.name})
    return feed


@transaction.atomic
def feed_delete(*, feed: Feed, actor: User | None) -> None:
    """Remove a feed that is not running, with its latest quotes and minutes; raw quotes go with retention."""
    if actor is not None:
        require_feed_permission(actor, feed.kind)
    if feed.wanted or is_held(feed, timezone.now()):
        raise Refusal("feed_running", RUNNING, status=409, feed=feed.name)
    audit(actor, "feed.delete", feed, {"name": feed.name, "quotes": feed.quote_count})
    feed.delete()
    transaction.on_commit(board.forget)


def is_held(feed: Feed, now: datetime) -> bool:
    """Tell whether a process runs ``feed`` as far as we have heard."""
    return feed.state == FeedState.RUNNING and feed.lease_until is not None and feed.lease_until > now


def embedded_replay() -> Feed | None:
    """Set up and want the replay that ``QP_QUOTES_REPLAY`` asks for, for everybody; without it, want it no more.

    Raises ``Refusal`` where the dataset is unknown or the speed cannot be.
    """
    feed = Feed.objects.filter(name=EMBEDDED).first()
    if not settings.QP_QUOTES_REPLAY:
        return feed_stop(feed=feed, actor=None) if feed is not None and feed.wanted else None
    dataset, speed = dataset_by_name(None, settings.QP_QUOTES_REPLAY), settings.QP_QUOTES_SPEED
    if feed is not None and (feed.dataset_id, feed.options.get("speed")) != (dataset.pk, speed):
        if is_held(feed, timezone.now()):  # by another host: it goes on
            return feed
        feed.delete()
        feed = None
    made = feed or replay_create(actor=None, dataset=dataset, speed=speed, loop=True, name=EMBEDDED)
    return feed_start(feed=made, actor=None) if not made.wanted else made


# A feed and the process that runs it


def feeds_due(now: datetime | None = None) -> QuerySet[Feed]:
    """Return the feeds that are wanted and run by nobody, and whose wait after a failure is over."""
    now = now or timezone.now()
    idle = ~Q(state=FeedState.RUNNING) | Q(lease_until=None) | Q(lease_until__lt=now)
    waits = Q(failures=0) | Q(ended_at=None)
    for count, seconds in enumerate(WAITS, start=1):
        this = Q(failures__gte=count) if count == len(WAITS) else Q(failures=count)
        waits |= this & Q(ended_at__lt=now - timedelta(seconds=seconds))
    return Feed.objects.filter(idle, waits, wanted=True).exclude(state=FeedState.FINISHED).order_by("pk")


def feed_claim(feed: Feed) -> Feed:
    """Take ``feed`` for this process; raises ``Refusal`` ``feed_taken`` where another has it."""
    now = timezone.now()
    free = ~Q(state=FeedState.RUNNING) | Q(lease_until=None) | Q(lease_until__lt=now)
    worker = f"{socket.gethostname()}:{os.getpid()}"[:80]
    won = Feed.objects.filter(free, pk=feed.pk, attempt=feed.attempt).update(
        attempt=F("attempt") + 1, state=FeedState.RUNNING, lease_until=now + LEASE, worker=worker, started_at=now,
        ended_at=None, connected=False, rate=0.0,
    )  # fmt: skip
    feed.refresh_from_db()
    if won != 1:
        raise Refusal("feed_taken", TAKEN, status=409, feed=feed.name, worker=feed.worker)
    return feed


def feed_end(feed: Feed, state: FeedState, error: Refusal | None = None) -> None:
    """Give ``feed`` back. A finished one is not wanted any more; a failed one is tried again after a wait."""
    values: dict[str, Any] = {"state": state, "lease_until": None, "connected": False, "rate": 0.0,
                              "ended_at": timezone.now()}  # fmt: skip
    if state == FeedState.FINISHED:
        values["wanted"] = False
    if error is not None:
        document = {"code": error.code, "message": error.message, "params": error.params}
        values |= {"failures": F("failures") + 1, "error": document}
    Feed.objects.filter(pk=feed.pk, attempt=feed.attempt).update(**values)
