"""``bench historical``: ten years of bars over HTTP, from the question of the Python client to its table.

A real web process (daphne) on a seeded market of 800 symbols; the client's own packing, parsing and
Arrow reading are part of the time.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC
from itertools import cycle
from statistics import median, quantiles

import psutil

from quant_platform import smoke
from quant_platform.bench import Row
from quant_platform.bench.databases import installation, kind_of, server_of
from quant_platform.bench.measure import wall_seconds
from quant_platform.bench.peers import say
from quant_platform.bench.push import BASE
from quant_platform.bench.web import port_open
from quant_platform.client import Client
from quant_platform.client.tables import table_call

SYMBOLS, MANY, CALLS, ROUNDS = 800, 300, 200, 15
ONE_MS, MANY_MS = 20.0, 300.0
DATASET = "bench"


def rows(database: str = "") -> Sequence[Row]:
    """Measure one symbol (p95 of many calls, as Arrow and as JSON) and 300 (median, in one request and in batches).

    On the database in use, or on the one asked for.
    """
    server = server_of(database)
    with installation(server, "historical") as made_for:
        env = {**made_for, "QP_API_RATE": "0"}
        made = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "quant_platform.bench.historical", str(SYMBOLS)], env=env, cwd=BASE,
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        scene = json.loads(made.stdout.splitlines()[-1])
        port = smoke.free_port()
        web = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "quant_platform.asgi:application"],
            env=env, cwd=BASE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            smoke.wait_for(lambda: port_open(port), "the web process opening its port", 60)
            with Client(f"http://127.0.0.1:{port}", scene["token"]) as client:
                return measure(client, scene["symbols"], psutil.Process(web.pid), kind_of(server))
        finally:
            web.terminate()
            web.wait(20)


def measure(client: Client, symbols: Sequence[str], web: psutil.Process, kind: str) -> list[Row]:
    """Return the rows; every call asks for another symbol, so that no answer is one given before."""
    # Each line of httpx's log would name 50 symbols.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    data, many = client.data, list(symbols[:MANY])
    say(f"historical: {CALLS} calls of one symbol, {ROUNDS} of {MANY}")
    one = cycle(symbols)
    arrow = _taken(web, CALLS, lambda: data.historical(next(one), dataset=DATASET))
    as_json = _taken(web, CALLS, lambda: data.bars(next(one), dataset=DATASET))
    question = table_call("/api/data/historical", {"symbols": ",".join(many), "dataset": DATASET})
    whole = _taken(web, ROUNDS, lambda: client.run(question))
    batches = _taken(web, ROUNDS, lambda: data.historical(many, dataset=DATASET))
    return [
        _row(f"10 years × 1 symbol over HTTP, Arrow, {kind}: p95", arrow, ONE_MS, p95=True),
        _row(f"10 years × 1 symbol over HTTP, JSON, {kind}: p95", as_json, ONE_MS, p95=True),
        _row(f"10 years × {MANY} symbols over HTTP, Arrow, one request, {kind}", whole, MANY_MS),
        _row(f"10 years × {MANY} symbols over HTTP, Arrow, batches of 50 at once, {kind}", batches, MANY_MS),
    ]


def _taken(web: psutil.Process, calls: int, work: Callable[[], object]) -> tuple[list[float], float]:
    """Return the ms of each call after a few to warm up, and the server's CPU ms a call."""
    for _ in range(max(2, calls // 20)):
        work()
    before = sum(web.cpu_times()[:2])
    taken = [wall_seconds(work) * 1e3 for _ in range(calls)]
    return taken, (sum(web.cpu_times()[:2]) - before) / calls * 1e3


def _row(work: str, measured: tuple[list[float], float], goal: float, *, p95: bool = False) -> Row:
    taken, cpu = measured
    value = quantiles(taken, n=20)[-1] if p95 else median(taken)
    note = f"median {median(taken):.1f}, least {min(taken):.1f} ms; web {cpu:.1f} CPU ms a call"
    return Row(work, round(value, 1), goal, "ms", clock="wall", note=note)


def prepare(count: int) -> None:
    """Migrate an empty installation, store a market of ``count`` symbols and print a token and the symbols."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "quant_platform.settings")
    import django

    django.setup()
    from django.core.management import call_command

    from apps.accounts.models import User
    from apps.accounts.tokens import token_create
    from apps.marketdata.engine.store import write_panel
    from apps.marketdata.models import Dataset, DatasetSymbol
    from apps.marketdata.selectors import dataset_root
    from quant_platform.bench.markets import market

    call_command("migrate", verbosity=0)
    panel = market(count, 1)
    start, end = (panel.times[at].astype("datetime64[s]").item().replace(tzinfo=UTC) for at in (0, -1))
    dataset = Dataset.objects.create(
        name=DATASET, content_hash=write_panel(panel, dataset_root()).name, source="seeded", symbol_count=count,
        rows=count * len(panel.times), start=start, end=end, columns=list(panel.fields),
    )  # fmt: skip
    DatasetSymbol.objects.bulk_create(
        DatasetSymbol(dataset=dataset, symbol=name, position=at, rows=len(panel.times), start=start, end=end)
        for at, name in enumerate(panel.symbols)
    )
    user = User.objects.create_user("reader", "reader@example.com", None)
    print(json.dumps({"token": token_create(user, "bench")[1], "symbols": list(panel.symbols)}))  # noqa: T201


if __name__ == "__main__":
    prepare(int(sys.argv[1]))
