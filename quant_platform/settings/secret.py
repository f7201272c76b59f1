"""The signing key: given in production, made once per installation elsewhere."""

import os
import secrets
from pathlib import Path

from quant_platform.settings.env import SettingError


def secret_key(given: str, profile: str, var_dir: Path) -> str:
    """Return the key; production refuses to start without one of at least 32 characters."""
    if given:
        if profile == "production" and len(given) < 32:
            raise SettingError("SECRET_KEY is shorter than 32 characters; production needs a longer one.")
        return given
    if profile == "production":
        raise SettingError("SECRET_KEY is empty; production needs one of at least 32 characters.")
    path = var_dir / "secret_key"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    key = secrets.token_urlsafe(48)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key)
    return key
