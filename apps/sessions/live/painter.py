"""Draws the partials of watched sessions, once per group of readers that sees the same."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

from apps.sessions.live import partials, source
from apps.sessions.live.follower import Follower, Look
from apps.sessions.live.frames import Batch

logger = logging.getLogger(__name__)
#: Seconds between two drawings of a session, and between two looks for findings.
INTERVAL = 0.5
FINDINGS = 3.0


class Painter:
    """Collects what changed in a session and draws it at most every ``INTERVAL`` seconds."""

    def __init__(self, watchers: dict[int, set[Follower]]) -> None:
        self.watchers = watchers
        self.dirty: dict[int, set[str]] = defaultdict(set)
        self.pending: dict[int, asyncio.Task[None]] = {}
        self.next_at: dict[int, float] = {}
        self.findings_at: dict[int, float] = {}
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="live-draw")

    def soil(self, part: Batch) -> None:
        """Note what a batch changed; draw it now, or when the interval is over."""
        if not self._looks(part.session):
            return
        self.dirty[part.session] |= self._changes(part)
        if part.session not in self.pending:
            self.pending[part.session] = asyncio.create_task(self._draw(part.session))

    def _changes(self, part: Batch) -> set[str]:
        """Return the keys of the payload; findings are worked out at most every ``FINDINGS`` s."""
        changes, now = set(part.payload), asyncio.get_running_loop().time()
        if "points" in changes and now >= self.findings_at.get(part.session, 0.0):
            self.findings_at[part.session] = now + FINDINGS
            changes.add("findings")
        return changes

    def close(self) -> None:
        for session in list(self.pending):
            self.forget(session)
        self.thread.submit(source.close)
        self.thread.shutdown(wait=False)

    def forget(self, session: int) -> None:
        self.dirty.pop(session, None)
        self.next_at.pop(session, None)
        self.findings_at.pop(session, None)
        if task := self.pending.pop(session, None):
            task.cancel()

    def _looks(self, session: int) -> dict[Look, list[Follower]]:
        groups: dict[Look, list[Follower]] = defaultdict(list)
        for follower in self.watchers.get(session, ()):
            if follower.protocol == "html":
                groups[follower.look].append(follower)
        return groups

    async def _draw(self, session: int) -> None:
        loop = asyncio.get_running_loop()
        try:
            await asyncio.sleep(max(0.0, self.next_at.get(session, 0.0) - loop.time()))
            self.next_at[session] = loop.time() + INTERVAL
            changes, groups = self.dirty.pop(session, set()), self._looks(session)
            if changes and groups:
                drawn = await loop.run_in_executor(
                    self.thread, partials.draw, session, frozenset(changes), tuple(groups)
                )
                for look, followers in groups.items():
                    for follower in followers:
                        if drawn[look]:
                            follower.put(drawn[look])
        except Exception:  # A drawing that fails must not end the live page.
            logger.exception("The partials of session %s could not be drawn.", session)
        finally:
            if self.pending.get(session) is asyncio.current_task():
                del self.pending[session]
            if self.dirty.get(session) and session not in self.pending:
                self.pending[session] = asyncio.create_task(self._draw(session))
