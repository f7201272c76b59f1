"""A real installation for tests: daphne on a migrated SQLite in a folder of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PASSWORD = "correct horse 7"  # pragma: allowlist secret


@dataclass
class Server:
    """A running installation: its address, its folder, and ``manage`` to work in it."""

    url: str
    var: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the web process and wait until it answers."""
        log = self.var / "daphne.log"
        call = [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", self.environment["PORT"]]
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [*call, "quant_platform.asgi:application"], cwd=ROOT, env=self.environment, stdout=file,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        wait_until_up(self.url, self.process, log)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, how)
            self.process.wait(10)
            self.process = None

    def restart(self) -> None:
        """Kill the web process as it stands and start another in its place."""
        self.stop(signal.SIGKILL)
        self.start()

    def manage(self, *arguments: str, code: str = "") -> str:
        """Run a command, or ``code`` in the shell, and return what it printed."""
        call = [sys.executable, "manage.py", *(arguments or ("shell", "-v0"))]
        done = subprocess.run(
            call, input=code, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def installation(var: Path, **settings: str) -> Server:
    """Return a migrated installation in ``var`` that has not been started; ``settings`` are environment variables."""
    port = free_port()
    environment = {
        **os.environ, "VAR_DIR": str(var), "PORT": str(port), "QP_ENV": "development", "DATABASE_URL": "",
        "REDIS_URL": "", "DJANGO_SETTINGS_MODULE": "quant_platform.settings", "PYTHONPATH": str(ROOT), **settings,
    }  # fmt: skip
    made = Server(f"http://127.0.0.1:{port}", var, environment)
    made.manage("migrate", "--verbosity", "0")
    return made


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_up(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{url}/accounts/login/", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"the server did not start: {log.read_text()[-2000:]}")
