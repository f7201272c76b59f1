"""Datasets in the admin: immutable, so everything is read-only but the actions."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from apps.accounts.admin import ReadOnlyAdmin
from apps.accounts.services import audit
from apps.marketdata.models import (
    Calendar,
    CalendarDay,
    Dataset,
    DatasetSymbol,
    Feed,
    ImportJob,
    LatestQuote,
    MinuteRow,
    QualityCheck,
    QualityFinding,
    QuoteRecord,
    Source,
    SyncRun,
)
from apps.marketdata.services import dataset_archive, dataset_check
from apps.marketdata.services.feeds import feed_start, feed_stop
from apps.marketdata.services.sources import source_pause
from apps.marketdata.services.syncing import sync_stop
from apps.ui.engine.refusal import Refusal
from apps.ui.refusals import refusal_text


class CatalogueAdmin(ReadOnlyAdmin):
    """Read by every administrator, superuser or not."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return request.user.is_active and request.user.is_staff

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_module_permission(request)


@admin.register(Dataset)
class DatasetAdmin(CatalogueAdmin):
    list_display = (
        "__str__", "verdict", "rows", "symbol_count", "frequency", "adjustment", "start", "end", "owner", "created",
        "archived_at",
    )  # fmt: skip
    list_filter = ("verdict", "frequency", "adjustment", ("archived_at", admin.EmptyFieldListFilter))
    search_fields = ("name", "title", "source", "content_hash", "owner__username")
    list_select_related = ("owner",)
    date_hierarchy = "created"
    actions = ("check_again", "archive")

    @admin.action(description=_("Check the chosen datasets again"), permissions=["view"])
    def check_again(self, request: HttpRequest, queryset: QuerySet[Dataset]) -> None:
        for dataset in queryset:
            try:
                check = dataset_check(dataset, actor=_actor(request))
            except Refusal as refusal:
                messages.error(request, f"{dataset}: {refusal_text(refusal)}")
            else:
                words = _now("%(dataset)s: %(errors)s block runs, %(warnings)s to look at.")
                numbers = {"dataset": dataset, "errors": check.errors, "warnings": check.warnings}
                messages.success(request, words % numbers)

    @admin.action(description=_("Take the chosen datasets out of the lists"), permissions=["view"])
    def archive(self, request: HttpRequest, queryset: QuerySet[Dataset]) -> None:
        for dataset in queryset.filter(archived_at=None):
            dataset_archive(dataset, actor=_actor(request))


def _actor(request: HttpRequest) -> Any:
    return request.user


@admin.register(DatasetSymbol)
class DatasetSymbolAdmin(CatalogueAdmin):
    list_display = ("symbol", "dataset", "rows", "start", "end", "gaps")
    search_fields = ("symbol", "dataset__name")
    list_filter = ("dataset__frequency",)
    list_select_related = ("dataset",)


@admin.register(QualityCheck)
class QualityCheckAdmin(CatalogueAdmin):
    list_display = ("dataset", "verdict", "errors", "warnings", "notes", "checks_passed", "seconds", "created")
    list_filter = ("verdict",)
    search_fields = ("dataset__name",)
    list_select_related = ("dataset",)
    date_hierarchy = "created"


@admin.register(QualityFinding)
class QualityFindingAdmin(CatalogueAdmin):
    list_display = ("severity", "check_name", "symbol", "time", "row", "line", "message", "dataset")
    list_filter = ("severity", "check_name")
    search_fields = ("symbol", "check_run__dataset__name")
    list_select_related = ("check_run__dataset",)

    @admin.display(description=_("dataset"))
    def dataset(self, obj: QualityFinding) -> str:
        return str(obj.check_run.dataset)


@admin.register(ImportJob)
class ImportJobAdmin(CatalogueAdmin):
    list_display = (
        "__str__", "state", "stage", "progress", "rows_read", "origin", "owner", "dataset", "attempt", "created",
        "finished_at",
    )  # fmt: skip
    list_filter = ("state", "origin")
    search_fields = ("name", "path", "owner__username")
    list_select_related = ("owner", "dataset")
    date_hierarchy = "created"


@admin.register(Calendar)
class CalendarAdmin(CatalogueAdmin):
    """Read here; defined on the page of the calendars, by API or command."""

    list_display = ("name", "title", "week", "time_zone", "first", "last", "changed_by", "changed")
    list_select_related = ("changed_by",)


