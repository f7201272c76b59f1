"""Writing about people: audit rows, tickets, tokens, invitations, notices."""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Mapping
from datetime import timedelta
from smtplib import SMTPException
from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.mail import send_mail
from django.db import IntegrityError, models, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.accounts.audit_chain import seal_quietly
from apps.accounts.engine.redact import redacted
from apps.accounts.models import AuditEntry, Invitation, LoginLock, Notice, Role, SocketTicket, TokenGrant, User
from apps.accounts.permissions import require_permission
from apps.accounts.requests import current_address
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

logger = logging.getLogger(__name__)
TICKET_SECONDS = 60


def audit(
    actor: User | None,
    action: str,
    obj: models.Model | None = None,
    details: Mapping[str, Any] | None = None,
    address: str | None = None,
) -> AuditEntry:
    """Write one audit row: who did what to which object, from where; secrets do not belong in it."""
    entry = AuditEntry.objects.create(
        actor=actor,
        action=action,
        object_type=obj._meta.label_lower if obj is not None else "",
        object_id=str(obj.pk) if obj is not None else "",
        details=redacted(dict(details or {})),
        address=address or current_address.get() or None,
    )
    transaction.on_commit(seal_quietly, robust=True)
    return entry


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def ticket_create(user: User) -> str:
    """Return a ticket that opens one live connection within a minute."""
    ticket = secrets.token_urlsafe(32)
    SocketTicket.objects.filter(created__lt=timezone.now() - timedelta(hours=1)).delete()
    SocketTicket.objects.create(user=user, token_hash=_digest(ticket))
    return ticket


def ticket_use(ticket: str) -> User | None:
    """Return the user of a valid ticket and spend it; None for a wrong, old or spent one."""
    now = timezone.now()
    rows = SocketTicket.objects.filter(
        token_hash=_digest(ticket), used_at=None, created__gt=now - timedelta(seconds=TICKET_SECONDS)
    )
    found = rows.select_related("user").first()
    if found is None or not found.user.is_active or rows.update(used_at=now) != 1:
        return None
    return found.user


def log_out_everywhere(user: User, *, actor: User | None) -> None:
    """End every browser session, live socket and JWT of ``user``; tokens made by hand go on until revoked."""
    User.objects.filter(pk=user.pk).update(session_epoch=F("session_epoch") + 1)
    user.refresh_from_db(fields=["session_epoch"])
    TokenGrant.objects.filter(user=user, revoked_at=None).update(revoked_at=timezone.now())
    audit(actor, "login.end_all", user)


def login_unlock(*, actor: User | None, username: str) -> bool:
    """Forget the wrong passwords of ``username``; tell whether there were any. ``actor`` None is the command line."""
    if actor is not None:
        require_permission(actor, "user.admin")
    gone, _counts = LoginLock.objects.filter(kind="name", username=username.strip().lower()[:150]).delete()
    if gone:
        audit(actor, "login.unlock", None, {"username": username})
    return bool(gone)


def invitation_create(*, actor: User, email: str, role: str) -> tuple[Invitation, str]:
    """Return an invitation and the secret of its link; only an administrator may."""
    require_permission(actor, "user.admin")
    email = User.objects.normalize_email(email).strip()
    if User.objects.filter(email__iexact=email).exists():
        raise Refusal("email_taken", N_("Somebody with this e-mail address has an account already."), field="email")
    secret = secrets.token_urlsafe(32)
    Invitation.objects.filter(email__iexact=email, accepted_at=None, revoked_at=None).update(revoked_at=timezone.now())
    row = Invitation.objects.create(
        email=email,
        role=Role(role),
        invited_by=actor,
        token_hash=_digest(secret),
        expires_at=timezone.now() + timedelta(days=settings.QP_INVITATION_DAYS),
    )
    audit(actor, "user.invite", row, {"email": email, "role": role})
    return row, secret


def invitation_send(invitation: Invitation, link: str) -> bool:
    """Mail the link of an invitation; tell whether the mail server took it."""
    try:
        send_mail(
            _("Your invitation to Quant Platform"),
            _("You have been invited. Choose a name and a password here:") + f"\n\n{link}\n",
            None,
            [invitation.email],
        )
    except (OSError, SMTPException):
        logger.exception("invitation %s could not be mailed", invitation.pk)
        return False
    return True


def invitation_open(secret: str) -> Invitation:
    """Return the invitation of a link; refuse one that is spent, revoked, too old or made up."""
    row = Invitation.objects.filter(token_hash=_digest(secret), accepted_at=None, revoked_at=None).first()
    if row is None or row.expires_at < timezone.now():
        raise Refusal(
            "invitation_invalid",
            N_("This invitation is not valid any more. Ask an administrator for another one."),
            status=404,
        )
    return row


@transaction.atomic
def invitation_accept(*, secret: str, username: str, password: str) -> User:
    """Create the invited person; the link works once."""
    invitation = invitation_open(secret)
    user = User(username=username, email=invitation.email, role=invitation.role)
    user.max_concurrent_sessions = settings.QP_SESSIONS_PER_USER
    validate_password(password, user)
    user.set_password(password)
    spent = Invitation.objects.filter(pk=invitation.pk, accepted_at=None).update(accepted_at=timezone.now())
    if not spent:
        raise Refusal(
            "invitation_invalid",
            N_("This invitation is not valid any more. Ask an administrator for another one."),
            status=404,
        )
    user.full_clean()
    try:
        user.save()
    except IntegrityError as error:  # somebody took the name in this very moment
        raise Refusal("name_taken", N_("This name is taken."), status=409, field="username") from error
    Invitation.objects.filter(pk=invitation.pk).update(accepted_by=user)
    audit(user, "user.join", user, {"invitation": invitation.pk})
    return user


def invitation_revoke(invitation: Invitation, actor: User) -> None:
    require_permission(actor, "user.admin")
    if Invitation.objects.filter(pk=invitation.pk, accepted_at=None, revoked_at=None).update(revoked_at=timezone.now()):
        audit(actor, "user.uninvite", invitation, {"email": invitation.email})


#: What an administrator alone may change about a person.
LIMITS = ("role", "trading_enabled", "risk_level", "max_concurrent_sessions", "is_active")


def user_limits_update(*, actor: User, user: User, changes: Mapping[str, Any]) -> User:
    """Change role and limits of ``user``; each change is in the audit with its old value."""
    require_permission(actor, "user.admin")
    if user.pk == actor.pk and (changes.get("role", user.role) != user.role or changes.get("is_active") is False):
        raise Refusal("own_role", N_("You cannot take away your own role; another administrator can."), field="role")
    before = {name: getattr(user, name) for name in LIMITS}
    for name in LIMITS:
        if name in changes:
            setattr(user, name, changes[name])
    user.full_clean(exclude=["password"])
    user.save()
    changed = {name: [old, getattr(user, name)] for name, old in before.items() if old != getattr(user, name)}
    if changed:
        audit(actor, "user.limits", user, changed)
    return user


def notices_read(user: User, pk: int | None = None) -> int:
    """Mark one notice of ``user`` as read, or all; return how many were unread."""
    rows = Notice.objects.filter(user=user, read_at=None)
    return (rows.filter(pk=pk) if pk is not None else rows).update(read_at=timezone.now())
