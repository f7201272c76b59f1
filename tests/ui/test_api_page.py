"""The page of the API: drawn from this server alone, as the policy asks."""

from __future__ import annotations

import re

import pytest
from django.contrib.staticfiles import finders

pytestmark = pytest.mark.django_db


def test_the_page_of_the_api_loads_nothing_from_elsewhere(client, alice):
    client.force_login(alice)
    answer = client.get("/api/docs")
    text = answer.content.decode()
    loaded = re.findall(r'<(?:script|link)[^>]* (?:src|href)="([^"]+)"', text)
    assert len(loaded) >= 4
    assert all(one.startswith("/static/") for one in loaded), loaded
    missing = [one for one in loaded if not finders.find(one.removeprefix("/static/"))]
    assert missing == []
    assert "/api/openapi.json" in text
    assert client.get("/api/openapi.json").status_code == 200
