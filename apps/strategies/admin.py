"""Strategies in the admin; versions are history and read-only."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from apps.accounts.admin import ReadOnlyAdmin
from apps.accounts.identity import signed_in
from apps.strategies import services
from apps.strategies.models import Strategy, StrategyVersion


def is_administrator(request: HttpRequest) -> bool:
    """The role opens the admin; nobody is given Django's own permissions one by one."""
    user = request.user
    return bool(user.is_authenticated and user.is_active and user.is_administrator)


@admin.register(Strategy)
class StrategyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "owner", "type", "stage", "versions_count", "updated", "archived_at")
    list_filter = ("type", "stage", ("archived_at", admin.EmptyFieldListFilter))
    search_fields = ("name", "owner__username", "description")
    list_select_related = ("owner",)
    readonly_fields = ("owner", "type", "stage", "copied_from", "created", "updated", "archived_at")
    date_hierarchy = "updated"
    actions = ("archive",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Strategy]:
        return super().get_queryset(request).annotate(version_total=Count("versions"))

    @admin.display(description=_("versions"), ordering="version_total")
    def versions_count(self, obj: Any) -> int:
        return int(obj.version_total)

    @admin.action(description=_("Archive the chosen strategies"), permissions=["change"])
    def archive(self, request: HttpRequest, queryset: QuerySet[Strategy]) -> None:
        for strategy in queryset:
            services.strategy_archive(strategy=strategy, actor=signed_in(request))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_administrator(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_administrator(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_administrator(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # A strategy without a version would be none.

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(StrategyVersion)
class StrategyVersionAdmin(ReadOnlyAdmin):
    list_display = ("strategy", "number", "author", "created", "note", "config_hash")
    list_filter = ("strategy__type",)
    search_fields = ("strategy__name", "config_hash", "note")
    list_select_related = ("strategy", "author")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_administrator(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_administrator(request)
