"""Runs a Python program whose life is tied to its supervisor's.

``python -m quant_platform.supervisor.tied PID -m daphne …`` asks the kernel for SIGTERM when the
supervisor dies, restores Ctrl-C (an ignored SIGINT is inherited through exec) and replaces itself.
"""

from __future__ import annotations

import os
import signal
import sys

from apps.sessions.runner.process import die_with_parent
from quant_platform.supervisor.web import adopt_listener


def main(arguments: list[str]) -> None:
    die_with_parent(int(arguments[0]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    adopt_listener()
    os.execv(sys.executable, [sys.executable, *arguments[1:]])  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
