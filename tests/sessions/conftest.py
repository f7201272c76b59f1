"""What tests of sockets share."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from apps.sessions.live import connection, tailer
from apps.sessions.live.curves import forget_all
from apps.sessions.live.presence import presence
from tests.sessions.live_fixtures import make_session
from tests.sessions.sockets import PATIENCE


@pytest.fixture(autouse=True)
def own_files(settings, tmp_path):
    """Sessions and datasets are numbered anew in each test; their files are not the ones of the test before."""
    settings.VAR_DIR = tmp_path / "var"
    settings.VAR_DIR.mkdir()


@pytest.fixture(autouse=True)
def no_curve_is_remembered():
    """Each test starts its session numbers anew; the curves of the one before are not its own."""
    forget_all()


@pytest.fixture
async def no_socket_is_left():
    presence.process = None  # The row of the test before is gone.
    presence.seats.clear()
    yield
    for one in list(tailer.tailers.values()):
        if one.task is not None:
            one.task.cancel()
            await asyncio.gather(one.task, return_exceptions=True)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):  # A consumer that was collected leaves in a thread.
            while connection.connections or presence.seats:
                await asyncio.sleep(0.01)
    assert not connection.connections
    assert not presence.seats


@pytest.fixture
def session(alice):
    return make_session(alice)
