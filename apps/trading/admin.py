"""Cost schedules in the admin."""

from __future__ import annotations

from django.contrib import admin

from apps.trading.models import CostSchedule


@admin.register(CostSchedule)
class CostScheduleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = (
        "code",
        "name",
        "currency",
        "commission_bp",
        "minimum",
        "sell_tax_bp",
        "slippage_bp",
        "lot",
        "source",
    )
    list_filter = ("currency",)
    search_fields = ("code", "name", "name_zh", "source")
    ordering = ("code",)
