"""A person's command to a session, whichever door it comes through."""

from __future__ import annotations

from apps.accounts.models import User
from apps.accounts.permissions import require_permission
from apps.sessions.engine.states import Command
from apps.sessions.models import Session
from apps.sessions.services.sessions import session_resume
from apps.sessions.services.transitions import session_command


def give(
    *,
    session: Session,
    command: Command,
    actor: User,
    time_limit: int | None = None,
    memory_limit_mb: int | None = None,
) -> Session:
    """Pause, resume, cancel or retry ``session`` for ``actor``; the limits are for what goes on.

    Raises ``Refusal``: ``invalid_transition`` (409) where the state forbids it,
    ``concurrent_limit`` (429) where one more would be too many.
    """
    require_permission(actor, "session.run")
    if command in {Command.RESUME, Command.RETRY}:
        return session_resume(
            session=session, actor=actor, command=command, time_limit=time_limit, memory_limit_mb=memory_limit_mb
        )
    return session_command(session_id=session.pk, command=command, actor=actor)
