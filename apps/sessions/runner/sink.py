"""The sink of a running session: points, progress and log lines go to the live log in batches.

A thread writes what has gathered every ``QP_EVENT_FLUSH_MS``, renews the lease and looks for
orders from outside; the trainer only appends to lists. A checkpoint is written by the trainer's
own thread, with everything that gathered, in one transaction.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections, connection, transaction
from django.utils import timezone

from apps.sessions.adapters.wakeup import poke
from apps.sessions.engine.anomalies import Watch
from apps.sessions.engine.resources import Sampler
from apps.sessions.engine.states import State
from apps.sessions.limits import memory_limit_bytes, seconds_allowed
from apps.sessions.live.curves import curves_of
from apps.sessions.models import Checkpoint, Session
from apps.sessions.runner import checkpoints
from apps.sessions.services.log import append_in_transaction
from apps.sessions.services.measuring import figures_store
from apps.sessions.services.transitions import StaleAttempt
from apps.strategies.engine.ports import Resume
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

if TYPE_CHECKING:
    from torch import Tensor

CONTROL_SECONDS = 0.2
OBSERVE_SECONDS = 1.0
#: What the metrics came to is written so often, unless more events than this have gathered: then when it ends.
MEASURE_SECONDS, MEASURE_EVENTS = 5.0, 5000
#: How long the database may be away before the run gives up.
DATABASE_PATIENCE = 60.0


class DbSink:
    """Implements ``ports.Sink`` for one attempt of one session."""

    def __init__(self, session: Session, folder: Path) -> None:
        self.session_id, self.attempt = session.pk, session.attempt
        self.folder = folder / "checkpoints"
        self.stop_reason = ""
        self._limit_left = seconds_allowed(session)
        self._used_before = session.seconds_used
        self._started = self._last_saved = time.monotonic()
        self._rate_anchor = (self._started, session.step)
        self._limit_saved = False
        self._renewed = float("-inf")
        self._usage: dict[str, Any] = dict(session.usage)
        self._watch, self._done = Watch(memory_limit_bytes(session)), session.progress
        self._pending: dict[str, Any] = {}
        self._changes: dict[str, Any] = {}
        self._gathering = threading.Lock()
        self._writing = threading.Lock()
        self._failure: BaseException | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="sink", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop the thread and write what is left; raises what went wrong while writing."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join()
        self._raise_failure()
        self.flush()
        self._measure()

    # -- what the trainer calls ------------------------------------------------------------

    def point(
        self, step: int, values: Mapping[str, float], *, epoch: int | None = None, seed: int | None = None
    ) -> None:
        self._raise_failure()
        for name, value in values.items():
            if not math.isfinite(value):
                raise Refusal(
                    "nan_metric",
                    N_("%(name)s became %(value)s at step %(step)s. Lower the learning rate or look at the data."),
                    name=name,
                    value=str(value),
                    step=step,
                )
        entry: dict[str, Any] = {"step": step, "values": dict(values), "at": time.time()}
        if epoch is not None:
            entry["epoch"] = epoch
        if seed is not None:
            entry["seed"] = seed
        with self._gathering:
            self._pending.setdefault("points", []).append(entry)
            self._changes["step"] = step
            if epoch is not None:
                self._changes["epoch"] = epoch

    def progress(self, done: float, total: float, unit: str) -> None:
        info = {"done": done, "total": total, "unit": unit}
        with self._gathering:
            info |= self._speed()
            self._pending["progress"] = info
            self._done = min(1.0, done / total) if total else 0.0
            self._changes |= {"progress": self._done, "progress_info": info}

    def log(self, text: str, level: str = "info") -> None:
        line = {"time": timezone.now().isoformat(timespec="milliseconds"), "level": level, "text": text[:2000]}
        print(f"{line['time']} {level} {text}", flush=True)  # noqa: T201 - the session's log file
        with self._gathering:
            self._pending.setdefault("logs", []).append(line)

    def checkpoint_due(self) -> bool:
        now = time.monotonic()
        return now - self._last_saved >= settings.QP_CHECKPOINT_SECONDS or self._limit_near(now)

    def _limit_near(self, now: float) -> bool:
        """Tell once, well before the time limit, that a checkpoint is due whatever the interval."""
        ahead = min(settings.QP_CHECKPOINT_BEFORE_LIMIT_SECONDS, self._limit_left / 2)
        return not self._limit_saved and now - self._started >= self._limit_left - ahead

    def save(
        self,
        step: int,
        tensors: Mapping[str, Tensor],
        state: Mapping[str, Any],
        *,
        epoch: int = 0,
        score: float | None = None,
        best: bool = False,
    ) -> None:
        self._raise_failure()
        stem = f"{self.attempt:03d}-{step:012d}{'-best' if best else ''}"
        written = checkpoints.write(self.folder, stem, tensors, state)
        row = {"step": step, "epoch": epoch, "score": score, "is_best": best}
        with self._writing:
            payload, changes = self._take()
            payload["checkpoint"] = {**row, "size_bytes": written.size_bytes}
            self._write(payload, changes, lambda: self._add_row(row, written))
        self._limit_saved = self._limit_saved or self._limit_near(time.monotonic())
        self._last_saved = time.monotonic()
        self._tidy()

    def stop_requested(self) -> bool:
        self._raise_failure()
        return bool(self.stop_reason)

    # -- what the runner calls -------------------------------------------------------------

    def request_stop(self, reason: str) -> None:
        """Ask the trainer to save and stop; the first reason counts."""
        self.stop_reason = self.stop_reason or reason

    def flag(self, code: str, params: Mapping[str, Any], step: int) -> None:
        """Raise a flag that the runner itself has found."""
        with self._writing:
            flags = self._watch.raise_flag(code, time.time(), dict(params), step)
        with self._gathering:
            self._pending.setdefault("flags", []).extend(flags)

    def latest(self) -> Resume | None:
        """Return the newest checkpoint that is whole; a damaged one is logged and passed over."""
        for row in Checkpoint.objects.filter(session_id=self.session_id).order_by("-id"):
            try:
                return checkpoints.read(Path(settings.VAR_DIR) / row.path, row.step, row.sha256)
            except checkpoints.CorruptCheckpoint as error:
                self.log(f"Checkpoint of step {row.step} is damaged and passed over: {error}", "warning")
                row.delete()
        return None

    def rewind(self, step: int) -> None:
        """Say that everything after ``step`` comes again; −1 where nothing was kept."""
        at = max(step, 0)
        with self._writing:
            self._write({"rewind": step}, {"step": at})
        self._rate_anchor = (time.monotonic(), at)

    def flush(self) -> None:
        """Write what has gathered, renewing the lease; nothing to say still renews it."""
        with self._writing:
            payload, changes = self._take()
            if payload:
                self._write(payload, changes)

    def seconds_used(self) -> float:
        return self._used_before + time.monotonic() - self._started

    # -- the writing thread ----------------------------------------------------------------

    def _loop(self) -> None:
        interval = settings.QP_EVENT_FLUSH_MS / 1000
        beat = min(1.0, settings.QP_LEASE_SECONDS / 4)
        next_control = 0.0
        next_figures = time.monotonic() + MEASURE_SECONDS
        try:
            sampler, next_sample = Sampler(), time.monotonic() + OBSERVE_SECONDS
            sampler.sample()  # Rates count from here.
            next_flush = time.monotonic() + interval
            while not self._closed.wait(max(0.0, next_flush - time.monotonic())):
                now = time.monotonic()
                self.flush()
                # A point waits for the interval, not for the interval and the writing of the points before it.
                next_flush = max(next_flush + interval, time.monotonic() + interval / 5)
                if now >= next_sample:
                    next_sample = now + OBSERVE_SECONDS
                    self._observe(sampler)
                if now >= self._renewed + beat:
                    self._beat()
                if now >= next_control:
                    next_control = now + CONTROL_SECONDS
                    self._look_for_orders()
                if now >= next_figures:
                    next_figures = now + MEASURE_SECONDS
                    self._measure(MEASURE_EVENTS)
        except BaseException as error:  # noqa: BLE001 - handed to the trainer's thread, which raises it
            self._failure = error
        finally:
            connection.close()

    def _observe(self, sampler: Sampler) -> None:
        """Sample the machine's use and look for what only time tells."""
        usage = sampler.sample()
        with self._writing:
            flags = [*self._watch.usage(usage), *self._watch.tick(usage["at"], self._done)]
        kept = self._usage
        kept["seconds"] = kept.get("seconds", 0.0) + OBSERVE_SECONDS
        kept["cpu_seconds"] = round(kept.get("cpu_seconds", 0.0) + usage["cpu_percent"] / 100 * OBSERVE_SECONDS, 2)
        kept["rss_bytes"] = usage["rss_bytes"]
        kept["peak_rss_bytes"] = max(kept.get("peak_rss_bytes", 0), usage["rss_bytes"])
        kept["peak_gpu_bytes"] = max(kept.get("peak_gpu_bytes", 0), usage["gpu_memory_bytes"] or 0)
        with self._gathering:
            self._pending.setdefault("resources", []).append(usage)
            self._changes["usage"] = dict(kept)
            if flags:
                self._pending.setdefault("flags", []).extend(flags)

    def _beat(self) -> None:
        """Renew the lease, which a write does as well."""
        with self._writing:
            self._renewed = time.monotonic()
            renewed = Session.objects.filter(pk=self.session_id, attempt=self.attempt).update(**self._lease())
        if not renewed:
            raise StaleAttempt(self.session_id, self.attempt)

    def _measure(self, most: int | None = None) -> None:
        """Write what the metrics came to, unless more than ``most`` events must be read for it. A database that is
        away is no reason to end: the next time, or the schedule, makes up for it."""
        with suppress(InterfaceError, OperationalError):
            last, measured = Session.objects.values_list("last_seq", "measured_seq").get(pk=self.session_id)
            if last > measured and (most is None or last - measured <= most):
                figures_store(self.session_id, curves_of(self.session_id, last))

    def _look_for_orders(self) -> None:
        status, attempt = Session.objects.values_list("status", "attempt").get(pk=self.session_id)
        if attempt != self.attempt:
            raise StaleAttempt(self.session_id, self.attempt)
        if status in {State.PAUSING, State.CANCELLING}:
            self.request_stop(status)
        if time.monotonic() - self._started >= self._limit_left:
            self.request_stop("time_limit")

    def _lease(self) -> dict[str, Any]:
        until = timezone.now() + timedelta(seconds=settings.QP_LEASE_SECONDS)
        return {"lease_until": until, "seconds_used": self.seconds_used()}

    def _take(self) -> tuple[dict[str, Any], dict[str, Any]]:
        with self._gathering:
            payload, changes = self._pending, self._changes
            self._pending, self._changes = {}, {}
        if payload.get("points"):
            flags = self._watch.points(payload["points"], self._done)
            if flags:
                payload["flags"] = [*payload.get("flags", ()), *flags]
        return payload, changes

    def _write(self, payload: dict[str, Any], changes: dict[str, Any], also: Any = None) -> None:
        """Write one row of the log, with ``also`` in the same transaction; outlast a database restart."""
        end = time.monotonic() + DATABASE_PATIENCE
        while True:
            try:
                with transaction.atomic():
                    append_in_transaction(
                        self.session_id, payload, attempt=self.attempt, changes={**changes, **self._lease()}
                    )
                    if also is not None:
                        also()
            except (InterfaceError, OperationalError):
                if time.monotonic() > end:
                    raise
                close_old_connections()
                time.sleep(0.25)
            else:
                self._renewed = time.monotonic()
                poke()
                return

    def _add_row(self, row: dict[str, Any], written: checkpoints.Written) -> None:
        mine = Checkpoint.objects.filter(session_id=self.session_id)
        mine.filter(is_latest=True).update(is_latest=False)
        if row["is_best"]:
            mine.filter(is_best=True).update(is_best=False)
        Checkpoint.objects.create(
            session_id=self.session_id,
            attempt=self.attempt,
            path=str(written.path.relative_to(settings.VAR_DIR)),
            sha256=written.sha256,
            size_bytes=written.size_bytes,
            is_latest=True,
            **row,
        )

    def _tidy(self) -> None:
        """Keep the best checkpoint and the two newest, so that a damaged one has a predecessor."""
        rows = list(Checkpoint.objects.filter(session_id=self.session_id).order_by("-id"))
        old = [row for row in rows[2:] if not row.is_best]
        if old:
            Checkpoint.objects.filter(pk__in=[row.pk for row in old]).delete()
            kept = {row.path for row in rows} - {row.path for row in old}
            checkpoints.remove(Path(settings.VAR_DIR) / row.path for row in old if row.path not in kept)

    def _speed(self) -> dict[str, Any]:
        """Return steps per second over the last while; called with the gathering lock held."""
        now, step = time.monotonic(), int(self._changes.get("step", self._rate_anchor[1]))
        then, first = self._rate_anchor
        rate = (step - first) / (now - then) if now > then else 0.0
        if now - then > 10.0:
            self._rate_anchor = (now, step)
        return {"rate": round(rate, 1), "step": step}

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
