from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class StrategiesConfig(AppConfig):
    name = "apps.strategies"
    verbose_name = _("Strategies")

    def ready(self) -> None:
        from apps.accounts import shares
        from apps.strategies.models import Strategy

        shares.register("strategy", Strategy)
