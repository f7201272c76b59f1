"""Asks a source whether it can be reached, or what it has, in a process of its own: ``python -m``, JSON in and out.

A vendor's package is large, may hang and may do anything; the web process starts this, waits a while
and ends it. No Django here: what is needed, an opened secret among it, comes on standard input.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from apps.marketdata.engine.readers.options import no_progress
from apps.marketdata.engine.sources.network import Network
from apps.marketdata.engine.sources.port import MOST_SYMBOLS, Job
from apps.marketdata.engine.sources.registry import ready_source
from apps.ui.engine.config import validated
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

BROKEN = N_("The source's program failed: %(reason)s")


def answer(question: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``said`` for ``act`` test, ``symbols`` for symbols, or the refusal's parts."""
    try:
        source = ready_source(question["kind"])
        with tempfile.TemporaryDirectory(prefix="source-") as folder:
            job = Job(
                config=validated(source.config, question["config"]), folder=Path(folder), root=Path(question["root"]),
                network=Network(frozenset(question["allowed"]), int(question["limit"]), float(question["seconds"])),
                now=datetime.now(UTC), progress=no_progress, secret=question["secret"],
            )  # fmt: skip
            if question["act"] == "symbols":
                return {"symbols": [str(name) for name in source.symbols(job)][:MOST_SYMBOLS]}
            said = source.test(job)
            return {"said": said.message, "params": dict(said.params)}
    except Refusal as refusal:
        params = {name: str(value) for name, value in refusal.params.items()}
        return {"code": refusal.code, "message": refusal.message, "status": refusal.status, "params": params}
    except Exception as error:  # noqa: BLE001 - a package of somebody else's may raise anything
        reason = f"{type(error).__name__}: {error}"[:300]
        return {"code": "source_failed", "message": BROKEN, "status": 502, "params": {"reason": reason}}


def main() -> None:
    """Answer one question; what packages print on the way does not mix with the answer."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    out.write(json.dumps(answer(json.load(sys.stdin))))
    out.close()


if __name__ == "__main__":
    main()
