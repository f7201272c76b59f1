from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MonitoringConfig(AppConfig):
    name = "apps.monitoring"
    verbose_name = _("Monitoring")

    def ready(self) -> None:
        from apps.sessions.live.partials import register

        # The rows of the dashboard change with the same pushes as the session pages.
        register("dashboard", "running", "monitoring/partials/running_row.html", ("status", "progress"))
