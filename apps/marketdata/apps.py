from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MarketDataConfig(AppConfig):
    name = "apps.marketdata"
    verbose_name = _("Market data")

    def ready(self) -> None:
        from apps.accounts import shares
        from apps.marketdata.models import Dataset, Feed

        shares.register("dataset", Dataset)
        shares.register("feed", Feed)
