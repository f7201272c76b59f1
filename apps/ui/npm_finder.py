"""Serves a fixed list of files out of ``node_modules``: nothing third-party is committed.

Without Node the list is empty and the pages fall back to server-made SVG.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import BaseFinder
from django.core.files.storage import FileSystemStorage

NPM_FILES = {
    "npm/uplot/uPlot.iife.min.js": "uplot/dist/uPlot.iife.min.js",
    "npm/uplot/uPlot.min.css": "uplot/dist/uPlot.min.css",
    "npm/lightweight-charts/lightweight-charts.js": (
        "lightweight-charts/dist/lightweight-charts.standalone.production.js"
    ),
}


def modules_folder() -> Path:
    return Path(settings.BASE_DIR) / "node_modules"


def available() -> bool:
    """Tell whether the chart libraries are installed."""
    return all((modules_folder() / source).is_file() for source in NPM_FILES.values())


class _NpmStorage(FileSystemStorage):
    """Storage whose names are the keys of ``NPM_FILES``."""

    def path(self, name: str) -> str:
        return str(modules_folder() / NPM_FILES[name])


class NpmFinder(BaseFinder):
    """Finds the files of ``NPM_FILES`` and no others."""

    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> Any:
        source = NPM_FILES.get(path)
        found = modules_folder() / source if source else None
        if found is None or not found.is_file():
            return []
        return [str(found)] if find_all else str(found)

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterable[tuple[str, Any]]:
        storage = _NpmStorage(location=str(modules_folder()))
        for name, source in NPM_FILES.items():
            if (modules_folder() / source).is_file():
                yield name, storage

    def check(self, **kwargs: Any) -> builtins.list[Any]:
        return []
