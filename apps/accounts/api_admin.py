"""API of access: devices, shares, secrets, groups, people, audit."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest
from ninja import Field, Query, Router, Schema, Status

from apps.accounts import (
    audit_chain,
    audit_pages,
    credentials,
    devices,
    groups,
    ownership,
    selectors,
    services,
)
from apps.accounts import shares as sharing
from apps.accounts.fresh import require_fresh_api
from apps.accounts.models import RiskLevel, Role, Share, User
from apps.accounts.permissions import require_permission
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

router = Router(tags=["access"])


def caller(request: HttpRequest) -> User:
    """Return who calls; the API lets nobody else in."""
    return request.user  # type: ignore[return-value]


# Devices


@router.get("/devices", summary="Browsers you are logged in with")
def device_list(request: HttpRequest) -> list[dict[str, Any]]:
    key = request.session.session_key if hasattr(request, "session") else ""
    return [vars(one) for one in devices.devices_of(caller(request), key)]


@router.delete("/devices/{device_id}", response={204: None}, summary="Log one browser out")
def device_delete(request: HttpRequest, device_id: int) -> Any:
    devices.device_end(caller(request), device_id)
    return Status(204, None)


@router.delete("/devices", response={204: None}, summary="Log out everywhere: browsers, sockets, JWTs")
def device_delete_all(request: HttpRequest) -> Any:
    services.log_out_everywhere(caller(request), actor=caller(request))
    return Status(204, None)


# Shares


class NewShare(Schema):
    receiver: str = Field(max_length=160, description="A user name, or group:NAME.")
    can_edit: bool = False


def share_document(row: Share) -> dict[str, Any]:
    return {
        "id": row.pk,
        "user": row.user.username if row.user else None,
        "group": row.group.name if row.group else None,
        "can_edit": row.can_edit,
        "created": row.created,
    }


@router.get("/shares/{word}/{object_id}", summary="With whom a strategy, dataset or session is shared")
def share_list(request: HttpRequest, word: str, object_id: int) -> list[dict[str, Any]]:
    obj = sharing.owned(caller(request), word, object_id)
    return [share_document(row) for row in sharing.shares_of(obj)[:500]]


@router.post(
    "/shares/{word}/{object_id}", response={201: dict[str, Any]}, summary="Share it, or change what they may do"
)
def share_create(request: HttpRequest, word: str, object_id: int, data: NewShare) -> Any:
    obj = sharing.owned(caller(request), word, object_id)
    row = sharing.share_create(actor=caller(request), obj=obj, receiver=data.receiver, can_edit=data.can_edit)
    return Status(201, share_document(row))


@router.delete("/shares/{word}/{object_id}/{share_id}", response={204: None}, summary="Stop sharing")
def share_delete(request: HttpRequest, word: str, object_id: int, share_id: int) -> Any:
    sharing.share_delete(actor=caller(request), obj=sharing.owned(caller(request), word, object_id), pk=share_id)
    return Status(204, None)


# Secrets


class NewCredential(Schema):
    name: str = Field(max_length=80)
    kind: str = Field("broker", max_length=32)
    secret: str = Field(max_length=8192)


class CredentialOut(Schema):
    id: int
    name: str
    kind: str
    created: datetime
    changed_at: datetime
    last_used_at: datetime | None


@router.get("/credentials", response=list[CredentialOut], summary="Your secrets, without what they are")
def credential_list(request: HttpRequest) -> Any:
    return credentials.credentials_of(caller(request))[:500]


@router.post("/credentials", response={201: CredentialOut}, summary="Keep a secret, encrypted; it is never shown again")
def credential_set(request: HttpRequest, data: NewCredential) -> Any:
    require_fresh_api(request)
    return Status(201, credentials.credential_set(owner=caller(request), **data.dict()))


@router.delete("/credentials/{credential_id}", response={204: None}, summary="Remove a secret")
def credential_delete(request: HttpRequest, credential_id: int) -> Any:
    require_fresh_api(request)
    credentials.credential_delete(credentials.credential_for_user(caller(request), credential_id), caller(request))
    return Status(204, None)


# Groups and people


class GroupIn(Schema):
    name: str = Field(max_length=150)
    permissions: list[str] = Field(default=[], max_length=50)
    members: list[str] = Field(default=[], max_length=1000, description="User names.")


def group_document(group: Any) -> dict[str, Any]:
    return {
        "id": group.pk,
        "name": group.name,
        "permissions": sorted(one.permission for one in group.grants.all()),
        "members": sorted(group.user_set.values_list("username", flat=True)),
    }


@router.get("/groups", summary="Groups, their permissions and members; for administrators")
def group_list(request: HttpRequest) -> list[dict[str, Any]]:
    rows = groups.groups_list(caller(request)).prefetch_related("user_set")[:200]
    return [
        {
            "id": row.pk,
            "name": row.name,
            "permissions": sorted(one.permission for one in row.grants.all()),
            "members": sorted(one.username for one in row.user_set.all()),
        }
        for row in rows
    ]


def _save(request: HttpRequest, data: GroupIn, group: Any = None) -> dict[str, Any]:
    require_permission(caller(request), "user.admin")
    require_fresh_api(request)
    members = list(User.objects.filter(username__in=data.members, is_active=True))
    if missing := set(data.members) - {one.username for one in members}:
        raise Refusal("unknown_member", N_("Nobody is called %(name)s."), field="members", name=min(missing)[:150])
    return group_document(
        groups.group_save(
            actor=caller(request), group=group, name=data.name, permissions=data.permissions, members=members
        )
    )


@router.post("/groups", response={201: dict[str, Any]}, summary="Make a group")
def group_create(request: HttpRequest, data: GroupIn) -> Any:
    return Status(201, _save(request, data))


@router.put("/groups/{group_id}", summary="Change a group")
def group_update(request: HttpRequest, group_id: int, data: GroupIn) -> dict[str, Any]:
    return _save(request, data, groups.group_for_admin(caller(request), group_id))


@router.delete("/groups/{group_id}", response={204: None}, summary="Remove a group")
def group_delete(request: HttpRequest, group_id: int) -> Any:
    group = groups.group_for_admin(caller(request), group_id)
    require_fresh_api(request)
    groups.group_delete(actor=caller(request), group=group)
    return Status(204, None)


class Limits(Schema):
    role: Role | None = None
    trading_enabled: bool | None = None
    risk_level: RiskLevel | None = None
    max_concurrent_sessions: int | None = Field(None, ge=1, le=100)
    is_active: bool | None = None


class Heir(Schema):
    heir: str = Field(max_length=150, description="User name of who takes over.")


def person_document(row: User) -> dict[str, Any]:
    names = ("username", "email", "role", "trading_enabled", "risk_level", "max_concurrent_sessions", "is_active")
    return {"id": row.pk, **{name: getattr(row, name) for name in names}, "last_login": row.last_login}


@router.get("/people", summary="Everybody; for administrators")
def people(request: HttpRequest, q: str = "", role: str = "", page: int = 1) -> dict[str, Any]:
    found = Paginator(selectors.people(caller(request), q.replace("\x00", ""), role), 100).get_page(page)
    return {
        "items": [person_document(row) for row in found],
        "total": found.paginator.count,
        "page": found.number,
        "pages": found.paginator.num_pages,
    }


@router.patch("/people/{person_id}", summary="Change role and limits of a person")
def person_update(request: HttpRequest, person_id: int, data: Limits) -> dict[str, Any]:
    person = selectors.person(caller(request), person_id)
    require_fresh_api(request)
    changes = data.dict(exclude_none=True)
    return person_document(services.user_limits_update(actor=caller(request), user=person, changes=changes))


@router.post("/people/{person_id}/unlock", response={204: None}, summary="Let a locked person try again at once")
def person_unlock(request: HttpRequest, person_id: int) -> Any:
    services.login_unlock(actor=caller(request), username=selectors.person(caller(request), person_id).username)
    return Status(204, None)


@router.post("/people/{person_id}/log-out", response={204: None}, summary="Log a person out everywhere")
def person_log_out(request: HttpRequest, person_id: int) -> Any:
    person = selectors.person(caller(request), person_id)
    require_fresh_api(request)
    services.log_out_everywhere(person, actor=caller(request))
    return Status(204, None)


@router.post("/people/{person_id}/leave", summary="Somebody leaves: their things move, the account closes")
def person_leave(request: HttpRequest, person_id: int, data: Heir) -> dict[str, Any]:
    person = selectors.person(caller(request), person_id)
    require_fresh_api(request)
    heir = User.objects.filter(username=data.heir.replace("\x00", "")).first()
    if heir is None:
        raise Refusal("unknown_member", N_("Nobody is called %(name)s."), field="heir", name=data.heir[:150])
    return {"moved": ownership.ownership_transfer(actor=caller(request), leaver=person, heir=heir)}


# Audit


class AuditQuery(Schema):
    actor: str = Field("", max_length=150)
    action: str = Field("", max_length=64)
    object_type: str = Field("", max_length=64)
    object_id: str = Field("", max_length=64)
    start: date | None = None
    end: date | None = None
    page: int = Field(1, ge=1, le=1_000_000)
    page_size: int = Field(100, ge=1, le=1000)


@router.get("/audit", summary="The audit trail, newest first")
def audit(request: HttpRequest, query: Query[AuditQuery]) -> dict[str, Any]:
    given = {
        name: value.replace("\x00", "") if isinstance(value, str) else value
        for name, value in query.dict(exclude={"page", "page_size"}).items()
    }
    page = Paginator(audit_pages.audit_list(caller(request), given), query.page_size).get_page(query.page)
    items = [
        {**audit_chain.content(row), "actor_name": row.actor.username if row.actor else None}
        for row in page.object_list
    ]
    return {"items": items, "total": page.paginator.count, "page": page.number, "pages": page.paginator.num_pages}


@router.get("/audit/verify", summary="Check the chain; names the rows at fault")
def audit_verify(request: HttpRequest) -> dict[str, Any]:
    require_permission(caller(request), "audit.read")
    found = audit_chain.verify()
    position, value = audit_chain.head()
    return {"ok": not found, "entries": position, "head": value, "findings": [vars(one) for one in found[:1000]]}
