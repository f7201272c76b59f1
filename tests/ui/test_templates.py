"""The strict policy by construction: no template holds what the browser would block, or worse, obey."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: ``…_file.html`` are downloads that stand alone: opened from a disk, where no policy of ours applies.
TEMPLATES = [path for path in sorted((ROOT / "templates").rglob("*.html")) if not path.stem.endswith("_file")]
FORBIDDEN = {
    "an inline style": r"\sstyle\s*=",
    "a style element": r"<style\b",
    "an inline handler": r"\son[a-z]+\s*=",
    "a script of htmx": r"\shx-on",
    "a value that htmx would evaluate": r"""(?:hx-vals|hx-headers|hx-vars)\s*=\s*["']\s*js:""",
    "hx-vars": r"\shx-vars",
    "a trigger filter": r"""hx-trigger\s*=\s*(?:"[^"]*\[|'[^']*\[)""",
    "an inline script": r"<script(?![^>]*\ssrc=)[^>]*>",
    "a source elsewhere": r"""\s(?:src|action|hx-(?:get|post|put|patch|delete))\s*=\s*["']\s*(?:https?:)?//""",
    "a style sheet elsewhere": r"""<link[^>]*href\s*=\s*["']\s*(?:https?:)?//""",
    "a javascript address": r"""["']\s*javascript:""",
}


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: str(p.relative_to(ROOT / "templates")))
def test_a_template_keeps_to_the_policy(path):
    text = path.read_text(encoding="utf-8")
    found = [what for what, pattern in FORBIDDEN.items() if re.search(pattern, text, re.IGNORECASE)]
    assert found == []


@pytest.mark.parametrize(
    "bad",
    [
        '<b style="x">', "<style>", '<a onclick="x">', '<a hx-on:click="x">', "<a hx-vals='js:{}'>",
        '<a hx-trigger="click[ctrlKey]">', "<script>x</script>", '<script src="https://x"></script>',
        '<link rel=x href="//cdn">', '<a href="javascript:x">', '<form action="http://x">', '<a hx-vars="x">',
    ],
)  # fmt: skip
def test_the_patterns_catch(bad):
    assert any(re.search(pattern, bad, re.IGNORECASE) for pattern in FORBIDDEN.values())


def test_the_style_sheet_is_small_and_loads_nothing():
    css = (ROOT / "static" / "css" / "app.css").read_text(encoding="utf-8")
    assert len(css.encode()) <= 32 * 1024
    assert "url(" not in css
    assert "@import" not in css


def test_own_scripts_never_evaluate_text():
    for path in (ROOT / "static" / "js").glob("*.js"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\beval\(|new Function|innerHTML\s*=|document\.write", text), path.name
        assert "http://" not in text.replace("http://www.w3.org", ""), path.name
