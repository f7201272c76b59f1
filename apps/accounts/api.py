"""API of people: tokens, tickets, notices, who am I."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth import authenticate
from django.http import HttpRequest
from django.utils import timezone
from ninja import Field, Router, Schema, Status

from apps.accounts import selectors, services
from apps.accounts import tokens as token_services
from apps.accounts.api_auth import scopes_of
from apps.accounts.codes import check_code
from apps.accounts.fresh import has_second_factor, must_enrol, require_fresh_api
from apps.accounts.identity import signed_in
from apps.accounts.notices import notice_text
from apps.accounts.permissions import permissions_of
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

router = Router(tags=["accounts"])


WRONG = N_("Name or password is wrong, or too many attempts were made. Check both, or try again later.")


class Credentials(Schema):
    username: str = Field(max_length=150)
    password: str = Field(max_length=1000)
    code: str = Field("", max_length=20, description="Code of the second factor, for those who have one.")
    scopes: list[str] = Field(default=["*"], max_length=50)


class RefreshToken(Schema):
    refresh_token: str = Field(max_length=200)


class AnyToken(Schema):
    token: str = Field(max_length=4000, description="A refresh token or an access token; both end.")


class Grant(Schema):
    token: str = Field(description="The access JWT for Authorization: Bearer.")
    token_type: str
    expires_in: int
    expires_at: datetime
    refresh_token: str
    refresh_expires_at: datetime
    scopes: list[str]


class NewToken(Schema):
    name: str = Field(max_length=80)
    days: int = Field(90, ge=0, le=3650, description="0 means until revoked.")
    scopes: list[str] = Field(default=["*"], max_length=50)
    addresses: list[str] = Field(default=[], max_length=50, description="Addresses or networks; empty means anywhere.")


class Token(Schema):
    id: int
    name: str
    prefix: str
    created: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    last_used_from: str | None
    revoked_at: datetime | None
    scopes: list[str]
    addresses: list[str]


class PlainToken(Token):
    token: str


def _plain(row: Any, plain: str) -> dict[str, Any]:
    return {**Token.from_orm(row).dict(), "token": plain}


@router.post("/token", auth=None, response=Grant, summary="Exchange name and password for a JWT and a refresh token")
def token(request: HttpRequest, data: Credentials) -> dict[str, Any]:
    user: Any = authenticate(request, username=data.username, password=data.password)
    if user is None:
        raise Refusal("wrong_credentials", WRONG, status=401)
    if has_second_factor(user) and not check_code(request, user, data.code):
        raise Refusal("second_factor", N_("Send the code of your second factor as well."), status=401, field="code")
    if must_enrol(user):
        raise Refusal("second_factor_required", N_("Set up a second factor first."), status=403)
    grant = token_services.grant_create(user, token_services.check_scopes(data.scopes))
    services.audit(user, "login.token", user, {"scopes": grant["scopes"]})
    return grant


@router.post("/token/refresh", auth=None, response=Grant, summary="Exchange a refresh token, once, for the next pair")
def token_refresh(request: HttpRequest, data: RefreshToken) -> dict[str, Any]:
    return token_services.grant_refresh(data.refresh_token)


@router.post("/token/revoke", auth=None, response={204: None}, summary="End a JWT or refresh token and its kin")
def token_revoke(request: HttpRequest, data: AnyToken) -> Any:
    token_services.grant_revoke(data.token)
    return Status(204, None)


@router.get("/tokens", response=list[Token], summary="Your tokens, without their text")
def tokens(request: HttpRequest) -> Any:
    return selectors.tokens_of(signed_in(request))[:200]


@router.post("/tokens", response={201: PlainToken}, summary="Make a token; its text is in this answer only")
def token_create(request: HttpRequest, data: NewToken) -> Any:
    require_fresh_api(request)
    expires = timezone.now() + timedelta(days=data.days) if data.days else None
    scopes = token_services.check_scopes(data.scopes, scopes_of(request))
    made = token_services.token_create(signed_in(request), data.name, expires, scopes=scopes, addresses=data.addresses)
    return Status(201, _plain(*made))


@router.delete("/tokens/{token_id}", response={204: None}, summary="Revoke a token")
def token_delete(request: HttpRequest, token_id: int) -> Any:
    token_services.token_revoke(selectors.token_for_user(signed_in(request), token_id), signed_in(request))
    return Status(204, None)


@router.post("/ws-ticket", summary="A single-use ticket for the live socket, valid for 60 s")
def ws_ticket(request: HttpRequest) -> dict[str, Any]:
    return {"ticket": services.ticket_create(signed_in(request)), "expires_in": services.TICKET_SECONDS}


@router.get("/me", summary="Who you are and what you may do")
def me(request: HttpRequest) -> dict[str, Any]:
    user: Any = request.user
    return {
        "id": user.pk,
        "username": user.username,
        "role": user.role,
        "language": user.language,
        "time_zone": user.time_zone,
        "trading_enabled": user.trading_enabled,
        "risk_level": user.risk_level,
        "max_concurrent_sessions": user.max_concurrent_sessions,
        "permissions": permissions_of(user),
        "second_factor": has_second_factor(user),
        "scopes": list(scopes_of(request)),
    }


@router.get("/notices", summary="What you were told, newest first")
def notices(request: HttpRequest, unread: bool = False, limit: int = 50) -> list[dict[str, Any]]:
    rows = selectors.notices_listed(signed_in(request), unread)[: max(1, min(limit, 200))]
    return [
        {
            "id": row.pk,
            "level": row.level,
            "code": row.code,
            "text": notice_text(row),
            "url": row.url,
            "created": row.created,
            "read_at": row.read_at,
        }
        for row in rows
    ]


@router.post("/notices/{notice_id}/read", response={204: None}, summary="Mark a notice as read")
def notice_read(request: HttpRequest, notice_id: int) -> Any:
    notice = selectors.notice_for_user(signed_in(request), notice_id)
    services.notices_read(notice.user, notice.pk)
    return Status(204, None)
