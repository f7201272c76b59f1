from typing import Any

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from apps.ui.engine.text import N_

SOURCE_FAILED = N_("The sync of %(source)s failed. Its page says why.")


class MarketDataConfig(AppConfig):
    name = "apps.marketdata"
    verbose_name = _("Market data")

    def ready(self) -> None:
        from django.db.models.signals import post_migrate

        from apps.accounts import notices, shares
        from apps.marketdata.engine import calendars
        from apps.marketdata.models import Dataset, Feed, Source

        calendars.provide(_custom_calendar)

        post_migrate.connect(_schedule, sender=self)

        shares.register("dataset", Dataset)
        shares.register("feed", Feed)
        shares.register("source", Source)
        notices.register("source.failed", SOURCE_FAILED)


def _custom_calendar(name: str) -> Any:
    """Look a calendar of one's own up; what reads files is imported only where somebody asks."""
    from apps.marketdata.services.calendars import custom_calendar

    return custom_calendar(name)


def _schedule(using: str, **more: Any) -> None:
    """Let the cluster take back lost imports every minute, lost syncs every five, and check every dataset once a week.

    A schedule that is there stays as a person has set it.
    """
    from django.db import connections
    from django_q.models import Schedule

    from apps.marketdata.scheduling import EVERY_WEEK, IMPORTS_DUE, SYNCS_DUE

    if Schedule._meta.db_table not in connections[using].introspection.table_names():
        return
    for values in (IMPORTS_DUE, SYNCS_DUE, EVERY_WEEK):
        Schedule.objects.using(using).get_or_create(name=values["name"], defaults={**values, "repeats": -1})
