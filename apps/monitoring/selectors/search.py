"""One search over everything a person may see, and over the places and commands of the site."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext, pgettext

from apps.accounts.models import User
from apps.accounts.shares import stand_in, who
from apps.marketdata.models import Dataset
from apps.marketdata.selectors import dataset_list
from apps.sessions.models import Session
from apps.sessions.selectors import session_list
from apps.strategies.models import Strategy
from apps.strategies.selectors import strategy_visible
from apps.ui.engine.text import N_
from apps.ui.prepared import prepared

MOST = 6


@dataclass(frozen=True)
class Hit:
    label: str
    url: str
    icon: str
    note: str = ""


@dataclass(frozen=True)
class Group:
    title: str
    hits: list[Hit]


#: (label, further words that find it, URL name, icon, for administrators only)
PLACES: tuple[tuple[str, str, str, str, bool], ...] = (
    (N_("Dashboard"), "home overview 首页", "monitoring:dashboard", "dashboard", False),
    (N_("Strategies"), "strategy list 策略", "strategies:list", "strategies", False),
    (N_("Sessions"), "runs queue training backtest 会话 运行", "sessions:list", "sessions", False),
    (N_("Market data"), "datasets bars quotes 数据 行情", "marketdata:list", "data", False),
    (N_("Monitoring"), "workers resources health 监控", "monitoring:overview", "monitoring", False),
    (N_("Notices"), "alerts messages 通知", "accounts:notices", "bell", False),
    (N_("Profile"), "account language theme time zone password 个人", "accounts:profile", "admin", False),
    (N_("API tokens"), "token key api 令牌", "accounts:tokens", "key", False),
    (N_("Admin"), "administration users 管理", "admin:index", "admin", True),
)
COMMANDS: tuple[tuple[str, str, str, str, bool], ...] = (
    (N_("New strategy"), "create add 新建", "strategies:create", "plus", False),
    (N_("Import data"), "upload csv parquet 导入", "marketdata:import", "plus", False),
    (N_("Train or backtest a strategy"), "run start session 训练 回测", "strategies:list", "play", False),
)


def _fixed(rows: tuple[tuple[str, str, str, str, bool], ...], query: str, *, staff: bool) -> list[Hit]:
    words = query.casefold().split()
    hits = []
    for label, further, name, icon, administrators in rows:
        text = f"{gettext(label)} {label} {further}".casefold()
        if (staff or not administrators) and all(word in text for word in words):
            hits.append(Hit(gettext(label), reverse(name), icon))
    return hits


@prepared
def _strategies_named(person: int, query: str, *, role: str) -> QuerySet[Strategy]:
    rows = strategy_visible(stand_in(person, role)).filter(archived_at=None)
    return rows.filter(Q(name__icontains=query) | Q(description__icontains=query))[:MOST]


@prepared
def _sessions_named(person: int, query: str, *, role: str) -> QuerySet[Session]:
    return session_list(stand_in(person, role), search=query).prefetch_related(None)[:MOST]  # a hit shows no tags


@prepared
def _datasets_named(person: int, query: str, *, role: str) -> QuerySet[Dataset]:
    return dataset_list(stand_in(person, role), search=query)[:MOST]


def _strategies(user: User, query: str) -> list[Hit]:
    person, role = who(user)
    found = _strategies_named(person, query, role=role)
    return [Hit(s.name, reverse("strategies:detail", args=[s.pk]), "strategies", s.get_stage_display()) for s in found]


def _sessions(user: User, query: str) -> list[Hit]:
    person, role = who(user)
    found = (
        session_list(user, search=query).prefetch_related(None)[:MOST] if query.isdecimal()  # may be a number, too
        else _sessions_named(person, query, role=role)
    )  # fmt: skip
    return [
        Hit(f"{s.title} {s.pk}", reverse("sessions:detail", args=[s.pk]), "sessions", s.get_status_display())
        for s in found
    ]


def _datasets(user: User, query: str) -> list[Hit]:
    person, role = who(user)
    found = _datasets_named(person, query, role=role)
    return [Hit(str(d), reverse("marketdata:detail", args=[d.pk]), "data", d.get_verdict_display()) for d in found]


def search(user: User, query: str) -> list[Group]:
    """Return what ``query`` finds, in groups without an empty one; without a query the places and commands."""
    query = query.strip()[:100]
    groups = []
    if query:
        groups += [
            Group(gettext("Strategies"), _strategies(user, query)),
            Group(gettext("Sessions"), _sessions(user, query)),
            Group(gettext("Market data"), _datasets(user, query)),
        ]
    groups.append(Group(pgettext("palette", "Commands"), _fixed(COMMANDS, query, staff=user.is_staff)))
    groups.append(Group(gettext("Pages"), _fixed(PLACES, query, staff=user.is_staff)))
    return [group for group in groups if group.hits]
