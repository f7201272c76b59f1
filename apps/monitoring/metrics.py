"""Figures for Prometheus, worked out when it asks: nothing is counted that the database already knows."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterator

from django.conf import settings
from django.http import HttpRequest
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from apps.monitoring.engine.resources import resources
from apps.monitoring.selectors import system
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
            ("quant_sockets", "Live connections of this web process.", system.sockets()),
            ("quant_workers", "Workers heard of lately.", workers_alive()),
            ("quant_slots", "Sessions that may run at once.", settings.SLOTS),
            ("quant_cpu_ratio", "Share of all cores in use.", machine.cpu),
            ("quant_memory_ratio", "Share of memory in use.", machine.memory),
            ("quant_disk_ratio", "Share of the data disk in use.", machine.disk),
        ):
            yield GaugeMetricFamily(name, text, value)


_platform = CollectorRegistry(auto_describe=False)
_platform.register(PlatformCollector())


def exposition() -> bytes:
    """Return the counters of django-prometheus followed by the platform's own."""
    return generate_latest(REGISTRY) + generate_latest(_platform)


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
