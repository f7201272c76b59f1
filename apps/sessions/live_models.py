"""What the web processes tell each other about themselves: who lives, and who is connected to whom."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone


class WebProcess(models.Model):
    """A process that serves pages and sockets: its last beat, and what it has sent.

    ``name`` is its place (host, supervisor, slot): who comes after it there takes its place.
    """

    name = models.CharField(max_length=120, unique=True)
    host = models.CharField(max_length=120)
    pid = models.PositiveIntegerField()
    #: When the process was started, as the system says: another one may be given its pid.
    born = models.FloatField()
    started_at = models.DateTimeField(default=timezone.now)
    last_beat = models.DateTimeField(default=timezone.now)
    messages = models.PositiveBigIntegerField(default=0)
    opened = models.PositiveBigIntegerField(default=0)
    per_second = models.FloatField(default=0.0)

    def __str__(self) -> str:
        return self.name


class LiveConnection(models.Model):
    """An open socket, written when it opens and brought up to date with each beat of its process."""

    id = models.CharField(primary_key=True, max_length=32)
    process = models.ForeignKey(WebProcess, on_delete=models.CASCADE, related_name="connections")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="live_connections")
    address = models.CharField(max_length=64, blank=True)
    agent = models.CharField(max_length=200, blank=True)
    protocol = models.CharField(max_length=8)
    sessions = models.JSONField(default=list, blank=True)
    #: How many these are.
    following = models.PositiveIntegerField(default=0)
    opened = models.DateTimeField()
    activity = models.DateTimeField()
    sent = models.PositiveBigIntegerField(default=0)
    waiting = models.PositiveIntegerField(default=0)
    overflows = models.PositiveIntegerField(default=0)
    #: An administrator has closed it; its process does so.
    closing = models.BooleanField(default=False)

    def __str__(self) -> str:
        return self.id
