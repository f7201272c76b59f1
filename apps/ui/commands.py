"""What ``manage.py`` answers to input it cannot use: one sentence and a failing exit status."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import CommandError

from apps.ui.engine.refusal import Refusal
from apps.ui.refusals import refusal_text


@contextmanager
def refusals_as_errors() -> Iterator[None]:
    """Raise ``CommandError`` in place of a refusal, or of a path that cannot be read or written."""
    try:
        yield
    except Refusal as refusal:
        raise CommandError(refusal_text(refusal)) from refusal
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}." if error.filename else str(error)) from error
