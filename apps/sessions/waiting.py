"""Why a session waits: worked out when it is shown, since it changes with every other session."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.sessions.engine.states import State
from apps.sessions.forecast import Forecast
from apps.sessions.limits import MB
from apps.sessions.models import Session
from apps.sessions.notices import reason_text
from apps.sessions.services.claim import blocked, running_counts, waiting


@dataclass(frozen=True)
class Queue:
    """How many sessions hold a slot, by kind, and who waits, next one first."""

    running: dict[str, int]
    order: tuple[int, ...]
    forecast: Forecast

    def sentence(self, session: Session) -> str:
        """Say what the session waits for, in the reader's language."""
        if session.not_before and session.not_before > timezone.now():
            again = timezone.localtime(session.not_before)
            text = _("It starts again at %(clock)s.") % {"clock": f"{again:%H:%M:%S}"}
            return " ".join(filter(None, (reason_text(session.reason_code, session.reason), text)))
        lacks = blocked(session, self.running, self.forecast)
        if lacks == "memory":
            need = {
                "need": self.forecast.need(session).memory_bytes // MB,
                "free": max(0, round(self.forecast.free_bytes)) // MB,
            }
            text = _("Its like take %(need)s MB of memory; %(free)s MB are free for sessions.") % need
            return f"{text} {self._before(session)}".strip()
        if lacks:
            used = {"used": sum(self.running.values()), "slots": settings.SLOTS}
            text = _("Every slot is in use: %(used)s of %(slots)s.") % used
            return f"{text} {self._before(session)}".strip()
        return _("A worker takes it in a moment.")

    def _before(self, session: Session) -> str:
        ahead = self.order.index(session.pk) if session.pk in self.order else 0
        if not ahead:
            return _("It is next.")
        return ngettext("%(count)s session is before it.", "%(count)s sessions are before it.", ahead) % {
            "count": ahead
        }


def queue_of(sessions: Iterable[Session]) -> Queue | None:
    """Read the queue when one of ``sessions`` waits: a fixed number of queries however many they are."""
    if not any(session.status == State.QUEUED for session in sessions):
        return None
    return Queue(running_counts(), tuple(row.pk for row in waiting()), Forecast.read())
