"""The one exception for "no": a request the program understood and will not do.

Every room raises it, every door (page, API, socket, command) shows it: the code for
programs, the sentence for people, the field for forms.
"""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """A refusal that names its reason.

    ``message`` is an English msgid with ``%(name)s`` placeholders, translated where it is
    shown (``apps.ui.refusals.refusal_text``); ``params`` fill the placeholders and are the
    machine-readable details of the API's problem document.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int = 422,
        field: str | None = None,
        **params: Any,
    ) -> None:
        self.code = code
        self.message = message
        self.status = status
        self.field = field
        self.params = params
        super().__init__(code)

    def __str__(self) -> str:
        return self.message % self.params if self.params else self.message
