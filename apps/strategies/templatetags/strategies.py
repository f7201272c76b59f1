"""Words of the strategies for templates."""

from django import template
from django.utils.translation import gettext

from apps.strategies.engine.registry import TYPES

register = template.Library()


@register.simple_tag
def type_label(key: str) -> str:
    """Return the word for a strategy type; the key of one that is no longer known."""
    kind = TYPES.get(key)
    return gettext(kind.label) if kind else key
