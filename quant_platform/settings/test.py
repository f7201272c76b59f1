"""Settings of the test suite: quick hashes, no wait between retries, a folder of its own."""

import os
import tempfile
from pathlib import Path

os.environ.setdefault("QP_ENV", "test")
os.environ.setdefault("VAR_DIR", tempfile.mkdtemp(prefix="quant-test-"))
# Workers of one run inherit its folder, and number their sessions alike: each gets a folder in it.
_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
if _WORKER and Path(os.environ["VAR_DIR"]).name != _WORKER:
    os.environ["VAR_DIR"] = str(Path(os.environ["VAR_DIR"], _WORKER))
    Path(os.environ["VAR_DIR"]).mkdir(exist_ok=True)

from quant_platform.settings.base import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
# Tests empty tables and call as often as they like; those that are about either turn it on.
AUDIT_TRIGGERS = False
QP_API_RATE = 0
# Pages read the same on a busy machine; tests of the warnings set them.
QP_ALERT_CPU = QP_ALERT_MEMORY = QP_ALERT_DISK = 2.0
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# A file, so that threads and child processes see the same rows; a memory database would lock out readers.
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):  # noqa: F405
    DATABASES["default"]["TEST"] = {"NAME": str(VAR_DIR / "test.sqlite3")}  # type: ignore[index]  # noqa: F405
