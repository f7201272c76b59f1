"""Process hygiene: groups, the parent's death, priorities. Linux in full, the rest as far as it goes."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import sys
from pathlib import Path
from typing import Protocol

import psutil

PR_SET_PDEATHSIG = 1
#: Niceness of a session's process: beside a busy page it gets a tenth of a core, alone all of it.
MODESTY = 10


def die_with_parent(parent: int, number: int = signal.SIGTERM) -> None:
    """Receive ``number`` when the parent dies; at once if it is dead already (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
        if parent and os.getppid() != parent:
            os.kill(os.getpid(), number)


def be_modest() -> None:
    """Yield the processor to the pages, and be the one the kernel ends when memory runs out.

    Where Linux groups processes by session (autogroup) niceness counts within a group only; a process with a session
    of its own then lowers its group too. Whoever shares a session leaves the group to the others.
    """
    with contextlib.suppress(OSError, AttributeError):
        os.nice(MODESTY)
    with contextlib.suppress(OSError, AttributeError):
        if os.getsid(0) == os.getpid():
            Path("/proc/self/autogroup").write_text(str(MODESTY), encoding="ascii")
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("900", encoding="ascii")


def importing() -> None:
    """Collect no garbage until ``imported``: modules make none, and looking for it is a tenth of their time."""
    gc.disable()


def imported() -> None:
    """Collect garbage again after ``importing``, but never look through what was imported."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


class HasPid(Protocol):
    @property
    def pid(self) -> int: ...


def signal_group(process: HasPid, number: int) -> None:
    """Signal a child and everything it started; one that is gone already is fine."""
    with contextlib.suppress(ProcessLookupError, PermissionError, psutil.NoSuchProcess):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, number)
        else:
            psutil.Process(process.pid).send_signal(number)


def kill_number() -> int:
    """Return the signal that cannot be ignored, where there is one."""
    return getattr(signal, "SIGKILL", signal.SIGTERM)


def supervisor_gone() -> bool:
    """Tell whether the supervisor that started us was killed; without one there is nothing to miss."""
    pid = int(os.environ.get("QP_SUPERVISOR_PID", "0"))
    return pid > 0 and not psutil.pid_exists(pid)


def suspicion_file(drain_file: Path) -> Path:
    """Return the file by which a supervisor says that a launcher was killed while sessions ran."""
    return drain_file.with_suffix(".launcher-died")
