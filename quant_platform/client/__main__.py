"""``python -m quant_platform.client benchmark URL``: is the way to a server good?"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict

from .models import Benchmark
from .sync import Client
from .wire import from_environment


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 0, 1 where the server does not answer, 2 for a wrong command."""
    parser = argparse.ArgumentParser(prog="python -m quant_platform.client", description=__doc__)
    acts = parser.add_subparsers(dest="act", required=True)
    bench = acts.add_parser("benchmark", help="time to connect and to get a small answer")
    bench.add_argument("url", nargs="?", default=from_environment()[0], help="default: QUANT_PLATFORM_URL")
    bench.add_argument("--rounds", type=int, default=5, help="medians of so many connections (default 5)")
    bench.add_argument("--timeout", type=float, default=30.0, help="seconds (default 30)")
    bench.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or options.timeout <= 0:
        bench.error("--rounds and --timeout are positive numbers")
    try:
        figures = rounds(options.url, options.rounds, options.timeout)
    except ValueError as error:
        bench.error(str(error))
    print(json.dumps(asdict(figures)) if options.json else sentence(options.url, figures))  # noqa: T201
    return 0 if figures.success else 1


def rounds(url: str, count: int, timeout: float) -> Benchmark:
    """Return the medians of ``count`` measurements, or the first that failed."""
    with Client(url, timeout=timeout) as client:
        taken = []
        for _ in range(count):
            taken.append(client.benchmark())
            if not taken[-1].success:
                return taken[-1]
    connect = [one.connection_time_ms for one in taken if one.connection_time_ms is not None]
    transfer = [one.transfer_time_ms for one in taken if one.transfer_time_ms is not None]
    return Benchmark(round(statistics.median(connect), 2), round(statistics.median(transfer), 2), True)


def sentence(url: str, figures: Benchmark) -> str:
    if not figures.success:
        return f"{url}: {figures.error}"
    return f"{url}: connected in {figures.connection_time_ms} ms, answered in {figures.transfer_time_ms} ms"


if __name__ == "__main__":
    sys.exit(main())
