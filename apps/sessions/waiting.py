"""Why a session waits and for how long: worked out when it is shown, since it changes with every other session."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.sessions.engine.admission import Job, expected_starts
from apps.sessions.engine.states import State
from apps.sessions.forecast import Forecast
from apps.sessions.limits import MB
from apps.sessions.models import Session
from apps.sessions.notices import reason_text
from apps.sessions.services.claim import blocked, slot_free, waiting
from apps.ui.engine.numbers import number
from apps.ui.templatetags.ui import span

#: Waiting sessions whose start is worked out; those behind them wait longer than anybody plans for.
MOST_PLANNED = 200


@dataclass(frozen=True)
class Queue:
    """Who waits, next one first, in how many seconds each will start (None: unknown), and what there is."""

    order: tuple[int, ...]
    starts: Mapping[int, float | None]
    forecast: Forecast

    def because(self, session: Session) -> str:
        """Return what the session waits for: ``retry_pause``, ``no_worker``, ``draining``, ``slots``, ``cpu``,
        ``gpu``, ``memory``, or ``worker`` when one takes it in a moment."""
        if session.not_before and session.not_before > timezone.now():
            return "retry_pause"
        if not self.forecast.taking:
            return "draining" if self.forecast.alive else "no_worker"
        return blocked(session, self.forecast.counts(), self.forecast) or "worker"

    def sentence(self, session: Session) -> str:
        """Say what the session waits for and how long, in the reader's language."""
        why = self.because(session)
        parts = [self._why(session, why)]
        if why not in {"retry_pause", "worker"}:
            parts.append(self._before(session))
        if why not in {"no_worker", "draining"}:
            parts.append(self._when(session))
        return " ".join(filter(None, parts))

    def starts_in(self, session: Session) -> float | None:
        """Return in how many seconds it will start; None when nobody can know."""
        if session.not_before and session.not_before > timezone.now():
            return (session.not_before - timezone.now()).total_seconds()
        return self.starts.get(session.pk) if self.forecast.taking else None

    def document(self, session: Session) -> dict[str, Any]:
        """Return the same for programs: seconds, MB, cores; null where nothing is known."""
        need, start = self.forecast.need(session), self.starts_in(session)
        known = need.like > 0
        return {
            "because": self.because(session),
            "before": self.order.index(session.pk) if session.pk in self.order else 0,
            "starts_in_s": start,
            "done_in_s": start + need.seconds if start is not None and need.seconds is not None else None,
            "predicted": {
                "like": need.like, "seconds": need.seconds, "cores": need.cores,
                "memory_mb": need.memory_bytes // MB if known else None,
                "gpu_mb": need.gpu_bytes // MB if known else None,
            },
        }  # fmt: skip

    def _why(self, session: Session, why: str) -> str:
        match why:
            case "retry_pause":
                again = timezone.localtime(session.not_before)
                text = _("It starts again at %(clock)s.") % {"clock": f"{again:%H:%M:%S}"}
                return " ".join(filter(None, (reason_text(session.reason_code, session.reason), text)))
            case "no_worker":
                return _("No worker answers; it starts when one runs.")
            case "draining":
                return _("Every worker finishes what it runs and takes nothing new; it starts when one takes sessions.")
            case "memory":
                need, free = self.forecast.need(session).memory_bytes // MB, round(self.forecast.free_bytes) // MB
                words = {"need": number(need), "free": number(max(0, free))}
                return _("Its like take %(need)s MB of memory; %(free)s MB are free for sessions.") % words
            case "gpu":
                need, free = self.forecast.need(session).gpu_bytes // MB, round(max(self.forecast.gpu_free)) // MB
                words = {"need": number(need), "free": number(max(0, free))}
                return _("Its like take %(need)s MB of GPU memory; %(free)s MB are free on the emptiest GPU.") % words
            case "cpu":
                return _("The processors are busy, so only %(half)s of %(slots)s slots are filled.") % {
                    "half": self.forecast.slots, "slots": settings.SLOTS,
                }  # fmt: skip
            case "slots":
                used = {"used": len(self.forecast.running), "slots": settings.SLOTS}
                return _("Every slot is in use: %(used)s of %(slots)s.") % used
        return _("A worker takes it in a moment.")

    def _before(self, session: Session) -> str:
        ahead = self.order.index(session.pk) if session.pk in self.order else 0
        if not ahead:
            return _("It is next.")
        return ngettext("%(count)s session is before it.", "%(count)s sessions are before it.", ahead) % {
            "count": ahead
        }

    def _when(self, session: Session) -> str:
        start, takes = self.starts_in(session), self.forecast.need(session).seconds
        soon = start is not None and start < 1
        if start is not None and not soon and takes is not None:
            words = {"start": span(start), "takes": span(takes)}
            return _("It should start in about %(start)s and then take %(takes)s.") % words
        if start is not None and not soon:
            return _("It should start in about %(start)s.") % {"start": span(start)}
        return _("It should take about %(takes)s.") % {"takes": span(takes)} if takes is not None else ""


def queue_of(sessions: Iterable[Session]) -> Queue | None:
    """Read the queue when one of ``sessions`` waits: a fixed number of queries however many they are."""
    if not any(session.status == State.QUEUED for session in sessions):
        return None
    forecast, rows = Forecast.read(), waiting()
    planned = rows[:MOST_PLANNED]
    jobs = [Job(row.kind, need, need.seconds) for row in planned for need in (forecast.need(row),)]
    starts = expected_starts(forecast.running, jobs, forecast.free_bytes, partial(slot_free, slots=forecast.slots))
    by_session = {row.pk: start for row, start in zip(planned, starts, strict=True)}
    return Queue(tuple(row.pk for row in rows), by_session, forecast)
