"""Acts, scopes and kinds have words in both languages; browsers have names."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import translation

from apps.accounts.credentials import KINDS
from apps.accounts.engine.scopes import AREAS
from apps.accounts.engine.words import ACTIONS, AREA_WORDS, KIND_WORDS, PERMISSION_WORDS, device_name
from apps.accounts.permissions import PERMISSIONS
from apps.accounts.services import audit
from apps.sessions.engine.states import HUMAN


def acts_written() -> set[str]:
    """Return every act the program writes to the trail, read from its calls of ``audit``."""
    found: set[str] = set()
    for path in Path(settings.BASE_DIR, "apps").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            name = getattr(call, "func", None)
            if not isinstance(call, ast.Call) or "audit" not in (getattr(name, "id", ""), getattr(name, "attr", "")):
                continue
            act = call.args[1] if len(call.args) > 1 else None
            for one in (act.body, act.orelse) if isinstance(act, ast.IfExp) else (act,):
                if isinstance(one, ast.Constant) and isinstance(one.value, str):
                    found.add(one.value)
    return found


def test_every_act_of_the_trail_has_a_word():
    written = acts_written()
    assert len(written) > 30, "the calls were not found"
    assert sorted(written - set(ACTIONS)) == []
    assert {f"session.{command}" for command in HUMAN} <= set(ACTIONS)


def test_every_area_and_kind_has_a_word():
    assert set(AREA_WORDS) == set(AREAS.values())
    assert set(KIND_WORDS) == set(KINDS)
    assert set(PERMISSION_WORDS) == set(PERMISSIONS)


@pytest.mark.parametrize("words", [ACTIONS, AREA_WORDS, KIND_WORDS, PERMISSION_WORDS])
def test_the_words_are_chinese_in_chinese(words):
    with translation.override("zh-hans"):
        untold = [code for code, word in words.items() if translation.gettext(word) == word]
    assert untold == []


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox 128 · Windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
         "Safari 17 · macOS"),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/126.0.0.0 Safari/537.36",
         "Chromium 126 · Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0",
         "Edge 126 · Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Mobile Safari/604.1",
         "Safari 17 · iPhone"),
        ("python-httpx/0.28.1", "python-httpx/0.28.1"),
        ("curl/8.5.0 with more", "curl/8.5.0"),
        ("Firefox/<script>", "Firefox"),
        ("", "–"),
        ("x" * 500, "x" * 60),
    ],
)  # fmt: skip
def test_a_browser_is_named(agent, name):
    assert device_name(agent) == name


@pytest.mark.django_db
def test_the_trail_shows_word_and_code_and_leaves_an_unknown_code_alone(client, root):
    audit(root, "strategy.create")
    audit(root, "plugin.did_something")
    client.force_login(root)
    page = client.get("/accounts/audit/", headers={"accept-language": "zh-CN"}).content.decode()
    assert "创建策略" in page
    assert "strategy.create" in page
    assert "plugin.did_something" in page
