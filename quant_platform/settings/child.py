"""Settings of every process that serves no page: launchers, reaper, feeds, imports and sessions.

No web, no admin, no log-in: nobody needs them there, and loading them is most of a start. Such a process
has no addresses either.
"""

from quant_platform.settings import access
from quant_platform.settings.base import *  # noqa: F403
from quant_platform.settings.base import INSTALLED_APPS as ALL_APPS

NOT_NEEDED = {
    "channels",
    "django.contrib.admin",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "django_prometheus",
    "ninja",
    "apps.monitoring",
    *access.APPS,
    "quant_platform",
}
INSTALLED_APPS = [app for app in ALL_APPS if app not in NOT_NEEDED]
MIDDLEWARE = []
ROOT_URLCONF = __name__
urlpatterns: list[str] = []
