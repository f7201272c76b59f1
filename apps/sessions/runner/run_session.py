"""The process of one attempt in a fresh interpreter: ``python -m apps.sessions.runner.run_session SESSION ATTEMPT``.

A module and not a command: looking for commands is a twentieth of a cold start.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from apps.sessions.runner.process import be_modest, die_with_parent, importing


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the attempt and return the exit code of ``run_attempt``."""
    parser = argparse.ArgumentParser(prog="run_session", description="Run one attempt of a session (internal).")
    parser.add_argument("session", type=int)
    parser.add_argument("attempt", type=int)
    order = parser.parse_args(arguments)
    die_with_parent(int(os.environ.get("QP_PARENT_PID", "0")))
    be_modest()
    importing()
    import django

    django.setup(set_prefix=False)
    from apps.sessions.runner.child import run_attempt

    return run_attempt(order.session, order.attempt)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "quant_platform.settings.child")
    sys.exit(main())
