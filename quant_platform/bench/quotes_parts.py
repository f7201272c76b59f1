"""The processes of ``bench quotes``: one stores, one reads meanwhile. Prints one JSON document.

Internal: started with the settings of a scratch installation.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import psutil

BATCH = 5_000
ZIPF = 1.2


def trace(count: int, symbols: int, seed: int = 7) -> Iterator[list[Any]]:
    """Yield batches of quotes with five levels: symbols in random order, times that grow."""
    from apps.marketdata.engine.quotes import Quote

    rng = np.random.Generator(np.random.PCG64(seed))
    # Python's own numbers, as JSON and a broker's client give them.
    prices, volumes = (10.0 + rng.random(symbols) * 90.0).tolist(), [0.0] * symbols
    for start in range(0, count, BATCH):
        chosen = rng.integers(0, symbols, min(BATCH, count - start))
        steps = rng.normal(0.0, 0.01, len(chosen))
        now, batch = time.time(), []
        for at, (symbol, step) in enumerate(zip(chosen.tolist(), steps.tolist(), strict=True)):
            price = prices[symbol] = max(1.0, prices[symbol] + step)
            volumes[symbol] += 100.0
            bids = tuple((price - 0.01 * level, 100.0 * level) for level in range(1, 6))
            asks = tuple((price + 0.01 * level, 100.0 * level) for level in range(1, 6))
            batch.append(Quote(f"S{symbol}", price, now + at * 1e-6, now, bids, asks, volume=volumes[symbol]))
        yield batch


def writer_of(name: str) -> Any:
    from apps.marketdata.models import Feed
    from apps.marketdata.services.feeds import feed_claim
    from apps.marketdata.services.quotes import QuoteWriter

    return QuoteWriter(feed_claim(Feed.objects.create(name=name, kind="websocket", wanted=True)))


def server_process() -> psutil.Process | None:
    """Return the server's process of this connection; None where it is this one, or on another host."""
    from django.db import connection

    if connection.vendor != "postgresql":
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]
    with contextlib.suppress(psutil.Error):
        found = psutil.Process(pid)
        return found if "postgres" in found.name() else None
    return None


def cpu_of(server: psutil.Process | None) -> float:
    used = server.cpu_times() if server is not None else None
    return time.process_time() + (used.user + used.system if used else 0.0)


def stored_per_second(count: int, symbols: int) -> dict[str, float]:
    """Check, coalesce and store a trace; the median rates over its transactions, the work of the source left out."""
    from apps.marketdata.services.quotes import Progress

    writer, by_cpu, by_wall, server = writer_of("ingestion"), [], [], server_process()
    for batch in trace(count, symbols):
        began, used = time.perf_counter(), cpu_of(server)
        writer.take([batch])
        done, _last = writer.store(Progress())
        by_cpu.append(done / (cpu_of(server) - used))
        by_wall.append(done / (time.perf_counter() - began))
    return {"stored": float(np.median(by_cpu)), "stored_wall": float(np.median(by_wall))}


def store_for(seconds: float, rate: int, symbols: int) -> None:
    """Store ``rate`` quotes a second in steps of 50 ms, as a feed's process does."""
    from apps.marketdata.services.quotes import Progress

    writer, step = writer_of("load"), 0.05
    quotes = (quote for batch in trace(int(rate * seconds * 2), symbols, 8) for quote in batch)
    began, due = time.monotonic(), time.monotonic()
    while time.monotonic() - began < seconds:
        writer.take([[next(quotes) for _ in range(int(rate * step))]])
        writer.store(Progress())
        due += step
        time.sleep(max(0.0, due - time.monotonic()))


def reads(count: int, seconds: float, symbols: int) -> dict[str, float]:
    """Read quotes as the API does, spread over ``seconds``, and return the p99, the mean and the share of hits."""
    from apps.marketdata.adapters.quote_board import board
    from apps.marketdata.quotes import cached
    from apps.ui.engine.refusal import Refusal

    rng = np.random.Generator(np.random.PCG64(9))
    asked = np.minimum(rng.zipf(ZIPF, count), symbols) - 1
    board.forget()
    board.count.reads = board.count.hits = 0
    taken, began = [], time.monotonic()
    for at, symbol in enumerate(asked.tolist()):
        start = time.perf_counter()
        used = time.thread_time()
        with contextlib.suppress(Refusal):
            cached(None, f"S{symbol}")
        taken.append((time.perf_counter() - start, time.thread_time() - used))
        time.sleep(max(0.0, began + (at + 1) * seconds / count - time.monotonic()))
    wall, cpu = np.array(taken).T * 1000
    return {
        "read_p99_ms": float(np.quantile(wall, 0.99)), "read_mean_ms": float(np.mean(wall)),
        "read_cpu_p99_ms": float(np.quantile(cpu, 0.99)),
        "hits": board.count.ratio or 0.0,
    }  # fmt: skip


def main() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "quant_platform.settings")
    django.setup()
    from quant_platform.bench import quotes as sizes

    if sys.argv[1:] == ["load"]:
        store_for(sizes.READ_SECONDS + 2.0, sizes.LOAD, sizes.SYMBOLS)
        return
    stored = stored_per_second(sizes.QUOTES, sizes.SYMBOLS)
    beside = subprocess.Popen([sys.executable, "-m", "quant_platform.bench.quotes_parts", "load"])
    time.sleep(2.0)
    found = reads(sizes.READS, sizes.READ_SECONDS, sizes.SYMBOLS)
    beside.wait()
    sys.stdout.write(json.dumps({**stored, **found}))


if __name__ == "__main__":
    main()
