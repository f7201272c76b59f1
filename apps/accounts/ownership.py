"""What happens to somebody's things when they leave: another person owns them."""

from __future__ import annotations

from django.apps import apps
from django.db import models, transaction
from django.utils import timezone

from apps.accounts.models import ApiToken, Share, TokenGrant, User
from apps.accounts.permissions import require_permission
from apps.accounts.services import audit, log_out_everywhere
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

#: Secrets are personal: they are removed, never handed on.
PERSONAL = frozenset({"accounts.credential"})


def owned_models() -> list[type[models.Model]]:
    """Return every model with an ``owner`` who is a person, of whatever room."""
    found = []
    for model in apps.get_models():
        field = next((one for one in model._meta.concrete_fields if one.name == "owner"), None)
        if field is not None and field.related_model is User and model._meta.label_lower not in PERSONAL:
            found.append(model)
    return found


@transaction.atomic
def ownership_transfer(*, actor: User | None, leaver: User, heir: User, deactivate: bool = True) -> dict[str, int]:
    """Move all that ``leaver`` owns to ``heir`` and close the account; return how many rows of each kind.

    ``actor`` None is the command line.
    """
    if actor is not None:
        require_permission(actor, "user.admin")
    if leaver.pk == heir.pk or not heir.is_active:
        raise Refusal("transfer_heir", N_("Choose another, active person who takes over."), field="heir")
    if actor is not None and actor.pk == leaver.pk:
        raise Refusal("own_role", N_("You cannot take away your own role; another administrator can."), field="heir")
    moved: dict[str, int] = {}
    for model in owned_models():
        count = sum(_move(row, leaver, heir) for row in model._default_manager.filter(owner=leaver).order_by("pk"))
        if count:
            moved[model._meta.label_lower] = count
    Share.objects.filter(user=leaver).delete()
    leaver.credentials.all().delete()
    if deactivate:
        now = timezone.now()
        ApiToken.objects.filter(user=leaver, revoked_at=None).update(revoked_at=now)
        TokenGrant.objects.filter(user=leaver, revoked_at=None).update(revoked_at=now)
        leaver.is_active = False
        leaver.save(update_fields=["is_active", "is_staff", "is_superuser"])
        log_out_everywhere(leaver, actor=actor)
    audit(actor, "user.leave", leaver, {"heir": heir.username, "moved": moved, "deactivated": deactivate})
    return moved


def _move(row: models.Model, leaver: User, heir: User) -> int:
    """Give one row to ``heir``; a name the heir uses already gets the leaver's behind it."""
    table = type(row)._default_manager
    change: dict[str, object] = {"owner": heir}
    name = getattr(row, "name", None)
    unique = any(
        {"owner", "name"} <= set(c.fields) for c in row._meta.constraints if isinstance(c, models.UniqueConstraint)
    )
    if unique and isinstance(name, str):
        change["name"] = _free_name(type(row), name, leaver, heir)
    return int(table.filter(pk=row.pk).update(**change))


def _free_name(model: type[models.Model], name: str, leaver: User, heir: User) -> str:
    taken = model._default_manager.filter(owner=heir)
    length = getattr(model._meta.get_field("name"), "max_length", None) or 80
    candidate, number = name, 1
    while taken.filter(name=candidate).exists():
        tail = f" ({leaver.username})" if number == 1 else f" ({leaver.username} {number})"
        candidate, number = name[: length - len(tail)] + tail, number + 1
    return candidate
