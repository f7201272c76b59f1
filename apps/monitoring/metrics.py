"""Figures for Prometheus, worked out when it asks: nothing is counted that the database already knows."""

from __future__ import annotations

import hmac
import ipaddress
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from apps.marketdata.adapters import quote_tables
from apps.marketdata.feeds import Health, feed_health
from apps.marketdata.models import Feed
from apps.monitoring.engine.resources import resources
from apps.monitoring.selectors import system
from apps.sessions.live.presence import living
from apps.sessions.services.workers import workers_alive

CONTENT_TYPE = CONTENT_TYPE_LATEST


class PlatformCollector(Collector):
    """Sessions, queue, events, sockets, workers and the machine."""

    def collect(self) -> Iterator[Metric]:
        sessions = GaugeMetricFamily("quant_sessions", "Sessions by state.", labels=["state"])
        for row in system.sessions_by_state(None):
            sessions.add_metric([row.status], row.count)
        yield sessions
        machine = resources(settings.VAR_DIR)
        for name, text, value in (
            ("quant_queue_age_seconds", "Age of the oldest waiting session.", system.queue_age()),
            ("quant_events_per_second", "Rows of the live log a second, over a minute.", system.events_per_second()),
            ("quant_sockets", "Live connections of all web processes.", system.sockets()),
            ("quant_web_processes", "Web processes heard of lately.", living().count()),
            ("quant_workers", "Workers heard of lately.", workers_alive()),
            ("quant_slots", "Sessions that may run at once.", settings.SLOTS),
            ("quant_cpu_ratio", "Share of all cores in use.", machine.cpu),
            ("quant_memory_ratio", "Share of memory in use.", machine.memory),
            ("quant_disk_ratio", "Share of the data disk in use.", machine.disk),
        ):
            yield GaugeMetricFamily(name, text, value)
        yield from quote_metrics()


def quote_metrics() -> Iterator[Metric]:
    """Feeds, and the quotes they gave."""
    now = timezone.now()
    rows = [(feed, feed_health(feed, now)) for feed in Feed.objects.filter(Q(wanted=True) | Q(quote_count__gt=0))]
    for name, text, read in FEED_GAUGES:
        gauge = GaugeMetricFamily(name, text, labels=["feed"])
        for feed, health in rows:
            value = read(feed, health)
            if value is not None:
                gauge.add_metric([feed.name], value)
        yield gauge
    for name, text, count in FEED_COUNTERS:
        counter = CounterMetricFamily(name, text, labels=["feed"])
        for feed, _health in rows:
            counter.add_metric([feed.name], count(feed))
        yield counter
    refused = CounterMetricFamily("quant_feed_refused", "Bad quotes by reason.", labels=["feed", "reason"])
    for feed, _health in rows:
        for reason, number in feed.rejected.items():
            refused.add_metric([feed.name, reason], number)
    yield refused
    yield CounterMetricFamily("quant_quotes", "Quotes stored by all feeds.", quote_tables.head())


FEED_GAUGES: tuple[tuple[str, str, Callable[[Feed, Health], float | None]], ...] = (
    ("quant_feed_well", "1 when a feed is as it should be.", lambda feed, health: float(health.well)),
    ("quant_feed_wanted", "1 when a feed should run.", lambda feed, health: float(feed.wanted)),
    ("quant_feed_quotes_per_second", "Quotes a second.", lambda feed, health: feed.rate),
    ("quant_feed_silence_seconds", "Seconds since the last quote.", lambda feed, health: health.silence),
)
FEED_COUNTERS: tuple[tuple[str, str, Callable[[Feed], float]], ...] = (
    ("quant_feed_quotes", "Quotes stored.", lambda feed: feed.quote_count),
    ("quant_feed_repeated", "Quotes that said nothing new.", lambda feed: feed.repeated_count),
    ("quant_feed_late", "Quotes older than what was known.", lambda feed: feed.late_count),
    ("quant_feed_reconnects", "Connections opened again.", lambda feed: feed.reconnect_count),
)


_platform = CollectorRegistry(auto_describe=False)
_platform.register(PlatformCollector())


def exposition() -> bytes:
    """Return what this host's web processes counted, added up, followed by what the database knows."""
    return generate_latest(counted()) + generate_latest(_platform)


def counted() -> CollectorRegistry:
    """Return the counters of this process, or of all that share a folder for them."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    everybody = CollectorRegistry()
    _Everybody(everybody)  # type: ignore[no-untyped-call]
    return everybody


class _Everybody(MultiProcessCollector):
    """The counters of all processes; a file that its process has made and not yet filled holds none."""

    def collect(self) -> Iterable[Metric]:
        files = [path for path in Path(self._path).glob("*.db") if path.stat().st_size]
        return self.merge([str(path) for path in files], accumulate=True)  # type: ignore[no-untyped-call, no-any-return]


def may_scrape(request: HttpRequest) -> bool:
    """Tell whether this caller may read: by token, or from this machine where no token is set.

    A forwarded request comes from a proxy on this machine, not from this machine.
    """
    if settings.METRICS_TOKEN:
        given = request.headers.get("Authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {settings.METRICS_TOKEN}".encode())
    if "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
