"""What people are told. A notice is a code and its params; each reader sees it in their language.

Rooms register the sentences of their codes when they load.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext

from apps.accounts.models import Notice, NoticeLevel, User

_messages: dict[str, str] = {}


def register(code: str, message: str) -> None:
    """Register the msgid of ``code``; its ``%(name)s`` placeholders are the notice's params."""
    _messages[code] = message


def registered() -> Mapping[str, str]:
    return _messages


def notify(user: User, code: str, level: NoticeLevel | str = NoticeLevel.INFO, url: str = "", **params: Any) -> Notice:
    """Tell ``user`` something; inside the caller's transaction."""
    return Notice.objects.create(user=user, level=level, code=code, url=url, params=params)


def toasts_context(shown: Sequence[Notice], unread: int, *, polling: bool = False) -> dict[str, Any]:
    """Return the context of ``accounts/partials/notices.html``.

    ``state`` names what is shown, so that a poll that brings nothing new is not drawn (and read
    aloud) again.
    """
    for notice in shown:
        notice.text = notice_text(notice)  # type: ignore[attr-defined]
    state = ".".join(str(number) for number in (unread, *(notice.pk for notice in shown)))
    return {"toasts": shown, "unread": unread, "state": state, "polling": polling}


def notice_text(notice: Notice) -> str:
    """Return the sentence of ``notice`` in the active language; its code if nobody registered it."""
    message = _messages.get(notice.code)
    if message is None:
        return notice.code
    try:
        return gettext(message) % notice.params
    except (KeyError, TypeError, ValueError):
        return gettext(message)
