"""Every endpoint the client knows, as functions that return a ``Call``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import models as m
from .calls import Call, Document, get, given, many, mapping, one, pairs, part, post
from .documents import read
from .errors import UnexpectedAnswer

# The server itself


def health() -> Call[m.Health]:
    """Whether the web process answers; needs no token."""
    return _public(get("/api/health", one(m.Health)))


def ready() -> Call[m.Ready]:
    """Whether work can be done, part by part; not being ready is an answer, no error."""
    return _public(get("/api/ready", one(m.Ready)), frozenset({503}))


def me() -> Call[m.Me]:
    """Whom the token speaks for."""
    return get("/api/me", one(m.Me))


def market_status(calendar: str = "") -> Call[tuple[m.Market, ...]]:
    """Which markets are open; one ``calendar`` such as XSHG, or the usual ones."""
    return get("/api/market/status", lambda document: many(m.Market)(mapping(document)["markets"]), calendar=calendar)


# Strategies


def strategy_types() -> Call[tuple[m.StrategyType, ...]]:
    """The kinds of strategies with their JSON schema."""
    return get("/api/strategies/types", many(m.StrategyType))


def strategy_list(
    search: str = "", type: str = "", stage: str = "", archived: bool = False, sort: str = "", limit: int = 50,
    offset: int = 0,
) -> Call[m.StrategyPage]:  # fmt: skip
    """Your strategies, ``limit`` at a time (at most 200)."""
    return get(
        "/api/strategies/", one(m.StrategyPage), search=search, type=type, stage=stage, archived=archived, sort=sort,
        limit=limit, offset=offset,
    )  # fmt: skip


def strategy_get(strategy_id: int) -> Call[m.Strategy]:
    """One strategy with its current configuration."""
    return get(f"/api/strategies/{int(strategy_id)}", one(m.Strategy))


def strategy_create(
    name: str, type: str, config: Mapping[str, Any] | None = None, description: str = ""
) -> Call[m.Strategy]:
    """Create a strategy; ``Invalid`` names each field at fault."""
    body = {"name": name, "type": type, "config": dict(config or {}), "description": description}
    return post("/api/strategies/", one(m.Strategy), body)


def strategy_validate(type: str, config: Mapping[str, Any] | None = None) -> Call[m.Validation]:
    """Ask whether a configuration would be taken, without saving anything."""
    body = {"type": type, "config": dict(config or {})}
    return post("/api/strategies/validate", one(m.Validation), body, repeatable=True)


def strategy_train(
    strategy_id: int, overrides: Mapping[str, Any] | None = None, *, version: int | None = None, priority: int = 0,
    time_limit: int | None = None, memory_limit_mb: int | None = None, market_rules: str | None = None,
) -> Call[m.Session]:  # fmt: skip
    """Start a training; never sent twice by itself. ``time_limit`` in seconds."""
    body = given({
        "overrides": dict(overrides or {}), "version": version, "priority": priority, "time_limit": time_limit,
        "memory_limit_mb": memory_limit_mb, "market_rules": market_rules,
    })  # fmt: skip
    return post(f"/api/strategies/{int(strategy_id)}/train", one(m.Session), body)


def strategy_backtest(
    strategy_id: int, start: str | None = None, end: str | None = None, *, capital: float | None = None,
    benchmark: str | None = None, overrides: Mapping[str, Any] | None = None, version: int | None = None,
    priority: int = 0, study: str | None = None, mode: str | None = None, market_rules: str | None = None,
    checkpoint_session: int | None = None, time_limit: int | None = None, benchmark_dataset: str | None = None,
) -> Call[m.Session]:  # fmt: skip
    """Start a backtest; never sent twice by itself. Dates as 2011-01-03, ``study`` sweep or walk_forward,
    ``benchmark`` a symbol of the data or of ``benchmark_dataset``."""
    body = given({
        "overrides": dict(overrides or {}), "version": version, "priority": priority, "start": start, "end": end,
        "capital": capital, "benchmark": benchmark, "study": study, "mode": mode, "market_rules": market_rules,
        "checkpoint_session": checkpoint_session, "time_limit": time_limit, "benchmark_dataset": benchmark_dataset,
    })  # fmt: skip
    return post(f"/api/strategies/{int(strategy_id)}/backtest", one(m.Session), body)


# Sessions


def session_list(
    status: str = "", kind: str = "", strategy: int | None = None, search: str = "", tag: str = "", sort: str = "-id",
    page: int = 1, page_size: int = 25,
) -> Call[m.SessionPage]:  # fmt: skip
    """Sessions, newest first, ``page_size`` a page (at most 200)."""
    return get(
        "/api/sessions/", one(m.SessionPage), status=status, kind=kind, strategy=strategy, search=search, tag=tag,
        sort=sort, page=page, page_size=page_size,
    )  # fmt: skip


def session_get(session_id: int) -> Call[m.Session]:
    """One session with configuration and result."""
    return get(f"/api/sessions/{int(session_id)}", one(m.Session))


def session_status(session_id: int) -> Call[m.SessionStatus]:
    """State and progress."""
    return get(f"/api/sessions/{int(session_id)}/status", one(m.SessionStatus))


def session_metrics(
    session_id: int, names: str | Sequence[str] = "", *, after: float | None = None, limit: int = 100,
    resolution: int = 0,
) -> Call[m.Metrics]:  # fmt: skip
    """Curves by name (all without one): ``limit`` points behind the step ``after``, or the newest.

    ``resolution`` thins each to that many points and keeps its shape.
    """
    name = names if isinstance(names, str) else ",".join(names)
    return get(
        f"/api/sessions/{int(session_id)}/metrics", _metrics, name=name, after=after, limit=limit,
        resolution=resolution,
    )  # fmt: skip


def _metrics(document: Any) -> m.Metrics:
    found = mapping(document)
    try:
        curves = {str(name): many(m.MetricPoint)(list(points)) for name, points in found["metrics"].items()}
        return m.Metrics(int(found["session_id"]), curves, int(found["total"]), int(found["last_seq"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnexpectedAnswer(f"Metrics: {error!r}") from error


def session_events(session_id: int, after: int = 0, limit: int = 100) -> Call[Document]:
    """The live log behind a sequence number, as it was written."""
    return get(f"/api/sessions/{int(session_id)}/events", mapping, after=after, limit=limit)


def session_pause(session_id: int) -> Call[m.SessionStatus]:
    """Save a checkpoint and free the slot."""
    return _command(session_id, "pause")


def session_resume(
    session_id: int, *, time_limit: int | None = None, memory_limit_mb: int | None = None
) -> Call[m.SessionStatus]:
    """Go on from the last checkpoint, with other limits where given."""
    return _command(session_id, "resume", time_limit=time_limit, memory_limit_mb=memory_limit_mb)


def session_cancel(session_id: int) -> Call[m.SessionStatus]:
    """Stop for good."""
    return _command(session_id, "cancel")


def session_retry(
    session_id: int, *, time_limit: int | None = None, memory_limit_mb: int | None = None
) -> Call[m.SessionStatus]:
    """Try again what failed, was cancelled or interrupted."""
    return _command(session_id, "retry", time_limit=time_limit, memory_limit_mb=memory_limit_mb)


def _command(session_id: int, word: str, **limits: int | None) -> Call[m.SessionStatus]:
    return post(f"/api/sessions/{int(session_id)}/{word}", one(m.SessionStatus), given(limits) or None)


def session_report(session_id: int) -> Call[Document]:
    """The report of a completed backtest, as docs/api.md describes it."""
    return get(f"/api/sessions/{int(session_id)}/report", mapping)


def ws_ticket() -> Call[str]:
    """A single-use ticket for the live connection. Losing one harms nothing: it may be asked for again."""
    return post("/api/ws-ticket", lambda document: str(mapping(document)["ticket"]), repeatable=True)


# Data


def dataset_list(
    search: str = "", verdict: str = "", sort: str = "name", offset: int = 0, limit: int = 100
) -> Call[m.DatasetPage]:
    """The catalogue, ``limit`` at a time (at most 500)."""
    return get(
        "/api/datasets", one(m.DatasetPage), search=search, verdict=verdict, sort=sort, offset=offset, limit=limit
    )


def dataset_get(dataset_id: int) -> Call[m.Dataset]:
    """One dataset; ``raw["instruments"]`` lists its symbols."""
    return get(f"/api/datasets/{int(dataset_id)}", one(m.Dataset))


def bars(
    symbol: str, start: str = "", end: str = "", dataset: str = "", fields: str | Sequence[str] = ""
) -> Call[m.Bars]:
    """Bars of one symbol as lists; needs no pyarrow."""
    names = fields if isinstance(fields, str) else ",".join(fields)
    query = pairs({"start": start, "end": end, "dataset": dataset, "fields": names})
    return Call(
        "GET", f"/api/data/historical/{part(symbol)}", lambda answer: read(m.Bars, answer.json()), query, cached=True
    )


def realtime(symbols: Sequence[str], feed: str = "") -> Call[m.Realtime]:
    """The newest quote of each symbol; a question, so it may be asked again."""
    body = list(symbols)
    return Call(
        "POST", "/api/data/realtime", lambda answer: read(m.Realtime, answer.json()), pairs({"feed": feed}), body,
        repeatable=True,
    )  # fmt: skip


def cached_quote(symbol: str, feed: str = "") -> Call[m.CachedQuote]:
    """The newest quote of a symbol and whether the server's memory answered; ``NotFound`` where there never was one."""
    return get(f"/api/data/cache/{part(symbol)}", one(m.CachedQuote), feed=feed)


def quotes_after(
    after: int | None = None, symbols: str | Sequence[str] = "", limit: int = 1000, feed: str = ""
) -> Call[m.QuotePage]:
    """Quotes behind a cursor; without one none, and where to begin."""
    names = symbols if isinstance(symbols, str) else ",".join(symbols)
    return get("/api/data/quotes", one(m.QuotePage), after=after, symbols=names, limit=limit, feed=feed)


def feature_analysis(
    dataset: str, expression: str, *, start: str = "", end: str = "", horizons: str = "", groups: int = 5
) -> Call[Document]:
    """Distribution, coverage, IC by horizon and groups of one feature."""
    return get(
        "/api/data/features/analysis", mapping, dataset=dataset, expression=expression, start=start, end=end,
        horizons=horizons, groups=groups,
    )  # fmt: skip


def _public(call: Call[Any], answers: frozenset[int] = frozenset()) -> Call[Any]:
    return Call(call.method, call.path, call.read, public=True, answers=answers)
