"""Groups: people who share, and permissions they have besides their roles'."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Count, QuerySet
from django.http import Http404

from apps.accounts.models import GroupGrant, User
from apps.accounts.permissions import GRANTABLE, require_permission
from apps.accounts.services import audit
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_


def groups_list(user: User) -> QuerySet[Group]:
    """Return every group with ``people``, their number; for administrators."""
    require_permission(user, "user.admin")
    return Group.objects.annotate(people=Count("user", distinct=True)).prefetch_related("grants").order_by("name")


def group_for_admin(user: User, pk: int) -> Group:
    require_permission(user, "user.admin")
    found = Group.objects.filter(pk=pk).first() if pk < 2**31 else None
    if found is None:
        raise Http404
    return found


@transaction.atomic
def group_save(
    *, actor: User, name: str, permissions: Iterable[str], members: Iterable[User], group: Group | None = None
) -> Group:
    """Make a group, or change one: its name, its permissions and who belongs to it."""
    require_permission(actor, "user.admin")
    name = name.replace("\x00", "").strip()[:150]
    wanted, people = sorted(set(permissions)), list(members)
    if not name:
        raise Refusal("group_name", N_("Give the group a name."), field="name")
    if bad := [one for one in wanted if one not in GRANTABLE]:
        raise Refusal("group_permission", N_("No group can be given %(name)s."), field="permissions", name=bad[0][:64])
    if Group.objects.filter(name=name).exclude(pk=group.pk if group else 0).exists():
        raise Refusal("group_taken", N_("A group has this name already."), status=409, field="name")
    made = group is None
    group = group or Group()
    group.name = name
    group.save()
    before = {"permissions": sorted(group.grants.values_list("permission", flat=True)),
              "members": sorted(group.user_set.values_list("username", flat=True))}  # fmt: skip
    GroupGrant.objects.filter(group=group).exclude(permission__in=wanted).delete()
    for permission in wanted:
        GroupGrant.objects.get_or_create(group=group, permission=permission)
    group.user_set.set(people)
    after = {"permissions": wanted, "members": sorted(one.username for one in people)}
    if made or before != after:
        audit(
            actor, "group.create" if made else "group.change", group, {"name": name, "before": before, "after": after}
        )
    return group


@transaction.atomic
def group_delete(*, actor: User, group: Group) -> None:
    require_permission(actor, "user.admin")
    audit(actor, "group.delete", group, {"name": group.name})
    group.delete()
