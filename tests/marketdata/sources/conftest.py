"""Jobs for sources, files for them to find, and a server on this machine that answers as a test wants."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from apps.marketdata.engine.readers.options import no_progress
from apps.marketdata.engine.sources.network import Network
from apps.marketdata.engine.sources.port import Job
from apps.marketdata.engine.sources.registry import source_kind
from apps.marketdata.services.sources import source_create
from apps.ui.engine.config import validated

#: A Friday evening, after every close.
NOW = datetime(2024, 3, 29, 23, 0, tzinfo=UTC)


@pytest.fixture
def import_root(var_dir) -> Path:
    """The server folder whose files people may import."""
    folder = Path(var_dir) / "import"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def job(tmp_path, import_root):
    """Make a job of a kind of source: its configuration by name, the rest by keyword."""

    def make(kind: str, *, network=None, now=NOW, progress=no_progress, secret=None, held=None, marks=None, **config):
        folder = tmp_path / f"job-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        return Job(
            config=validated(source_kind(kind).config, config), folder=folder, root=import_root,
            network=network or Network(), now=now, progress=progress, secret=secret or {}, held=held or {},
            marks=marks or {},
        )  # fmt: skip

    return make


def put(folder: Path, name: str, text: str, *, age: float = 3600.0) -> Path:
    """Write a file that has been at rest for ``age`` seconds before now."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    moment = datetime.now(UTC).timestamp() - age
    os.utime(path, (moment, moment))
    return path


@pytest.fixture
def folder_source(alice, import_root):
    """A source of alice that watches the folder ``daily``."""
    (import_root / "daily").mkdir()
    return source_create(owner=alice, name="daily", kind="folder", values={"folder": "daily", "settle": 5})


class Server:
    """Answers every request with what ``answer`` returns for its path: status, headers, body; and keeps the requests."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.answer = lambda path, headers: (404, {}, b"")
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                heads = {name.lower(): value for name, value in self.headers.items()}
                outer.asked.append((self.path, heads))
                status, given, body = outer.answer(self.path, heads)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), "Connection": "close", **given}.items():
                    if value is not None:
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = True

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def server():
    running = Server()
    yield running
    running.close()


@pytest.fixture
def inside(server):
    """The way out of an installation whose administrator allows this machine."""
    return Network(allowed=frozenset({f"127.0.0.1:{server.port}"}))
