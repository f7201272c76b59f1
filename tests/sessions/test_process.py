"""A session's process yields to the pages: by its niceness, and by that of its group where the kernel has groups."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from apps.sessions.runner.process import MODESTY

GROUP = Path("/proc/self/autogroup")
ROOT = Path(__file__).resolve().parents[2]
CODE = """
import os, pathlib
from apps.sessions.runner.process import be_modest
def told():  # Empty where the session began before the kernel grouped.
    group = pathlib.Path("/proc/self/autogroup")
    return (group.read_text().split() if group.is_file() else [])[-1:] or ["none"]
before, group = os.nice(0), told()
be_modest()
print(os.nice(0) - before, *group, *told())
"""


def modest(*, alone: bool) -> list[str]:
    order = [sys.executable, "-c", CODE]
    done = subprocess.run(order, cwd=ROOT, start_new_session=alone, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.skipif(not hasattr(__import__("os"), "nice"), reason="no niceness here")
def test_it_is_nicer_than_it_was():
    # 19 is the end of the scale, where the suite itself may run.
    assert 0 <= int(modest(alone=True)[0]) <= MODESTY


@pytest.mark.skipif(not GROUP.is_file(), reason="the kernel does not group by session")
def test_its_group_is_too_but_not_one_that_it_shares():
    _change, before, after = modest(alone=True)
    assert (before, after) in [("0", str(MODESTY)), ("none", "none")]
    _change, before, after = modest(alone=False)
    assert before == after
