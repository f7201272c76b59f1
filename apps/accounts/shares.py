"""Sharing: who besides the owner may read, or edit, one object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group
from django.db import IntegrityError, models, transaction
from django.db.models import Q, QuerySet
from django.http import Http404

from apps.accounts.models import Share, User
from apps.accounts.services import audit
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_


@dataclass(frozen=True)
class Shareable:
    """A model whose rows can be shared; ``owner`` names the field of its owner."""

    model: type[models.Model]
    word: str
    owner: str = "owner"

    @property
    def label(self) -> str:
        return self.model._meta.label_lower


#: By the word of the API (``strategy``, ``dataset``, ``session``); each room registers its own.
registry: dict[str, Shareable] = {}


def register(word: str, model: type[models.Model], owner: str = "owner") -> None:
    """Make the rows of ``model`` shareable; called in the ``ready`` of the room that owns it."""
    registry[word] = Shareable(model, word, owner)


def who(user: User | None) -> tuple[int, str]:
    """Return what decides what ``user`` may see, for a statement that is written once: ``stand_in`` makes it a user."""
    return (user.pk, user.role) if user is not None else (0, "")


def stand_in(person: int, role: str) -> User | None:
    """Return somebody who may see what the person of this number and role may; None, the program, without a role."""
    return User(pk=person, role=role) if role else None


def shared_ids(user: User, model: type[models.Model], *, write: bool = False) -> QuerySet[Any]:
    """Return the ids of rows of ``model`` shared with ``user`` or a group of theirs, as a subquery."""
    groups = User.groups.through.objects.filter(user_id=user.pk).values("group_id")
    rows = Share.objects.filter(Q(user=user) | Q(group__in=groups), object_type=model._meta.label_lower)
    if write:
        rows = rows.filter(can_edit=True)
    return rows.order_by().values("object_id")


def owned(user: User, word: str, pk: int) -> models.Model:
    """Return the object if ``user`` may share it: its owner or an administrator; else 404."""
    kind = registry.get(word)
    if kind is None or not 0 < pk < 2**63:
        raise Http404
    rows = kind.model._default_manager.filter(pk=pk)
    if not user.is_administrator:
        rows = rows.filter(**{kind.owner: user})
    found = rows.first()
    if found is None:
        raise Http404
    return found


def shares_of(obj: models.Model) -> QuerySet[Share]:
    """Return with whom ``obj`` is shared, newest first."""
    return Share.objects.filter(object_type=obj._meta.label_lower, object_id=obj.pk).select_related("user", "group")


@transaction.atomic
def share_create(*, actor: User, obj: models.Model, receiver: str, can_edit: bool = False) -> Share:
    """Share ``obj`` with a user name or ``group:NAME``; sharing again changes what they may do."""
    user, group = _receiver(actor, receiver)
    if user is not None and user.pk == getattr(obj, "owner_id", None):
        raise Refusal("share_owner", N_("That person owns it already."), field="receiver")
    try:
        row, _created = Share.objects.update_or_create(
            object_type=obj._meta.label_lower,
            object_id=obj.pk,
            user=user,
            group=group,
            defaults={"can_edit": can_edit, "created_by": actor},
        )
    except IntegrityError as error:  # somebody shared it in this very moment
        raise Refusal("share_twice", N_("It is shared with them already."), status=409, field="receiver") from error
    audit(actor, "share.create", obj, {"with": receiver, "edit": can_edit})
    return row


def _receiver(actor: User, receiver: str) -> tuple[User | None, Group | None]:
    """Return whom ``receiver`` names.

    Colleagues know each other's names; a name that does not exist is refused, at the field.
    """
    name = receiver.replace("\x00", "").strip()
    user = group = None
    if name.startswith("group:"):
        groups = Group.objects.filter(name=name.removeprefix("group:"))
        # An ordinary person shares with groups they belong to; others are not theirs to know.
        group = (groups if actor.is_administrator else groups.filter(user=actor)).first()
    else:
        user = User.objects.filter(username__iexact=name, is_active=True).first()
    if user is None and group is None:
        raise Refusal(
            "share_receiver", N_("Nobody is called that. Write a user name, or group:NAME."), field="receiver"
        )
    return user, group


@transaction.atomic
def share_delete(*, actor: User, obj: models.Model, pk: int) -> None:
    row = shares_of(obj).filter(pk=pk).first() if pk < 2**63 else None
    if row is None:
        raise Http404
    audit(actor, "share.delete", obj, {"with": str(row.user or row.group), "edit": row.can_edit})
    row.delete()
