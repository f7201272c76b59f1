"""Every fixture loads into an empty database."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command

FIXTURES = sorted(path.stem for path in (Path(settings.BASE_DIR) / "fixtures").glob("*.json"))


@pytest.mark.django_db
@pytest.mark.parametrize("name", FIXTURES)
def test_fixture_loads(name, capsys):
    call_command("loaddata", name)
    assert "Installed 0 object" not in capsys.readouterr().out


def test_demo_users_have_no_usable_password():
    text = (Path(settings.BASE_DIR) / "fixtures" / "demo_users.json").read_text(encoding="utf-8")
    assert text.count('"password": "!"') == text.count('"model": "accounts.user"')
