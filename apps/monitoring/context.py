"""What the shell around every page shows: navigation, counts, slots, unread notices.

Everything is lazy: a partial that does not print it costs no SQL; a page costs one query.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import get_language, gettext, pgettext

from apps.monitoring.selectors.shell import ShellCounts, shell_counts

#: What the place "Admin" of the rail holds besides its first page.
ADMIN_PAGES = ("/accounts/people/", "/accounts/groups/", "/accounts/audit/")


@dataclass(frozen=True)
class NavItem:
    """One place of the rail; ``short`` is its word on the phone, ``count`` what waits there."""

    key: str
    label: str
    short: str
    icon: str
    url: str
    current: bool
    count: int | None


@dataclass
class Shell:
    """The shell of one request."""

    request: HttpRequest

    @cached_property
    def person(self) -> Any:
        user = getattr(self.request, "user", None)
        return user if user is not None and user.is_authenticated else None

    @cached_property
    def counts(self) -> ShellCounts:
        return shell_counts(self.person) if self.person else ShellCounts()

    @cached_property
    def nav(self) -> list[NavItem]:
        """Where this person may go, in the order of the rail."""
        counts = self.counts
        places = [
            ("dashboard", gettext("Dashboard"), gettext("Dashboard"), "monitoring:dashboard", None),
            ("strategies", gettext("Strategies"), gettext("Strategies"), "strategies:list", counts.strategies),
            ("sessions", gettext("Sessions"), gettext("Sessions"), "sessions:list", counts.sessions),
            ("data", gettext("Market data"), pgettext("short", "Data"), "marketdata:list", counts.datasets),
            ("monitoring", gettext("Monitoring"), gettext("Monitoring"), "monitoring:overview", None),
        ]
        if self.person and self.person.is_staff:
            places.append(("admin", gettext("Admin"), gettext("Admin"), "accounts:people", None))
        return [self._item(*place) for place in places]

    def _item(self, key: str, label: str, short: str, name: str, count: int | None) -> NavItem:
        url = reverse(name)
        path = self.request.path
        here = path == url if url == "/" else path.startswith(ADMIN_PAGES if key == "admin" else url)
        return NavItem(key, label, short, key, url, here, count)

    @property
    def short_nav(self) -> list[NavItem]:
        """The four places of the phone's bottom bar."""
        return [item for item in self.nav if item.key in {"dashboard", "strategies", "sessions", "data"}]

    @property
    def more_nav(self) -> list[NavItem]:
        return [item for item in self.nav if item.key in {"monitoring", "admin"}]

    @property
    def unread(self) -> int:
        return self.counts.unread

    @property
    def slots_used(self) -> int:
        return self.counts.slots_used

    @property
    def slots_total(self) -> int:
        return self.counts.slots_total

    @cached_property
    def theme(self) -> str:
        """``light``, ``dark`` or nothing: as the system."""
        chosen = self.person.theme if self.person else self.request.COOKIES.get("theme", "")
        return chosen if chosen in {"light", "dark"} else ""

    @property
    def next_theme(self) -> str:
        return {"": "light", "light": "dark", "dark": ""}[self.theme]

    @cached_property
    def up(self) -> str:
        """The colour of a rise: red by default for Chinese readers, green elsewhere."""
        chosen = self.person.up_color if self.person else ""
        return chosen or ("red" if (get_language() or "").startswith("zh") else "green")

    @property
    def initials(self) -> str:
        name = self.person.get_full_name() or self.person.get_username() if self.person else ""
        words = name.replace(".", " ").replace("_", " ").split()
        return "".join(word[0] for word in words[:2]).upper() or "?"

    @property
    def environment(self) -> str:
        names = {"development": pgettext("environment", "Development"), "test": pgettext("environment", "Test")}
        return "" if settings.PRODUCTION else names.get(settings.QP_ENV, settings.QP_ENV)


def shell(request: HttpRequest) -> dict[str, Any]:
    """Context processor: ``shell`` for the base templates."""
    return {"shell": Shell(request)}
