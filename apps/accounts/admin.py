"""People in the admin. Hashes are never shown, history is read-only."""

from __future__ import annotations

from typing import Any

from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from apps.accounts import services, tokens
from apps.accounts.fresh import require_fresh
from apps.accounts.identity import signed_in
from apps.accounts.models import (
    ApiToken,
    AuditEntry,
    AuditLink,
    Credential,
    GroupGrant,
    Invitation,
    LoginLock,
    Notice,
    Share,
    SocketTicket,
    TokenGrant,
    User,
)

# Log-ins are seen and ended on the pages of the account and of the person, where that is audited.
admin.site.unregister(UserSession)


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """History: looked at, never changed."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(User)
class UserAdmin(DjangoUserAdmin):  # type: ignore[type-arg]
    list_display = (
        "username",
        "email",
        "role",
        "trading_enabled",
        "max_concurrent_sessions",
        "is_active",
        "last_login",
    )
    list_filter = ("role", "trading_enabled", "is_active")
    search_fields = ("username", "email", "first_name", "last_name")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (_("Person"), {"fields": ("first_name", "last_name", "email", "language", "theme", "up_color", "time_zone")}),
        (
            _("Rights and limits"),
            {"fields": ("role", "is_active", "trading_enabled", "risk_level", "max_concurrent_sessions")},
        ),
        (_("Dates"), {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = ((None, {"classes": ("wide",), "fields": ("username", "email", "role", "password1", "password2")}),)
    readonly_fields = ("last_login", "date_joined")
    filter_horizontal = ()

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Nobody takes away their own role, here as on the page."""
        own = ("role", "is_active") if obj is not None and obj.pk == request.user.pk else ()
        return (*super().get_readonly_fields(request, obj), *own)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Roles and limits want a fresh log-in, here as on the page."""
        if request.method == "POST":
            require_fresh(request)
        return super().changeform_view(request, *args, **kwargs)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> Any:
        require_fresh(request)
        answer = super().user_change_password(request, id, form_url)
        if request.method == "POST" and answer.status_code == 302:
            user = User.objects.get(pk=id)
            services.audit(signed_in(request), "password.set", user)
            services.log_out_everywhere(user, actor=signed_in(request))
        return answer

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # People own runs and audit rows: they are made inactive.

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        before = {name: form.initial.get(name) for name in services.LIMITS if name in form.changed_data}
        super().save_model(request, obj, form, change)
        details = {name: [old, getattr(obj, name)] for name, old in before.items()}
        services.audit(signed_in(request), "user.limits" if change else "user.create", obj, details)


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    list_display = ("name", "user", "prefix", "created", "expires_at", "last_used_at", "last_used_from", "revoked_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter), "created")
    search_fields = ("name", "user__username", "prefix")
    list_select_related = ("user",)
    exclude = ("token_hash",)
    actions = ("revoke",)

    @admin.action(description=_("Revoke the chosen tokens"), permissions=["view"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        for token in queryset:
            tokens.token_revoke(token, signed_in(request))


@admin.register(Invitation)
class InvitationAdmin(ReadOnlyAdmin):
    list_display = ("email", "role", "invited_by", "created", "expires_at", "accepted_at", "revoked_at")
    list_filter = ("role", ("accepted_at", admin.EmptyFieldListFilter))
    search_fields = ("email", "invited_by__username")
    list_select_related = ("invited_by",)
    exclude = ("token_hash",)


@admin.register(SocketTicket)
class SocketTicketAdmin(ReadOnlyAdmin):
    list_display = ("user", "created", "used_at")
    list_filter = (("used_at", admin.EmptyFieldListFilter), "created")
    search_fields = ("user__username",)
    list_select_related = ("user",)
    exclude = ("token_hash",)


@admin.register(LoginLock)
class LoginLockAdmin(ReadOnlyAdmin):
    list_display = ("username", "kind", "failures", "last_failure", "locked_until")
    list_filter = ("kind",)
    search_fields = ("username",)
    actions = ("unlock",)

    @admin.action(description=_("Unlock the chosen log-ins"), permissions=["view"])
    def unlock(self, request: HttpRequest, queryset: QuerySet[LoginLock]) -> None:
        for lock in queryset:
            services.audit(signed_in(request), "login.unlock", None, {"username": lock.username})
        queryset.delete()


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ("created", "actor", "action", "object_type", "object_id", "address")
    list_filter = ("action", "object_type")
    search_fields = ("actor__username", "action", "object_id")
    list_select_related = ("actor",)
    date_hierarchy = "created"


@admin.register(Notice)
class NoticeAdmin(ReadOnlyAdmin):
    list_display = ("created", "user", "level", "code", "read_at")
    list_filter = ("level", "code", ("read_at", admin.EmptyFieldListFilter))
    search_fields = ("user__username", "code")
    list_select_related = ("user",)


@admin.register(AuditLink)
class AuditLinkAdmin(ReadOnlyAdmin):
    list_display = ("position", "entry_id", "chain")
    search_fields = ("=entry_id", "=chain")


@admin.register(TokenGrant)
class TokenGrantAdmin(ReadOnlyAdmin):
    list_display = ("user", "created", "expires_at", "spent_at", "revoked_at", "address")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter), "created")
    search_fields = ("user__username",)
    list_select_related = ("user",)
    exclude = ("refresh_hash",)


@admin.register(Credential)
class CredentialAdmin(ReadOnlyAdmin):
    """That a secret exists, never what it is."""

    list_display = ("name", "kind", "owner", "created", "changed_at", "last_used_at")
    list_filter = ("kind",)
    search_fields = ("name", "owner__username")
    list_select_related = ("owner",)
    exclude = ("sealed",)


@admin.register(Share)
class ShareAdmin(ReadOnlyAdmin):
    list_display = ("object_type", "object_id", "user", "group", "can_edit", "created_by", "created")
    list_filter = ("object_type", "can_edit")
    search_fields = ("user__username", "group__name")
    list_select_related = ("user", "group", "created_by")


@admin.register(GroupGrant)
class GroupGrantAdmin(ReadOnlyAdmin):
    list_display = ("group", "permission")
    list_filter = ("permission",)
    search_fields = ("group__name",)
    list_select_related = ("group",)


# Second factors and groups have pages of their own, which write the audit; allauth's admin would show secrets.
_hidden: list[Any] = [Group, *(one for one in admin.site._registry if one._meta.app_label in {"account", "mfa"})]
for _model in _hidden:
    if admin.site.is_registered(_model):
        admin.site.unregister(_model)


@admin.register(Group)
class GroupAdmin(ReadOnlyAdmin):
    """Groups are changed on their page."""

    list_display = ("name",)
    search_fields = ("name",)
    exclude = ("permissions",)
