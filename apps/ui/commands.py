"""What ``manage.py`` answers to input it cannot use: one sentence and a failing exit status."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.core.exceptions import PermissionDenied
from django.core.management.base import CommandError

from apps.ui.engine.refusal import Refusal
from apps.ui.refusals import refusal_text

Number = TypeVar("Number", int, float)


@contextmanager
def refusals_as_errors() -> Iterator[None]:
    """Raise ``CommandError`` for a refusal, a permission that lacks, or a path that cannot be read or written."""
    try:
        yield
    except Refusal as refusal:
        raise CommandError(refusal_text(refusal)) from refusal
    except PermissionDenied as error:
        raise CommandError(f"The permission {error} is needed.") from error
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}." if error.filename else str(error)) from error


def number_in(low: Number, high: Number) -> Callable[[str], Number]:
    """Return a ``type`` for ``add_argument``: numbers of the kind of ``low``, from ``low`` to ``high``."""

    def parse(text: str) -> Number:
        try:
            value = type(low)(text)
        except ValueError:
            value = low - 1
        if low <= value <= high:  # NaN is not
            return value
        raise ArgumentTypeError(f"{text[:40]} is no number from {low:,} to {high:,}")

    return parse
