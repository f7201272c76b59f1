"""What a page needs that is downloaded as one file and opened without the site."""

from __future__ import annotations

from pathlib import Path

from django.contrib.staticfiles import finders
from django.utils.safestring import SafeString, mark_safe


def style_tag() -> SafeString:
    """Return the site's style sheet as an element; pages of the site itself link to it instead."""
    found = finders.find("css/app.css")
    css = Path(str(found)).read_text(encoding="utf-8").replace("</", "<\\/") if found else ""
    return mark_safe(f"<style>{css}</style>")  # noqa: S308 - our own file
