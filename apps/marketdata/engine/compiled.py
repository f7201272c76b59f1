"""numba's ``njit`` with its cache in a place that can be written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


def _choose_cache() -> None:
    """Keep compiled code beside the source; in VAR_DIR where the source is read-only (an image).

    numba reads the variable once, on import, so this runs before it.
    """
    here = Path(__file__).resolve().parent
    cache = here / "__pycache__"
    writable = os.access(cache if cache.is_dir() else here, os.W_OK)
    if not writable and os.environ.get("VAR_DIR"):
        os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(os.environ["VAR_DIR"]).resolve() / "numba"))


_choose_cache()

import numba  # noqa: E402


def compiled(function: F) -> F:
    """Compile ``function`` on first use and keep the machine code on disk; it runs without the GIL.

    No fast-math: equal inputs give equal bytes on every run. Division follows IEEE, so the
    pure-Python form (``NUMBA_DISABLE_JIT=1``) and the compiled one agree.
    """
    return cast("F", numba.njit(cache=True, error_model="numpy", nogil=True)(function))


def summed(function: F) -> F:
    """Compile a reduction whose additions the compiler may group, so that it uses vector instructions.

    The grouping is fixed when the code is made: equal inputs give equal bytes on one machine.
    """
    made = numba.njit(cache=True, error_model="numpy", nogil=True, fastmath={"reassoc", "contract"})
    return cast("F", made(function))
