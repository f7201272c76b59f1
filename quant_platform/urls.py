"""Every address of the site, room by room."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path
from django.utils.translation import gettext_lazy as _

from quant_platform.api import api

# The admin's own log-in knows no second factor: there is one door.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
admin.site.site_header = admin.site.site_title = _("Quant Platform")

urlpatterns = [
    path("", include("apps.monitoring.urls")),
    path("accounts/", include("apps.accounts.urls")),
    path("accounts/", include("apps.accounts.allauth_urls")),
    path("data/", include("apps.marketdata.urls")),
    path("strategies/", include("apps.strategies.urls")),
    path("sessions/", include("apps.sessions.urls")),
    path("api/", api.urls),
    path("admin/", admin.site.urls),
]
