"""People every test knows: alice owns, bob is somebody else, root administers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.utils import timezone, translation
from hypothesis import HealthCheck, settings

from apps.ui.engine.catalogues import compile_all

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("QUANT_TEST_DATA", ROOT.parent / "shared" / "data"))
REFERENCE = DATA.parent / "reference"
TOGETHER = ("tests/client/", "tests/faults/test_faults.py")
#: Where the tests of a file share what the file sets up.
BY_FILE = "tests/browser/"
USES_DATABASE = {"db", "transactional_db", "live_server", "server"}
# A busy machine is no fault of the code: no example has a deadline, and none is too slow to be tried.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
if not os.environ.get("CI"):  # there hypothesis chooses its own profile, which is patient and the same each run
    settings.load_profile("patient")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Keep together on one worker what shares a costly server; the largest group begins.

    xdist's own marks for this (``--dist loadgroup``) are lost since pytest 9.2, which no longer takes a changed name.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith(BY_FILE):
                return nodeid.split("::", maxsplit=1)[0]
            return next((room for room in TOGETHER if nodeid.startswith(room)), nodeid)

    return Together(config, log)


def pytest_addoption(parser):
    parser.addoption(
        "--database-only", action="store_true", help="run what a database can change: no tests of pure functions"
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Begin with the tests that take longest, so that no core waits for them at the end.

    With ``--database-only`` leave out what neither asks for a database nor runs the whole program.
    """
    items.sort(key=lambda item: "faults" not in item.path.parts)
    if not config.getoption("--database-only"):
        return
    kept = [item for item in items if item.get_closest_marker("django_db") or USES_DATABASE & {*item.fixturenames}
            or "faults" in item.path.parts]  # fmt: skip
    config.hook.pytest_deselected(items=[item for item in items if item not in {*kept}])
    items[:] = kept


def pytest_configure(config):
    """Tests read the translations as they are now; each process writes whole files, so that workers may race."""
    compile_all(ROOT)


@pytest.fixture(autouse=True)
def nobody_chose_a_language():
    """A request leaves its language and time zone in the thread; the next test starts without them."""
    translation.deactivate()
    timezone.deactivate()


@pytest.fixture
def alice(django_user_model):
    return django_user_model.objects.create_user("alice", "alice@example.com", "correct horse 7")


@pytest.fixture
def bob(django_user_model):
    return django_user_model.objects.create_user("bob", "bob@example.com", "correct horse 7")


@pytest.fixture
def root(django_user_model):
    return django_user_model.objects.create_user("root", "root@example.com", "correct horse 7", role="administrator")


@pytest.fixture
def market_data() -> Path:
    """The folder of real market data; tests that need it skip where it is absent."""
    if not DATA.is_dir():
        pytest.skip("real market data is absent: set QUANT_TEST_DATA to its folder")
    return DATA


@pytest.fixture
def reference() -> Path:
    """The folder of reference cases; tests that need it skip where it is absent."""
    if not REFERENCE.is_dir():
        pytest.skip("reference cases are absent: set QUANT_TEST_DATA to the data folder beside them")
    return REFERENCE
