"""Files sent to the import wizard, kept between its preview and the import; and what was said about such files."""

from __future__ import annotations

import re
import secrets
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.utils import timezone

from apps.accounts.models import User
from apps.marketdata.models import ColumnMapping

KEPT_SECONDS = 24 * 3600
TOKEN = re.compile(r"[0-9a-f]{32}")


def _folder(user: User) -> Path:
    return Path(settings.VAR_DIR) / "staged" / str(user.pk)


def stage(user: User, upload: UploadedFile) -> str:
    """Keep an upload under its own name, which may tell format and symbol; returns the token to find it by."""
    _tidy(_folder(user))
    token = secrets.token_hex(16)
    folder = _folder(user) / token
    folder.mkdir(parents=True)
    name = Path(str(upload.name).replace("\\", "/")).name or "upload.csv"
    with (folder / name).open("wb") as file:
        for chunk in upload.chunks():
            file.write(chunk)
    return token


def staged(user: User, token: str) -> Path | None:
    """Return the kept file, None for a token that is not this user's or whose file is gone."""
    folder = _folder(user) / token
    if not TOKEN.fullmatch(token) or not folder.is_dir():
        return None
    return next(iter(folder.iterdir()), None)


def unstage(user: User, token: str) -> None:
    """Forget a kept file."""
    if TOKEN.fullmatch(token):
        shutil.rmtree(_folder(user) / token, ignore_errors=True)


def _tidy(folder: Path) -> None:
    """Remove what nobody came back for within a day."""
    for old in folder.iterdir() if folder.is_dir() else ():
        if time.time() - old.stat().st_mtime > KEPT_SECONDS:
            shutil.rmtree(old, ignore_errors=True)


def remembered_mapping(user: User, fingerprint: str) -> dict[str, str]:
    """Return what the user said about the columns of files with this header."""
    found = ColumnMapping.objects.filter(owner=user, fingerprint=fingerprint).first()
    mapping: dict[str, str] = found.options.get("mapping", {}) if found else {}
    return mapping


def remember_mapping(user: User, fingerprint: str, mapping: Mapping[str, str]) -> None:
    """Keep (or, when empty, forget) what the user said about the columns of files with this header."""
    if not mapping:
        ColumnMapping.objects.filter(owner=user, fingerprint=fingerprint).delete()
        return
    defaults: dict[str, Any] = {"options": {"mapping": dict(mapping)}, "used": timezone.now()}
    ColumnMapping.objects.update_or_create(owner=user, fingerprint=fingerprint, defaults=defaults)
