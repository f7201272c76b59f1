"""Notices on their way to the browser: found by the tail of each web process, for its own sockets.

They may be written by a worker, whose process has no sockets, so they are read from the
database. Rows are looked for by time with an overlap and remembered by id: ids are handed
out before commits, so "newer than the last id" would miss some.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from django.db.models import Count
from django.utils import timezone, translation

from apps.accounts.models import Notice
from apps.accounts.notices import notice_text
from apps.sessions.live.follower import Follower
from apps.sessions.live.frames import dump
from apps.sessions.live.source import own_connection

OVERLAP = timedelta(seconds=20)


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


def tell(found: Sequence[tuple[Notice, int]], followers: Iterable[Follower]) -> None:
    """Hand each notice to the sockets of its user. One that was told before, here or by another process, is not
    news for a socket that opened later."""
    for notice, unread in found:
        for follower in followers:
            if follower.user_id == notice.user_id and (notice.told_at is None or follower.since <= notice.told_at):
                follower.put(frame(notice, unread, follower.look.language))


@own_connection
def mark_told(found: Iterable[tuple[Notice, int]]) -> None:
    """Note that somebody was told; the first time counts."""
    fresh = [notice.pk for notice, _unread in found if notice.told_at is None]
    if fresh:
        Notice.objects.filter(pk__in=fresh, told_at=None).update(told_at=timezone.now())


def frame(notice: Notice, unread: int, language: str) -> str:
    """Return a notice in the reader's language."""
    with translation.override(language):
        text = notice_text(notice)
    body = {"id": notice.pk, "level": notice.level, "text": text, "url": notice.url, "unread": unread}
    return dump({"type": "notice", "code": notice.code, **body})
