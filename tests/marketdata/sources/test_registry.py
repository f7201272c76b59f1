"""Kinds of source: built in, of other packages, broken; and the example of the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings as django_settings

from apps.marketdata.engine.sources import registry
from apps.marketdata.engine.sources.registry import kinds, ready_source, source_kind
from apps.marketdata.models import Dataset, Source
from apps.marketdata.services.sources import source_create
from apps.marketdata.services.syncing import claim, sync_execute, sync_request
from apps.ui.engine import plugins
from apps.ui.engine.refusal import Refusal

DOCUMENT = Path(django_settings.BASE_DIR) / "docs/extending.md"


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package as pip would: its modules and its declared entry points beside each other."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def add(name: str, modules: dict[str, str], points: dict[str, str]) -> None:
        for module, text in modules.items():
            (site / f"{module}.py").write_text(text, encoding="utf-8")
        info = site / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = [f"{key} = {target}" for key, target in points.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{registry.GROUP}]", *lines, ""]))
        forget()

    yield add
    monkeypatch.undo()
    forget()


def forget():
    plugins.installed.cache_clear()
    registry._kind.cache_clear()


def blocks(language: str) -> str:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.S)[0]


@pytest.mark.django_db
def test_the_example_of_the_documentation_works(install, alice, var_dir):
    target = re.search(r'wave = "(.+)"', blocks("toml")).group(1)
    install("my-source", {"my_source": blocks("python")}, {"wave": target})
    kind = next(kind for kind in kinds() if kind.key == "wave")
    assert (kind.label, kind.package, kind.missing, kind.problem) == ("Sine wave", "my-source", "", "")
    source = source_create(owner=alice, name="waves", kind="wave", values={"period": "10", "start": "2024-01-01"})
    for state in ("completed", "unchanged"):
        run = sync_request(Source.objects.get(pk=source.pk), actor=alice)
        assert claim(run)
        assert sync_execute(run).state == state, run.reason
    dataset = Dataset.objects.get()
    assert (dataset.name, dataset.symbols.get().symbol, dataset.lineage["received"][0]["what"]) == (
        "waves",
        "WAVE",
        "wave WAVE",
    )


def test_a_package_cannot_take_the_name_of_what_is_built_in(install):
    install("sly", {"sly": "class Sly: pass"}, {"folder": "sly:Sly"})
    assert source_kind("folder").label == "Folder on the server"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import no_such_module_anywhere", "ModuleNotFoundError"), ("raise SystemError('boom')", "boom"), ("class Bad: pass", "lacks label, summary"),
        ("class Bad:\n    label = summary = secret = requires = ''\n    config = dict\n    test = symbols = fetch = len", "no SourceConfig"),
        ("class Bad:\n    def __init__(self, x): pass", "TypeError"), ("x = 1", "AttributeError"),
    ],
)  # fmt: skip
def test_a_package_that_cannot_be_used_is_listed_with_the_reason_and_harms_nobody(install, text, reason):
    install("bad", {"bad_module": text}, {"bad": "bad_module:Bad"})
    import sys

    sys.modules.pop("bad_module", None)
    kind = next(kind for kind in kinds() if kind.key == "bad")
    assert reason in kind.problem
    assert kind.source is None
    with pytest.raises(Refusal) as caught:
        ready_source("bad")
    assert caught.value.code == "broken_source_kind"
    assert source_kind("folder")


def test_an_unknown_kind_is_told_with_those_there_are():
    with pytest.raises(Refusal) as caught:
        source_kind("carrier-pigeon")
    assert (caught.value.status, "folder, http, sql" in str(caught.value)) == (404, True)


def test_no_package_of_a_vendor_is_imported_by_listing_kinds():
    import subprocess
    import sys

    code = (
        "import sys; from apps.marketdata.engine.sources.registry import kinds; kinds();"
        "print([n for n in ('akshare','tushare','yfinance','ccxt','xtquant','sqlalchemy','torch') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=django_settings.BASE_DIR, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
