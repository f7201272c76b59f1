"""Named permissions and the roles that have them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet

from apps.accounts.models import GroupGrant, Role, User
from apps.ui.prepared import prepared

ALL = frozenset(Role)
ADVANCED = frozenset({Role.ADVANCED, Role.ADMINISTRATOR})
ADMINISTRATOR = frozenset({Role.ADMINISTRATOR})

PERMISSIONS: Mapping[str, frozenset[Role]] = MappingProxyType(
    {
        "strategy.edit": ALL,
        "session.run": ALL,
        "trade.paper": ALL,
        "trade.live": ADVANCED,
        "data.override": ADVANCED,
        "feed.replay": ADVANCED,
        "feed.live": ADMINISTRATOR,
        "risk.edit": ADMINISTRATOR,
        "user.admin": ADMINISTRATOR,
        "audit.read": ADMINISTRATOR,
    }
)
#: What a group can give its members besides their role; administration stays with the role.
GRANTABLE = frozenset(PERMISSIONS) - {"user.admin", "risk.edit", "feed.live"}
#: These need ``trading_enabled`` as well, whatever the role.
TRADING = frozenset({"trade.paper", "trade.live"})


def has_permission(user: User, name: str) -> bool:
    """Tell whether ``user`` may do ``name`` by role or by group; an unknown name is a programming error (KeyError)."""
    roles = PERMISSIONS[name]
    if not user.is_active or (name in TRADING and not user.trading_enabled):
        return False
    return user.role in roles or name in granted(user)


@prepared
def _grants(person: int) -> QuerySet[GroupGrant, str]:
    return GroupGrant.objects.filter(group__user=person).values_list("permission", flat=True)


def granted(user: User) -> frozenset[str]:
    """Return what the groups of ``user`` grant; one query for as long as the object lives."""
    kept: frozenset[str] | None = user.__dict__.get("_granted")
    if kept is None:
        names = _grants(user.pk) if user.pk else []
        kept = user.__dict__["_granted"] = frozenset(names) & GRANTABLE
    return kept


def permissions_of(user: User) -> list[str]:
    """Return the names of all that ``user`` may do, sorted."""
    return sorted(name for name in PERMISSIONS if has_permission(user, name))


def require_permission(user: User, name: str) -> None:
    """Raise ``PermissionDenied`` unless ``user`` may do ``name``."""
    if not has_permission(user, name):
        raise PermissionDenied(name)
