from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class SessionsConfig(AppConfig):
    """Everything that runs. The label differs because Django's own app is called ``sessions``."""

    name = "apps.sessions"
    label = "quant_sessions"
    verbose_name = _("Sessions")

    def ready(self) -> None:
        from apps.accounts import shares
        from apps.sessions.models import Session
        from apps.sessions.notices import register_notices

        register_notices()
        post_migrate.connect(_schedule, sender=self)
        shares.register("session", Session)


def _schedule(using: str, **more: Any) -> None:
    """Let the cluster keep house every hour."""
    from django.db import connections
    from django_q.models import Schedule

    if Schedule._meta.db_table not in connections[using].introspection.table_names():
        return
    values = {"func": "apps.sessions.tasks.housekeeping", "schedule_type": Schedule.HOURLY, "repeats": -1}
    Schedule.objects.using(using).get_or_create(name="housekeeping", defaults=values)
