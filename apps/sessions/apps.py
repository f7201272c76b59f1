from django.apps import AppConfig
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
        shares.register("session", Session)
