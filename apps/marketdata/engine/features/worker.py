"""The process that computes features for pages and the API, so that the web never loads numba.

Started with ``python -m`` by ``adapters.feature_worker``: a question a line on standard input,
``{"question": …, "target": path}``, a line back: ``{"ok": true}`` or the refusal. It ends with its
parent (the input closes) and when nobody has asked for a while.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from apps.marketdata.engine.features.answers import answer
from apps.ui.engine.refusal import Refusal

IDLE_SECONDS = 600.0


def reply(line: str) -> dict[str, Any]:
    """Answer one line; a question that breaks us is told, not fatal."""
    try:
        asked = json.loads(line)
        answer(asked["question"], Path(asked["target"]))
    except Refusal as refusal:
        return {
            "code": refusal.code, "message": refusal.message, "status": refusal.status, "field": refusal.field,
            "params": refusal.params,
        }  # fmt: skip
    except MemoryError:
        return {"code": "broken", "detail": "out of memory"}
    except Exception as error:  # noqa: BLE001 - the next question must find us alive
        return {"code": "broken", "detail": f"{type(error).__name__}: {error}"}
    return {"ok": True}


def main() -> None:
    while True:
        clock = threading.Timer(IDLE_SECONDS, os._exit, (0,))
        clock.daemon = True
        clock.start()
        line = sys.stdin.readline()
        clock.cancel()
        if not line:
            return
        sys.stdout.write(json.dumps(reply(line)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
