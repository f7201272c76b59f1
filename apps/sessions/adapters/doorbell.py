"""Rings for a worker: a django-q2 task that says "look at the queue", and nothing more."""

from django_q.tasks import async_task


def ring() -> None:
    """Ask a worker to look at the queue. Ringing twice does no harm, not ringing is mended by the reaper."""
    async_task("apps.sessions.tasks.run_next", q_options={"save": False, "ack_failure": True})
