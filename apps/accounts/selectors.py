"""Reading about people; each person reads only their own."""

from __future__ import annotations

from datetime import timedelta
from types import MappingProxyType

from django.db.models import Q, QuerySet
from django.http import Http404
from django.utils import timezone

from apps.accounts.models import ApiToken, Invitation, Notice, NoticeLevel, Role, User
from apps.accounts.permissions import require_permission
from apps.ui.prepared import Listed, prepared

#: How many notices float at once, and for how long one that is no error does where it is polled.
TOASTS = 3
RECENT = timedelta(seconds=12)
PEOPLE_SORTS = MappingProxyType(
    {
        "name": "username",
        "email": "email",
        "role": "role",
        "sessions": "max_concurrent_sessions",
        "login": "last_login",
    }
)


def tokens_of(user: User) -> QuerySet[ApiToken]:
    return ApiToken.objects.filter(user=user)


def token_for_user(user: User, pk: int) -> ApiToken:
    """Return a token of ``user``; another's is not there."""
    token = tokens_of(user).filter(pk=pk).first() if pk < 2**63 else None
    if token is None:
        raise Http404
    return token


def notices_of(user: User, unread: bool = False) -> QuerySet[Notice]:
    rows = Notice.objects.filter(user=user)
    return rows.filter(read_at=None) if unread else rows


def notice_for_user(user: User, pk: int) -> Notice:
    """Return a notice of ``user``; another's is not there."""
    notice = notices_of(user).filter(pk=pk).first() if pk < 2**63 else None
    if notice is None:
        raise Http404
    return notice


def toasts_of(user: User, recent: bool = False) -> list[Notice]:
    """Return what floats over every page: unread errors, and with ``recent`` what happened just now."""
    if not recent:
        return errors_of(user, TOASTS)
    wanted = Q(level=NoticeLevel.ERROR) | Q(created__gt=timezone.now() - RECENT)
    return list(notices_of(user, unread=True).filter(wanted)[:TOASTS])


def errors_of(user: User, most: int) -> list[Notice]:
    """Return the newest errors that ``user`` has not read."""
    return _errors.most(most)(user.pk)


@prepared
def _errors(person: int) -> QuerySet[Notice]:
    return Notice.objects.filter(user_id=person, read_at=None, level=NoticeLevel.ERROR)


def notices_listed(user: User, unread: bool = False) -> Listed[Notice]:
    """Return the notices of ``user`` for reading a page at a time."""
    return _notices.listed(user.pk, unread=unread)


@prepared
def _notices(person: int, *, unread: bool) -> QuerySet[Notice]:
    return notices_of(User(pk=person), unread)


def people(user: User, search: str = "", role: str = "", sort: str = "") -> QuerySet[User]:
    """Return everybody, for an administrator; an unknown ``sort`` is by name."""
    require_permission(user, "user.admin")
    key = PEOPLE_SORTS.get(sort.removeprefix("-"), "username")
    rows = User.objects.order_by(("-" if sort.startswith("-") else "") + key, "pk")
    if role in Role.values:
        rows = rows.filter(role=role)
    return rows.filter(Q(username__icontains=search) | Q(email__icontains=search)) if search else rows


def person(user: User, pk: int) -> User:
    require_permission(user, "user.admin")
    found = User.objects.filter(pk=pk).first() if pk < 2**63 else None
    if found is None:
        raise Http404
    return found


def open_invitations(user: User) -> QuerySet[Invitation]:
    require_permission(user, "user.admin")
    return Invitation.objects.filter(accepted_at=None, revoked_at=None).select_related("invited_by")


def open_invitation(user: User, pk: int) -> Invitation:
    found = open_invitations(user).filter(pk=pk).first() if pk < 2**63 else None
    if found is None:
        raise Http404
    return found
