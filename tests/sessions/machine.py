"""A small deterministic trainer and the sessions that run it: the machine's tests need no torch agent."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from apps.marketdata.selectors import dataset_folder
from apps.sessions.models import Session, SessionEvent
from apps.sessions.services.claim import claim
from apps.strategies.engine.config_base import StrategyConfig
from apps.strategies.engine.ports import Resume, Sink, Stopped, TrainResult
from apps.strategies.engine.registry import TYPES
from tests.sessions.live_fixtures import make_dataset, make_session

#: step -> what happens just before it; set by a test.
HOOKS: dict[int, Callable[[Sink], None]] = {}


class ToyConfig(StrategyConfig):
    symbol: str = "AAPL"
    steps: int = 40
    save_every: int = 10


def train(config: ToyConfig, panel: Any, sink: Sink, resume: Resume | None = None, venue: None = None) -> TrainResult:
    """A recurrence whose every value depends on all before it, so that a wrong resume shows."""
    import torch

    step = resume.step if resume else 0
    x = resume.tensors["x"].clone() if resume else torch.tensor([0.5], dtype=torch.float64)
    while step < config.steps:
        step += 1
        HOOKS.get(step, lambda _: None)(sink)
        x = 3.7 * x * (1 - x)
        sink.point(step, {"loss": float(x)}, epoch=step)
        sink.progress(step, config.steps, "step")
        stop = sink.stop_requested()
        if stop or step % config.save_every == 0:
            sink.save(step, {"x": x}, {"step": step}, epoch=step, score=float(x), best=step == config.save_every)
        if stop:
            raise Stopped
    return TrainResult({"sharpe": 1.0}, {"total_return": 0.25, "sharpe": 1.5}, {}, {"kind": "toy"})


def install(monkeypatch: Any) -> None:
    """Make the trainer the one of algorithmic trading, with a configuration of its own."""
    entry = "tests.sessions.machine:train"
    toy = replace(TYPES["algorithmic_trading"], config=ToyConfig, train=entry)
    monkeypatch.setitem(TYPES, "algorithmic_trading", toy)
    for name in ("panel_of", "venue_of"):
        monkeypatch.setattr(f"apps.sessions.jobs.training.{name}", lambda session: None)
    HOOKS.clear()


def ready_dataset() -> Any:
    """A dataset whose folder exists."""
    dataset = make_dataset()
    dataset_folder(dataset).mkdir(parents=True, exist_ok=True)
    return dataset


def queued(owner: Any, **fields: Any) -> Session:
    from django.utils import timezone

    values = {"status": "queued", "attempt": 0, "queued_at": timezone.now()} | fields
    return make_session(owner, **values)


def claimed(owner: Any, **fields: Any) -> Session:
    """A session whose first attempt has just been claimed."""
    session = queued(owner, **fields)
    assert claim(session.pk, session.attempt, "test")
    return Session.objects.select_related("version__strategy", "dataset", "owner").get(pk=session.pk)


def reclaimed(session: Session) -> Session:
    assert claim(session.pk, session.attempt, "test")
    session.refresh_from_db()
    return session


def payloads(session: Session) -> list[dict[str, Any]]:
    """The log of a session, checked to be without a hole."""
    before = Session.objects.get(pk=session.pk).last_seq
    rows = list(SessionEvent.objects.filter(session=session).order_by("seq"))
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    # A run may go on writing between the three looks.
    assert before <= len(rows) <= Session.objects.get(pk=session.pk).last_seq
    return [row.payload for row in rows]


def curve(session: Session, name: str = "loss") -> list[tuple[int, float]]:
    """(step, value) as a reader sees them: rewinds applied, nothing else merged."""
    points: list[tuple[int, float]] = []
    for payload in payloads(session):
        if "rewind" in payload:
            points = [point for point in points if point[0] <= payload["rewind"]]
        points += [(p["step"], p["values"][name]) for p in payload.get("points", ()) if name in p["values"]]
    return points


def eventually(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Return the first true value of ``condition()``; fail when none comes in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds:.0f} s")
