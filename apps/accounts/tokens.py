"""Log-ins of programs: API tokens made by hand, and pairs of a short JWT and a refresh token."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from apps.accounts.engine.addresses import inside, networks
from apps.accounts.engine.scopes import EVERYTHING, SCOPES, allows, unknown
from apps.accounts.models import ApiToken, TokenGrant, User
from apps.accounts.permissions import permissions_of
from apps.accounts.requests import current_address
from apps.accounts.services import audit
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_
from apps.ui.prepared import prepared

ALGORITHM = "HS256"
#: A busy program would otherwise write on every request.
USE_NOTED_EVERY = timedelta(minutes=1)
SPENT = N_("This refresh token is spent, revoked or too old. Log in again.")


@dataclass(frozen=True)
class Caller:
    """Whom a token speaks for, and what it may reach."""

    user: User
    scopes: tuple[str, ...]


def digest(token: str) -> str:
    """Return the hash under which a token is kept."""
    return hashlib.sha256(token.encode()).hexdigest()


def check_scopes(scopes: Iterable[str], held: Sequence[str] = (EVERYTHING,)) -> list[str]:
    """Return ``scopes`` without doubles; refuses unknown ones and more than ``held`` covers."""
    wanted = sorted(set(scopes)) or [EVERYTHING]
    if bad := unknown(wanted):
        raise Refusal(
            "unknown_scope", N_("There is no scope %(name)s."), field="scopes", name=bad[0][:64], known=list(SCOPES)
        )
    if any(not allows(held, scope) for scope in wanted):
        raise Refusal("scope_missing", N_("A token cannot give more than it has."), status=403, field="scopes")
    return wanted


def token_create(
    user: User,
    name: str,
    expires_at: datetime | None = None,
    *,
    scopes: Iterable[str] = (EVERYTHING,),
    addresses: Iterable[str] = (),
) -> tuple[ApiToken, str]:
    """Return a new API token and its plain text, which is shown once and not kept."""
    name = name.replace("\x00", "").strip()
    if not name:
        raise Refusal("token_name", N_("Give the token a name, so that you know it again."), field="name")
    try:
        allowed = networks(addresses)
    except ValueError as error:
        message = N_("%(text)s is no address; write one such as 192.0.2.7 or 192.0.2.0/24.")
        raise Refusal("token_address", message, field="addresses", text=str(error)[:64]) from error
    plain = "qp_" + secrets.token_urlsafe(32)
    with transaction.atomic():
        row = ApiToken.objects.create(
            user=user, name=name[:80], prefix=plain[:8], token_hash=digest(plain), expires_at=expires_at,
            scopes=check_scopes(scopes), addresses=allowed,
        )  # fmt: skip
        audit(user, "token.create", row, {"name": row.name, "scopes": row.scopes, "addresses": allowed})
    return row, plain


def token_revoke(token: ApiToken, actor: User) -> None:
    """End a token at once; ending it twice does nothing."""
    if ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now()):
        audit(actor, "token.revoke", token, {"name": token.name})


def _keys() -> list[str]:
    """Return the signing keys, newest first: what signs sessions must not sign JWTs as well."""
    secret_keys: list[str] = [str(settings.SECRET_KEY), *map(str, settings.SECRET_KEY_FALLBACKS)]
    return [hashlib.sha256(f"quant-platform jwt|{key}".encode()).hexdigest() for key in secret_keys]


def grant_create(user: User, scopes: Iterable[str] = (EVERYTHING,), family: uuid.UUID | None = None) -> dict[str, Any]:
    """Return a new pair for ``user``: an access JWT and the refresh token that replaces it once."""
    refresh = "qpr_" + secrets.token_urlsafe(32)
    now = timezone.now()
    row = TokenGrant.objects.create(
        user=user, family=family or uuid.uuid4(), refresh_hash=digest(refresh), scopes=check_scopes(scopes),
        epoch=user.session_epoch, address=current_address.get() or None,
        expires_at=now + timedelta(days=settings.QP_REFRESH_DAYS),
    )  # fmt: skip
    seconds = settings.QP_JWT_SECONDS
    access = jwt.encode(
        {
            "user_id": user.pk,
            "permissions": permissions_of(user),
            "trading_enabled": user.trading_enabled,
            "risk_level": user.risk_level,
            "scopes": row.scopes,
            "iat": int(now.timestamp()),
            "exp": int(now.timestamp()) + seconds,
            "jti": str(row.jti),
        },
        _keys()[0],
        ALGORITHM,
    )
    return {
        "token": access, "token_type": "Bearer", "expires_in": seconds,
        "expires_at": datetime.fromtimestamp(int(now.timestamp()) + seconds, UTC),
        "refresh_token": refresh, "refresh_expires_at": row.expires_at, "scopes": row.scopes,
    }  # fmt: skip


def grant_refresh(refresh: str) -> dict[str, Any]:
    """Return the next pair of a refresh token; one used twice was stolen, and its whole family ends."""
    now = timezone.now()
    row = TokenGrant.objects.select_related("user").filter(refresh_hash=digest(refresh)).first()
    if row is None or row.revoked_at or row.expires_at <= now or not _alive(row):
        raise Refusal("refresh_invalid", SPENT, status=401)
    if TokenGrant.objects.filter(pk=row.pk, spent_at=None, revoked_at=None).update(spent_at=now) != 1:
        TokenGrant.objects.filter(family=row.family, revoked_at=None).update(revoked_at=now)
        audit(row.user, "token.reuse", row, {"family": str(row.family)})
        raise Refusal("refresh_reused", SPENT, status=401)
    return grant_create(row.user, row.scopes, row.family)


def grant_revoke(token: str) -> None:
    """End the family of a refresh token or of an access JWT; a wrong one says nothing."""
    row = TokenGrant.objects.filter(refresh_hash=digest(token)).first() or _grant_of(token)
    if row is not None and TokenGrant.objects.filter(family=row.family, revoked_at=None).update(
        revoked_at=timezone.now()
    ):
        audit(row.user, "token.revoke", row, {"family": str(row.family)})


def _alive(row: TokenGrant) -> bool:
    return row.user.is_active and row.epoch == row.user.session_epoch


def _grant_of(token: str) -> TokenGrant | None:
    """Return the grant of a JWT that we signed and that has not expired."""
    for key in _keys():
        try:
            claims = jwt.decode(token, key, [ALGORITHM], options={"require": ["exp", "iat", "jti", "user_id"]})
            jti = uuid.UUID(str(claims["jti"]))
        except (jwt.InvalidTokenError, ValueError):
            continue
        return TokenGrant.objects.select_related("user").filter(jti=jti, user_id=claims["user_id"]).first()
    return None


@prepared
def _token(hashed: str) -> QuerySet[ApiToken]:
    return ApiToken.objects.select_related("user").filter(token_hash=hashed, revoked_at=None)


def caller_of(token: str, address: str = "") -> Caller | None:
    """Return whom a token or JWT speaks for, and note its use; None for a wrong, old or revoked one."""
    if token.startswith("eyJ"):
        grant = _grant_of(token)
        if grant is None or grant.revoked_at or not _alive(grant):
            return None
        return Caller(grant.user, tuple(grant.scopes))
    now = timezone.now()
    row = _token.first(digest(token))
    if row is None or not row.user.is_active or (row.expires_at is not None and row.expires_at <= now):
        return None
    if not inside(address, row.addresses):
        return None
    if row.last_used_at is None or now - row.last_used_at > USE_NOTED_EVERY or (row.last_used_from or "") != address:
        ApiToken.objects.filter(pk=row.pk).update(last_used_at=now, last_used_from=address or None)
    return Caller(row.user, tuple(row.scopes))
