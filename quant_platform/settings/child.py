"""Settings of a session's child process: no web, no admin, so that it starts quickly."""

from quant_platform.settings import access
from quant_platform.settings.base import *  # noqa: F403
from quant_platform.settings.base import INSTALLED_APPS as ALL_APPS

NOT_NEEDED = {
    "daphne",
    "channels",
    "django.contrib.admin",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "whitenoise.runserver_nostatic",
    "django_htmx",
    "django_prometheus",
    "apps.monitoring",
    *access.APPS,
    "quant_platform",
}
INSTALLED_APPS = [app for app in ALL_APPS if app not in NOT_NEEDED]
MIDDLEWARE = []
