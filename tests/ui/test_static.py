"""Third-party files: a fixed list out of node_modules, and pages that read without them."""

from __future__ import annotations

import pytest
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import StaticFilesStorage

from apps.ui import npm_finder
from apps.ui.npm_finder import NPM_FILES, NpmFinder
from apps.ui.static_storage import HashedStaticFilesStorage


@pytest.fixture
def installed(tmp_path, settings):
    settings.BASE_DIR = tmp_path
    for source in NPM_FILES.values():
        path = tmp_path / "node_modules" / source
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    return tmp_path


def test_only_the_listed_files_are_served(installed):
    (installed / "node_modules" / "secret.js").write_text("x")
    finder = NpmFinder()
    assert {name for name, _ in finder.list(None)} == set(NPM_FILES)
    assert finder.find("npm/../secret.js") == []
    assert finder.find("node_modules/secret.js") == []
    name = "npm/uplot/uPlot.min.css"
    assert finder.find(name) == str(installed / "node_modules" / NPM_FILES[name])
    assert finder.find(name, find_all=True) == [finder.find(name)]
    assert npm_finder.available()


def test_the_storage_opens_what_the_list_names(installed):
    name, storage = next(iter(NpmFinder().list(None)))
    assert storage.open(name).read() == b"x"


def test_without_node_there_is_nothing_and_nothing_breaks(tmp_path, settings):
    settings.BASE_DIR = tmp_path
    finder = NpmFinder()
    assert list(finder.list(None)) == []
    assert finder.find("npm/uplot/uPlot.min.css") == []
    assert finder.check() == []
    assert not npm_finder.available()


def test_the_finder_is_wired(installed):
    finders.get_finder.cache_clear()
    assert finders.find("npm/uplot/uPlot.iife.min.js")


def test_names_are_plain_before_collectstatic_and_hashed_after(tmp_path):
    storage = HashedStaticFilesStorage(location=str(tmp_path), base_url="/static/")
    storage.hashed_files = {}
    assert storage.url("css/app.css") == StaticFilesStorage(base_url="/static/").url("css/app.css")
    assert storage.stored_name("css/app.css") == "css/app.css"
    storage.hashed_files = {"css/app.css": "css/app.123.css"}
    assert storage.url("css/app.css", force=True).endswith("css/app.123.css")
    assert storage.stored_name("css/app.css") == "css/app.123.css"
