"""ASGI application: HTTP through Django, ``/ws/`` through Channels."""

import gc
import os
import sys

import django
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "quant_platform.settings")
os.environ["QP_WEB_PROCESS"] = "1"  # Processes of the web pool their database connections.
django.setup(set_prefix=False)

from apps.sessions.limits import gpus  # noqa: E402
from apps.sessions.live.access import SameSite  # noqa: E402
from apps.sessions.live.keeper import Keeper  # noqa: E402
from apps.sessions.routing import websocket_urlpatterns  # noqa: E402
from quant_platform.handler import RequestHandler  # noqa: E402

# The loop and the threads of requests wait for the interpreter lock at every step; Python's 5 ms add up.
sys.setswitchinterval(0.0005)
# Every page's code is there before the port is listened to: no request waits for imports.
_ = get_resolver().url_patterns
application = ProtocolTypeRouter(
    {
        "http": RequestHandler(),
        "websocket": SameSite(URLRouter(websocket_urlpatterns)),
    }
)


def begin() -> None:
    """Do what only a process that serves does; whoever else imports this module serves nothing."""
    gpus()  # Whoever starts a run asks for them; opening the line takes a while.
    # What is loaded stays: looking through it for garbage held up requests for a tenth of a second, and each stop.
    gc.freeze()
    Keeper().start()


if (reactor := sys.modules.get("twisted.internet.reactor")) is not None:
    reactor.callWhenRunning(begin)  # type: ignore[attr-defined]
