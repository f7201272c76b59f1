"""Filters and tags every template uses: ``{% load ui %}``.

Numbers follow ``apps.ui.engine.numbers``; what is undefined shows as an en dash. Dates follow
the reader's language and time zone.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from django import template
from django.core.paginator import Page
from django.http import HttpRequest
from django.template.context import Context
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, gettext, ngettext

from apps.ui.engine import icons, numbers
from apps.ui.engine.charts.heat import HeatTable, heat_class
from apps.ui.engine.charts.model import Chart
from apps.ui.folding import constant_tag

register = template.Library()


def _float(value: Any) -> float | None:
    try:
        return None if value is None or value == "" else float(value)
    except (TypeError, ValueError):
        return None


def _language() -> str:
    return get_language() or "en"


@register.filter
def num(value: Any, decimals: int = 0) -> str:
    """1234.5|num:1 → 1,234.5"""
    return numbers.number(_float(value), decimals)


@register.filter
def signed(value: Any, decimals: int = 0) -> str:
    """731|signed → +731"""
    return numbers.number(_float(value), decimals, sign=True)


@register.filter
def pct(value: Any, decimals: int = 1) -> str:
    """0.123|pct → 12.3%"""
    return numbers.percent(_float(value), decimals)


@register.filter
def signed_pct(value: Any, decimals: int = 1) -> str:
    """-0.067|signed_pct → −6.7%"""
    return numbers.percent(_float(value), decimals, sign=True)


@register.filter
def points(value: Any, decimals: int = 1) -> str:
    """A difference of two fractions in percentage points: 0.222|points → +22.2 pp."""
    number = _float(value)
    if not numbers.defined(number):
        return numbers.NONE
    text = numbers.number((number or 0.0) * 100, decimals, sign=True)
    # Translators: percentage points
    return gettext("%(number)s pp") % {"number": text}


@register.filter
def money(value: Any, currency: str = "") -> str:
    """1014810|money:"USD" → USD 1,014,810; below 1,000 with cents."""
    number = _float(value)
    text = numbers.number(number, 2 if number is not None and abs(number) < 1000 else 0)
    return f"{currency} {text}" if currency and numbers.defined(number) else text


@register.filter
def figure(value: Any, digits: int = 4) -> str:
    """A parameter with about ``digits`` significant digits: 0.000095|figure → 9.5e−5"""
    return numbers.compact(_float(value), digits)


@register.filter
def size(value: Any) -> str:
    """Bytes: 1800000|size → 1.8 MB"""
    return numbers.size(_float(value))


@register.filter
def direction(value: Any) -> str:
    """The class of a signed value: ``up``, ``down`` or nothing."""
    number = _float(value)
    return "" if not numbers.defined(number) or not number else "up" if number > 0 else "down"


@register.filter
def percent_int(value: Any) -> int:
    """A fraction as a whole percentage between 0 and 100, for ``<progress>``."""
    return max(0, min(100, round((_float(value) or 0.0) * 100)))


def _local(value: date | datetime) -> date | datetime:
    return timezone.localtime(value) if isinstance(value, datetime) and timezone.is_aware(value) else value


@register.filter
def day(value: date | datetime | None) -> str:
    """3 Jan 2011, or 2011-01-03 in Chinese. Bars carry their exchange day at 00:00 UTC: use ``bar_day``."""
    return numbers.NONE if not value else numbers.day_text(_local(value), _language())


@register.filter
def bar_day(value: date | datetime | None) -> str:
    """The day of a bar, never moved by the reader's time zone."""
    return numbers.NONE if not value else numbers.day_text(value, _language())


@register.filter
def moment(value: datetime | None) -> str:
    """Day and time in the reader's time zone: 3 Jan 2011, 15:42."""
    if not value:
        return numbers.NONE
    local = _local(value)
    return f"{numbers.day_text(local, _language())}, {local:%H:%M}"


@register.filter
def zone_name(value: datetime | None) -> str:
    """The reader's time zone at that moment: UTC, CET, +08."""
    return "" if not value else timezone.localtime(value).tzname() or ""


@register.filter
def drop(value: Any, decimals: int = 1) -> str:
    """A drawdown as a loss, whichever sign it is kept with: 0.23 → −23.0%."""
    number = _float(value)
    return numbers.percent(None if number is None else -abs(number), decimals)


@register.filter
def duration(value: float | timedelta | None) -> str:
    """Seconds as a clock: 18:42, or 1:02:03."""
    return numbers.clock(value.total_seconds() if isinstance(value, timedelta) else _float(value))