@admin.register(Feed)
class FeedAdmin(CatalogueAdmin):
    list_display = (
        "name", "kind", "owner", "state", "wanted", "connected", "rate", "quote_count", "rejected_count",
        "last_quote_at", "worker",
    )  # fmt: skip
    list_filter = ("kind", "state", "wanted")
    search_fields = ("name", "owner__username", "dataset__name")
    list_select_related = ("owner",)
    exclude = ("options",)
    actions = ("start", "stop")

    @admin.action(description=_("Start the chosen feeds"), permissions=["view"])
    def start(self, request: HttpRequest, queryset: QuerySet[Feed]) -> None:
        for feed in queryset:
            feed_start(feed=feed, actor=_actor(request))

    @admin.action(description=_("Stop the chosen feeds"), permissions=["view"])
    def stop(self, request: HttpRequest, queryset: QuerySet[Feed]) -> None:
        for feed in queryset:
            feed_stop(feed=feed, actor=_actor(request))


class QuoteListAdmin(CatalogueAdmin):
    """A table that may hold millions of rows: the pages are counted up to a bound, and nothing joins it."""

    show_full_result_count = False
    list_per_page = 50


@admin.register(LatestQuote)
class LatestQuoteAdmin(QuoteListAdmin):
    list_display = ("symbol", "feed", "last", "prev_close", "volume", "amount", "moment", "seq")
    list_filter = ("feed",)
    search_fields = ("symbol",)
    list_select_related = ("feed",)


@admin.register(MinuteRow)
class MinuteRowAdmin(QuoteListAdmin):
    list_display = ("symbol", "feed", "moment", "open", "high", "low", "close", "volume", "count")
    list_filter = ("feed",)
    search_fields = ("=symbol",)
    list_select_related = ("feed",)


@admin.register(QuoteRecord)
class QuoteRecordAdmin(QuoteListAdmin):
    list_display = ("seq", "symbol", "feed_id", "last", "volume", "amount", "moment")
    search_fields = ("=symbol",)
    ordering = ("-seq",)


@admin.register(CalendarDay)
class CalendarDayAdmin(admin.ModelAdmin):
    """Days beyond the end of a calendar's library, or wrong in it; every change is audited by the admin's log."""

    list_display = ("calendar", "day", "is_open", "note", "added_by", "created")
    list_filter = ("calendar", "is_open")
    date_hierarchy = "day"
    fields = ("calendar", "day", "is_open", "note")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(getattr(request.user, "is_administrator", False))

    has_view_permission = has_change_permission = has_delete_permission = lambda self, request, obj=None: (
        self.has_module_permission(request)
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_module_permission(request)

    def save_model(self, request: HttpRequest, obj: CalendarDay, form: Any, change: bool) -> None:
        obj.added_by = _actor(request)
        super().save_model(request, obj, form, change)
        details = {"calendar": obj.calendar, "day": str(obj.day), "open": obj.is_open, "note": obj.note}
        audit(obj.added_by, "calendar.day", obj, details)


@admin.register(Source)
class SourceAdmin(CatalogueAdmin):
    """Sources are changed on their pages, by who owns them; here they are looked at, paused and put back."""

    list_display = ("name", "kind", "dataset_name", "owner", "next_at", "paused_at", "failures", "changed_at")
    list_filter = ("kind", ("paused_at", admin.EmptyFieldListFilter))
    search_fields = ("name", "dataset_name", "owner__username")
    list_select_related = ("owner",)
    actions = ("pause", "resume")

    @admin.action(description=_("Pause the schedules of the chosen sources"), permissions=["view"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Source]) -> None:
        for source in queryset.select_related("owner"):
            source_pause(source, actor=_actor(request), paused=True)

    @admin.action(description=_("Resume the schedules of the chosen sources"), permissions=["view"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Source]) -> None:
        for source in queryset.select_related("owner"):
            source_pause(source, actor=_actor(request), paused=False)


@admin.register(SyncRun)
class SyncRunAdmin(CatalogueAdmin):
    list_display = (
        "id", "source", "state", "trigger", "created", "ended_at", "added", "changed", "same", "dataset", "worker",
    )  # fmt: skip
    list_filter = ("state", "trigger")
    search_fields = ("source__name", "content_hash", "received_hash")
    list_select_related = ("source", "dataset")
    date_hierarchy = "created"
    actions = ("stop",)

    @admin.action(description=_("Stop the chosen syncs"), permissions=["view"])
    def stop(self, request: HttpRequest, queryset: QuerySet[SyncRun]) -> None:
        for run in queryset.select_related("source"):
            sync_stop(run, actor=_actor(request))
