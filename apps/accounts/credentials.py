"""Secrets of people for brokers and sources: written, used by the program, rotated, removed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone

from apps.accounts import vault
from apps.accounts.models import Credential, User
from apps.accounts.services import audit
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

KINDS = ("broker", "source", "model", "mail", "other")
MOST_BYTES = 8_192


def credentials_of(user: User) -> QuerySet[Credential]:
    return Credential.objects.filter(owner=user)


def credential_for_user(user: User, pk: int) -> Credential:
    """Return a credential of ``user``; another's is not there, not even for an administrator."""
    found = credentials_of(user).filter(pk=pk).first() if pk < 2**63 else None
    if found is None:
        raise Http404
    return found


@transaction.atomic
def credential_set(*, owner: User, name: str, kind: str, secret: Mapping[str, Any] | str) -> Credential:
    """Keep ``secret`` (a text, or named fields) of ``owner`` under ``name``, replacing what was there."""
    name = name.replace("\x00", "").strip()[:80]
    if not name:
        raise Refusal("credential_name", N_("Give the secret a name, so that it can be chosen."), field="name")
    if kind not in KINDS:
        raise Refusal("credential_kind", N_("The kind is one of %(known)s."), field="kind", known=", ".join(KINDS))
    text = secret if isinstance(secret, str) else json.dumps(dict(secret), ensure_ascii=False)
    if not text or len(text.encode()) > MOST_BYTES:
        raise Refusal("credential_size", N_("Enter a secret of up to 8 kB."), field="secret")
    row, created = Credential.objects.update_or_create(
        owner=owner, name=name, defaults={"kind": kind, "sealed": vault.seal(text), "changed_at": timezone.now()}
    )
    audit(owner, "secret.create" if created else "secret.change", row, {"name": row.name, "kind": kind})
    return row


def credential_open(owner: User, name: str) -> vault.Secret:
    """Return the secret for the program's own use (a broker's log-in) and note the use."""
    row = credentials_of(owner).filter(name=name).first()
    if row is None:
        raise Refusal("credential_unknown", N_("You have no secret called %(name)s."), status=404, name=name[:80])
    Credential.objects.filter(pk=row.pk).update(last_used_at=timezone.now())
    return vault.open_sealed(row.sealed)


@transaction.atomic
def credential_delete(credential: Credential, actor: User) -> None:
    audit(actor, "secret.delete", credential, {"name": credential.name, "kind": credential.kind})
    credential.delete()


@transaction.atomic
def rotate_all(actor: User | None = None) -> int:
    """Seal everything again under the newest key; return how many secrets that were."""
    from allauth.mfa.models import Authenticator

    count = 0
    for row in Credential.objects.select_for_update().order_by("pk"):
        Credential.objects.filter(pk=row.pk).update(sealed=vault.reseal(row.sealed))
        count += 1
    for factor in Authenticator.objects.select_for_update().order_by("pk"):
        changed = {key: vault.reseal(factor.data[key]) for key in ("secret", "seed") if key in factor.data}
        if changed:
            Authenticator.objects.filter(pk=factor.pk).update(data={**factor.data, **changed})
            count += 1
    audit(actor, "secret.rotate", None, {"secrets": count})
    return count
