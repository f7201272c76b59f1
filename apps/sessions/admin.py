"""Sessions in the admin: history to read, and the commands of the state table as actions."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from apps.accounts.identity import signed_in
from apps.sessions.engine.states import Command
from apps.sessions.models import Attempt, Checkpoint, Session, SessionEvent, SessionTag, Worker
from apps.sessions.services.commands import give
from apps.ui.engine.refusal import Refusal
from apps.ui.refusals import refusal_text


class ReadOnly(admin.ModelAdmin):
    """Rows that only the program writes, shown to whoever may enter the admin."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return request.user.is_active and request.user.is_staff

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_module_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


def _give_all(request: HttpRequest, rows: QuerySet[Session], command: Command) -> None:
    """Give a command to each row through the service; say how many took it and why others did not."""
    done = 0
    for session in rows:
        try:
            give(session=session, command=command, actor=signed_in(request))
        except Refusal as refusal:
            messages.warning(request, f"{session}: {refusal_text(refusal)}")
        else:
            done += 1
    if done:
        words = ngettext("%(count)s session took the command.", "%(count)s sessions took the command.", done)
        messages.success(request, words % {"count": done})


@admin.register(Session)
class SessionAdmin(ReadOnly):
    list_display = ("id", "title", "kind", "status", "owner", "progress", "attempt", "crashes", "worker", "created")
    list_filter = ("status", "kind", "out_of_sample", "verdict", "origin", ("owner", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("owner",)
    search_fields = ("=id", "title", "owner__username", "worker", "reason_code")
    date_hierarchy = "created"
    ordering = ("-id",)
    actions = ("pause", "resume", "cancel", "retry")

    @admin.action(description=_("Pause"))
    def pause(self, request: HttpRequest, rows: QuerySet[Session]) -> None:
        _give_all(request, rows, Command.PAUSE)

    @admin.action(description=_("Resume"))
    def resume(self, request: HttpRequest, rows: QuerySet[Session]) -> None:
        _give_all(request, rows, Command.RESUME)

    @admin.action(description=_("Cancel"))
    def cancel(self, request: HttpRequest, rows: QuerySet[Session]) -> None:
        _give_all(request, rows, Command.CANCEL)

    @admin.action(description=_("Try again"))
    def retry(self, request: HttpRequest, rows: QuerySet[Session]) -> None:
        _give_all(request, rows, Command.RETRY)


@admin.register(SessionTag)
class SessionTagAdmin(ReadOnly):
    list_display = ("name", "session")
    list_filter = ("name",)
    list_select_related = ("session",)
    search_fields = ("name", "=session__id", "session__title")


@admin.register(SessionEvent)
class SessionEventAdmin(ReadOnly):
    list_display = ("session_id", "seq", "attempt", "created", "says")
    list_filter = (("session", admin.RelatedOnlyFieldListFilter), "attempt")
    search_fields = ("=session__id",)
    show_full_result_count = False

    @admin.display(description=_("says"))
    def says(self, event: SessionEvent) -> str:
        return ", ".join(event.payload)


@admin.register(Attempt)
class AttemptAdmin(ReadOnly):
    list_display = ("session", "number", "outcome", "worker", "started_at", "ended_at")
    list_filter = ("outcome", "worker")
    list_select_related = ("session",)
    search_fields = ("=session__id", "session__title", "worker")
    date_hierarchy = "started_at"


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnly):
    list_display = ("session", "step", "epoch", "score", "is_best", "is_latest", "size_bytes", "created")
    list_filter = ("is_best", "is_latest")
    list_select_related = ("session",)
    search_fields = ("=session__id", "session__title", "sha256")


@admin.register(Worker)
class WorkerAdmin(ReadOnly):
    list_display = ("name", "host", "pid", "slots", "draining", "started_at", "last_beat")
    list_filter = ("host", "draining")
    search_fields = ("name", "host")
