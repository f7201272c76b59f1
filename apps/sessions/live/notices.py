"""Notices on their way to the browser: found by the tail, sent to the group of their user.

They may be written by a worker, whose process has no sockets, so they are read from the
database. Rows are looked for by time with an overlap and remembered by id: ids are handed
out before commits, so "newer than the last id" would miss some.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from channels.layers import get_channel_layer
from django.db.models import Count
from django.utils import timezone, translation

from apps.accounts.models import Notice
from apps.accounts.notices import notice_text
from apps.sessions.live.follower import Follower
from apps.sessions.live.frames import dump
from apps.sessions.live.source import own_connection

OVERLAP = timedelta(seconds=20)


def group_of(user_id: int) -> str:
    return f"user.{user_id}"


@own_connection
def fresh(users: Iterable[int], known: Iterable[int]) -> list[tuple[Notice, int]]:
    """Return notices of the last seconds for ``users`` that are not ``known``, each with how many
    its user has not read."""
    recent = Notice.objects.filter(user_id__in=list(users), created__gt=timezone.now() - OVERLAP, read_at=None)
    found = list(recent.exclude(pk__in=list(known)).order_by("pk"))
    mine = {notice.user_id for notice in found}
    unread = (
        Notice.objects.filter(user_id__in=mine, read_at=None).values_list("user_id").annotate(Count("pk"))
        if mine
        else ()
    )
    counts = dict(unread)
    return [(notice, counts.get(notice.user_id, 0)) for notice in found]


async def announce(notice: Notice, unread: int) -> None:
    layer = get_channel_layer()
    if layer is not None:
        said = {name: getattr(notice, name) for name in ("pk", "code", "level", "url", "params")}
        await layer.group_send(group_of(notice.user_id), {"type": "notice.new", "unread": unread, **said})


def frame(event: dict[str, Any], protocol: str, language: str) -> str:
    """Return a notice in the reader's language."""
    with translation.override(language):
        text = notice_text(Notice(code=event["code"], params=event["params"]))
    body = {"id": event["pk"], "level": event["level"], "text": text, "url": event["url"], "unread": event["unread"]}
    return dump({"type": "notice", "code": event["code"], **body})


async def deliver(follower: Follower, event: dict[str, Any]) -> None:
    follower.put(frame(event, follower.protocol, follower.look.language))
