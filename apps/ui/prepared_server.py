"""Plans that PostgreSQL keeps of statements that are written once.

Django sends each statement with its values in the text, so that the server reads and plans it anew: longer than it
takes to answer most of ours. Sent apart from their values they are prepared by psycopg when they come for the third
time on a connection (its ``prepare_threshold``, which only web processes set; see ``QP_PREPARED_STATEMENTS``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.db import NotSupportedError, ProgrammingError

Found = TypeVar("Found")


class Bound:
    """A database connection whose cursors send values apart from the statement; all else is the connection's own."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def cursor(self) -> Any:
        from django.db.backends.postgresql.base import ServerBindingCursor

        driver = self._connection.connection
        usual, driver.cursor_factory = driver.cursor_factory, ServerBindingCursor
        try:
            return self._connection.cursor()
        finally:
            driver.cursor_factory = usual

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class Keeping:
    """Whether one statement may be sent apart from its values: proved when it is first asked.

    The server has to tell the kind of each value from the statement alone, which some forms do not let it. The proof is
    made outside of transactions, which a refusal would spoil.
    """

    def __init__(self) -> None:
        self.proved: bool | None = None

    def ask(self, connection: Any, question: Callable[[Any], Found]) -> Found:
        """Return ``question(connection)``, asked in the better of the two ways."""
        if not self._may(connection):
            return question(connection)
        if self.proved:
            try:
                return question(Bound(connection))
            except NotSupportedError:  # The table has changed since the plan was made; plans go with their connection.
                if connection.in_atomic_block:
                    raise
                connection.close()
                return question(connection)
        try:
            found = question(Bound(connection))
        except ProgrammingError:
            self.proved = False
            return question(connection)
        self.proved = True
        return found

    def _may(self, connection: Any) -> bool:
        if self.proved is False or connection.vendor != "postgresql":
            return False
        if self.proved is None and connection.in_atomic_block:
            return False
        connection.ensure_connection()
        return getattr(connection.connection, "prepare_threshold", None) is not None
