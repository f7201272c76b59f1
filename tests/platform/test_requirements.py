"""The lock: complete on every platform, and installed in the same way wherever somebody begins."""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path

import pytest
from django.conf import settings
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.lock import NOT_NEEDED, stated

BASE = Path(settings.BASE_DIR)
PLATFORMS = {
    "Linux": {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"},
    "Windows": {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt"},
    "Darwin": {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix"},
}


def locked() -> list[Requirement]:
    return stated(BASE / "requirements.txt")


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_lock_holds_what_its_packages_need_on(platform):
    environment = {**default_environment(), **PLATFORMS[platform], "extra": ""}

    def holds(need: Requirement) -> bool:
        return need.marker is None or need.marker.evaluate(environment)

    names = {canonicalize_name(pin.name) for pin in locked() if holds(pin)}
    installed = [pin for pin in locked() if pin.marker is None]
    needs = [Requirement(text) for pin in installed for text in distribution(pin.name).requires or ()]
    missing = {canonicalize_name(need.name) for need in needs if holds(need)} - names - NOT_NEEDED
    # torch names the libraries of its GPU build in that build alone; its own line of the set-up brings them.
    assert {name for name in missing if not name.startswith(("nvidia-", "cuda-", "triton"))} == set()


@pytest.mark.parametrize("guide", ["Makefile", "Dockerfile", "README.md", "README.zh.md"])
def test_whoever_installs_the_lock_lets_torch_bring_the_libraries_of_its_build(guide):
    text = (BASE / guide).read_text(encoding="utf-8")
    lock = text.index("--no-deps -r requirements.txt")
    assert "--constraint requirements.txt torch" in text[lock : lock + 250]
