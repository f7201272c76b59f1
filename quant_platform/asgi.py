"""ASGI application: HTTP through Django, ``/ws/`` through Channels."""

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "quant_platform.settings")
os.environ["QP_WEB_PROCESS"] = "1"  # The one process that pools its database connections.
http_application = get_asgi_application()
# An answer of 40 MB in pieces of 64 KB, Django's own, is 600 messages: twice the work of making it.
http_application.chunk_size = 2**20

from apps.sessions.live.access import SameSite  # noqa: E402
from apps.sessions.routing import websocket_urlpatterns  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": http_application,
        "websocket": SameSite(URLRouter(websocket_urlpatterns)),
    }
)
