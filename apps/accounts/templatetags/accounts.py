"""Tags of the accounts room for the shell around every page."""

from __future__ import annotations

from typing import Any

from django import template
from django.apps import apps
from django.template.context import Context
from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts.audit_pages import OBJECTS
from apps.accounts.engine import words
from apps.accounts.models import User
from apps.accounts.notices import toasts_context
from apps.accounts.selectors import toasts_of

register = template.Library()


@register.filter
def action_word(code: str) -> str:
    """Return what an act of the trail is called; the code itself where it has no word."""
    return gettext(words.ACTIONS[code]) if code in words.ACTIONS else code


@register.filter
def object_word(label: str) -> str:
    """Return what a kind of object of the trail is called; its label where no model bears it any more."""
    try:
        return str(apps.get_model(label)._meta.verbose_name)
    except (LookupError, ValueError):
        return label


@register.filter
def object_page(entry: Any) -> str:
    """Return the address of the page of what an act was done to; "" where there is none."""
    page = OBJECTS.get(entry.object_type, "")
    return reverse(page, args=[entry.object_id]) if page and entry.object_id.isdecimal() else ""


@register.filter
def plain_value(value: Any) -> str:
    """Write a value of an act's details as people do: a list by commas, not by Python's brackets."""
    return ", ".join(str(part) for part in value) if isinstance(value, list | tuple) else str(value)


@register.filter
def kind_word(code: str) -> str:
    """Return what a kind of secret is called."""
    return gettext(words.KIND_WORDS[code]) if code in words.KIND_WORDS else code


@register.filter
def permission_word(code: str) -> str:
    """Return what a permission lets people do."""
    return gettext(words.PERMISSION_WORDS[code]) if code in words.PERMISSION_WORDS else code


@register.filter
def device_name(agent: str) -> str:
    """Return the browser and system a ``User-Agent`` names."""
    return words.device_name(agent)


@register.inclusion_tag("accounts/partials/notices.html", takes_context=True)
def toasts(context: Context) -> dict[str, Any]:
    """The unread errors of this person; costs a query only where something is unread."""
    unread = context["shell"].unread
    shown = toasts_of(context["request"].user) if unread else []
    return {**toasts_context(shown, unread), "csrf_token": context.get("csrf_token")}


@register.inclusion_tag("accounts/partials/share_link.html", takes_context=True)
def share_link(context: Context, word: str, obj: Any) -> dict[str, Any]:
    """The link to an object's sharing, for who may change it; nothing for others."""
    user = context["request"].user
    mine = isinstance(user, User) and (user.is_administrator or obj.owner_id == user.pk)
    return {"mine": mine and obj.owner_id is not None, "word": word, "object": obj}
