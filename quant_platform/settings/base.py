"""Django settings, read from the environment through the declared table."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from quant_platform.settings import access, jobs, secret, storage
from quant_platform.settings.declared import DECLARED
from quant_platform.settings.env import SettingError, load_env_file
from quant_platform.version import VERSION  # noqa: F401 - a setting, for rooms below

BASE_DIR = Path(__file__).resolve().parents[2]
load_env_file(BASE_DIR / ".env", os.environ)  # type: ignore[arg-type]

try:
    VALUES: dict[str, Any] = {setting.name: setting.read(os.environ) for setting in DECLARED}
    globals().update(VALUES)
    QP_ENV: str = VALUES["QP_ENV"]
    VAR_DIR = Path(VALUES["VAR_DIR"]) if os.path.isabs(VALUES["VAR_DIR"]) else BASE_DIR / VALUES["VAR_DIR"]
    VAR_DIR.mkdir(parents=True, exist_ok=True)
    SECRET_KEY = secret.secret_key(VALUES["SECRET_KEY"], QP_ENV, VAR_DIR)
    WEB_PROCESSES = storage.web_processes(VALUES["QP_WEB_PROCESSES"])
    pool = storage.pool_size(WEB_PROCESSES) if "QP_WEB_PROCESS" in os.environ else 0
    prepared = VALUES["QP_PREPARED_STATEMENTS"]
    DATABASES = {"default": storage.database(VALUES["DATABASE_URL"], VAR_DIR, pool=pool, prepared=prepared)}
    MAIL = storage.mail(VALUES["EMAIL_URL"])
    VAULT_KEYS = access.vault_keys(VALUES["QP_VAULT_KEYS"], VAR_DIR)
except SettingError as error:
    sys.exit(f"quant platform: {error}")

globals().update(MAIL)
PRODUCTION = QP_ENV == "production"
globals().update(access.allauth(VALUES, production=PRODUCTION))
globals().update(access.cors(VALUES["QP_CORS_ORIGINS"]))
DEBUG = False
if PRODUCTION and not VALUES["ALLOWED_HOSTS"]:
    sys.exit("quant platform: ALLOWED_HOSTS is empty; production needs the site's host names.")
ALLOWED_HOSTS = VALUES["ALLOWED_HOSTS"] or ["localhost", "127.0.0.1", "[::1]", "testserver"]
SLOTS = jobs.slot_count(VALUES["SLOTS"], VALUES["QP_SLOT_MEMORY_GB"])
DEFAULT_FROM_EMAIL = VALUES["EMAIL_FROM"]

# They only change `runserver`; daphne brings twisted with it, a third of the start of every other command.
RUNSERVER = ["daphne", "whitenoise.runserver_nostatic"] if "runserver" in sys.argv else []
INSTALLED_APPS = [
    *RUNSERVER,
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "django_q",
    "django_htmx",
    "django_prometheus",
    "ninja",  # brings the page of the API with scripts and styles of this server, not of another
    *access.APPS,
    "apps.ui",
    "apps.accounts",
    "apps.marketdata",
    "apps.trading",
    "apps.strategies",
    "apps.sessions",
    "apps.monitoring",
    "quant_platform",
]
MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "apps.ui.middleware.ContentSecurityPolicyMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "apps.accounts.middleware.AddressMiddleware",
    "apps.accounts.middleware.PreferencesMiddleware",
    "apps.accounts.throttle.ThrottleMiddleware",
    "apps.ui.transfer.TransferMiddleware",
    "apps.accounts.middleware.PrivateMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "apps.accounts.middleware.LoggedOutMiddleware",
    "apps.accounts.enrolment.SecondFactorMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "apps.ui.middleware.RefusalMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]
ROOT_URLCONF = "quant_platform.urls"
ASGI_APPLICATION = "quant_platform.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {
            "loaders": [
                (
                    "apps.ui.folding.Loader",
                    [
                        "django.template.loaders.filesystem.Loader",
                        "django.template.loaders.app_directories.Loader",
                    ],
                )
            ],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "apps.monitoring.context.shell",
            ],
        },
    },
]

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
Q_CLUSTER = jobs.cluster(SLOTS)
CACHES = {"default": access.cache(VALUES["REDIS_URL"], VAR_DIR)}
# Parts of pages drawn from content that never changes, under its hash: each process keeps the latest.
CACHES["template_fragments"] = {
    "BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "fragments", "TIMEOUT": None,
    "OPTIONS": {"MAX_ENTRIES": 150},
}  # fmt: skip

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["apps.accounts.backends.LockingModelBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "accounts:login"
LOGIN_REDIRECT_URL = "monitoring:dashboard"
LOGOUT_REDIRECT_URL = "accounts:login"
CSRF_TRUSTED_ORIGINS = VALUES["CSRF_TRUSTED_ORIGINS"]

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "中文")]
# One catalogue per room, so that a room carries its own words.
LOCALE_PATHS = [
    BASE_DIR / "apps" / room / "locale"
    for room in ("ui", "accounts", "marketdata", "trading", "strategies", "sessions", "monitoring")
] + [BASE_DIR / "quant_platform" / "locale"]
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "apps.ui.npm_finder.NpmFinder",
]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "apps.ui.static_storage.HashedStaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = not PRODUCTION
# An update in place must not serve new files at their old length.
WHITENOISE_AUTOREFRESH = not PRODUCTION
FIXTURE_DIRS = [BASE_DIR / "fixtures"]
MEDIA_ROOT = VAR_DIR / "uploads"
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024

#: The audit's tables refuse change in the database itself; the suite, which empties tables, turns it off.
AUDIT_TRIGGERS = True
SESSION_ENGINE = "apps.accounts.browser_sessions"
SESSION_COOKIE_AGE = VALUES["QP_LOGIN_HOURS"] * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if PRODUCTION:
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    # A browser takes such a cookie over TLS only, for this host only.
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
    SECURE_SSL_REDIRECT = True
    # Probes and the scraper reach the web process directly, without the proxy's TLS.
    SECURE_REDIRECT_EXEMPT = [r"^api/health$", r"^api/ready$", r"^metrics$"]
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
if VALUES["BEHIND_PROXY"]:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "apps.accounts.engine.redact.RedactingFormatter",
            "format": "{asctime} {levelname} {name} {message}",
            "style": "{",
        }
    },
    # Standard output carries the documents of --json; the log goes to standard error.
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "line"},
        "supervisor": {"class": "apps.sessions.adapters.sudden_death.TellSupervisor"},
    },
    "root": {"handlers": ["stderr"], "level": VALUES["LOG_LEVEL"]},
    "loggers": {
        # What the queue and the web server tell of their own inner life, unless somebody looks for a fault.
        "daphne": {"level": "DEBUG" if VALUES["LOG_LEVEL"] == "DEBUG" else "WARNING"},
        "django.channels.server": {"level": "WARNING"},
        "django-q": {"handlers": ["supervisor"], "level": "DEBUG" if VALUES["LOG_LEVEL"] == "DEBUG" else "WARNING"},
        # It tells every address that is asked, which may hold a key.
        "httpx": {"level": "WARNING"},
    },
}
PROMETHEUS_EXPORT_MIGRATIONS = False
