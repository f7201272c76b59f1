"""A process beside the server that runs what tests send it: a line of JSON in, one out. Starting Django once is enough."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import traceback


def main() -> None:
    import django

    django.setup()
    for line in sys.stdin:
        out = io.StringIO()
        try:
            with contextlib.redirect_stdout(out):
                exec(json.loads(line), {})
            answer = {"out": out.getvalue()}
        except Exception:  # noqa: BLE001 - whatever it is, the test is told
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