@register.filter
def span(value: float | timedelta | None) -> str:
    """Seconds in words, two units at most: 11 min, 3 h 42 min, 2 d, 13 y."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else _float(value)
    if seconds is None or not numbers.defined(seconds):
        return numbers.NONE
    whole = max(0, round(seconds))
    if whole < 60:
        return gettext("%(count)s s") % {"count": whole}
    if whole < 3600:
        return gettext("%(count)s min") % {"count": whole // 60}
    if whole < 86_400:
        hours, minutes = whole // 3600, whole % 3600 // 60
        text = gettext("%(hours)s h %(minutes)s min") if minutes else gettext("%(hours)s h")
        return text % {"hours": hours, "minutes": minutes}
    days = whole // 86_400
    if days < 730:
        return gettext("%(count)s d") % {"count": days}
    return gettext("%(count)s y") % {"count": int(days / 365.25)}


@register.filter
def ago(value: datetime | None) -> str:
    """How long ago: just now, 9 s ago, 3 h 42 min ago."""
    if not value:
        return numbers.NONE
    seconds = (timezone.now() - value).total_seconds()
    if seconds < 2:
        return gettext("just now")
    return gettext("%(span)s ago") % {"span": span(seconds)}


@constant_tag(register)
def icon(name: str) -> SafeString:
    """A 16-px icon of ``apps.ui.engine.icons``."""
    return mark_safe(icons.icon_svg(name))  # noqa: S308 - a constant of ours


@constant_tag(register)
def shape(name: str) -> SafeString:
    """The 12-px shape of a state alone; give it a word beside it."""
    look = icons.STATES.get(name)
    return mark_safe(icons.shape_svg(look.shape if look else name))  # noqa: S308 - a constant of ours


@constant_tag(register)
def state(status: str, label: str = "") -> SafeString:
    """The shape and the word of a state; ``label`` replaces the word."""
    look = icons.STATES.get(str(status), icons.UNKNOWN)
    word = label or (gettext(look.word) if look.word else str(status))
    drawn = mark_safe(icons.shape_svg(look.shape))  # noqa: S308 - a constant of ours
    return format_html('<span class="stt">{}{}</span>', drawn, word)


@register.filter
def state_word(status: str) -> str:
    """The word of a state in the reader's language."""
    look = icons.STATES.get(str(status), icons.UNKNOWN)
    return gettext(look.word) if look.word else str(status)


@register.filter
def heat(value: Any, scale: Any) -> str:
    """The class of a heat cell: ``hu1`` … ``hu5`` above zero, ``hd1`` … ``hd5`` below."""
    return heat_class(_float(value), _float(scale) or 0.0)


@register.inclusion_tag("ui/partials/heat.html")
def heat_table(table: HeatTable) -> dict[str, Any]:
    """The table of ``charts.heat.heat_table``; turned (months down) on the phone."""
    return {"table": table, "turned": table.turned()}


@register.simple_tag
def chart_svg(chart: Chart) -> SafeString:
    """The drawing of a chart at desktop and phone width; CSS shows one of them."""
    return mark_safe(chart.html(_language()))  # noqa: S308 - the chart escapes its texts


@register.inclusion_tag("ui/partials/pagination.html", takes_context=True)
def pagination(context: Context, page: Page, parameter: str = "page", label: str = "") -> dict[str, Any]:
    """Previous and next, and which rows are shown; the other parameters of the URL stay.

    ``label`` says whose pages they are where a page has several tables.
    """
    return {
        "label": label,
        "page": page,
        "previous": _with(context, parameter, page.previous_page_number()) if page.has_previous() else "",
        "next": _with(context, parameter, page.next_page_number()) if page.has_next() else "",
        "rows": ngettext("%(count)s row", "%(count)s rows", page.paginator.count)
        % {"count": numbers.number(page.paginator.count)},
    }


def _with(context: Context, name: str, value: object, *, drop: str = "") -> str:
    request: HttpRequest | None = context.get("request")
    query = request.GET.copy() if request else HttpRequest().GET.copy()
    query.pop(drop, None)
    query[name] = str(value)
    return "?" + query.urlencode()


@register.simple_tag(takes_context=True)
def sort_header(context: Context, key: str, label: str, css: str = "", parameter: str = "sort") -> SafeString:
    """A column head that sorts by ``key``: first click ascending, second descending.

    The view reads ``?sort=key`` or ``?sort=-key`` and must accept only keys it knows.
    """
    request: HttpRequest | None = context.get("request")
    now = request.GET.get(parameter, "") if request else ""
    order = {key: "ascending", f"-{key}": "descending"}.get(now, "")
    target = _with(context, parameter, f"-{key}" if order == "ascending" else key, drop="page")
    aria = format_html(' aria-sort="{}"', order) if order else ""
    return format_html('<th scope="col" class="{}"{}><a href="{}">{}</a></th>', css, aria, target, label)
