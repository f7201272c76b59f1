"""The log-ins of browsers, kept in the database as Django does; reading one is a statement of every request."""

from __future__ import annotations

from datetime import datetime

from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.db.models import QuerySet
from django.utils import timezone

from apps.ui.prepared import prepared


@prepared
def _alive(key: str, now: datetime) -> QuerySet[Session]:
    return Session.objects.filter(session_key=key, expire_date__gt=now)


class SessionStore(db.SessionStore):
    """Django's store in the database."""

    def _get_session_from_db(self) -> Session | None:
        found = _alive.first(self.session_key, timezone.now())
        if found is None:
            self._session_key = None
        return found
