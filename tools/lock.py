"""Writes requirements.txt and requirements-dev.txt: every package, pinned, from what is installed.

The lock is installed with ``pip install --no-deps``: no resolver at set-up, and none of the
notebook packages that pyqlib names but never imports (ADR 0002). What only another platform
needs is pinned with its marker in the .in file and passed on as it stands.
"""

from __future__ import annotations

import re
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
#: Named by pyqlib, used only by its notebooks, its documentation and `qlib.rl`.
NOT_NEEDED = {"jupyter", "nbconvert", "gym"}
HEADER = "# Written by `make lock` from {source}. Install with: pip install --no-deps -r {target}\n"


def stated(path: Path) -> list[Requirement]:
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def direct(path: Path) -> list[Requirement]:
    """Return the requirements of ``path`` that hold on this platform."""
    return [wanted for wanted in stated(path) if wanted.marker is None or wanted.marker.evaluate()]


def closure(wanted: list[Requirement]) -> dict[str, str]:
    """Return name -> version of ``wanted`` and all they need on this platform."""
    found: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    queue = [(requirement.name, frozenset(requirement.extras)) for requirement in wanted]
    while queue:
        name, extras = queue.pop()
        key = (canonicalize_name(name), extras)
        if key in seen or key[0] in NOT_NEEDED:
            continue
        seen.add(key)
        package = distribution(name)
        found[key[0]] = package.version.partition("+")[0]
        for text in package.requires or ():
            need = Requirement(text)
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in (extras or {""})):
                queue.append((need.name, frozenset(need.extras)))
    return found


def write(source: str, target: str, include: str = "", without: dict[str, str] | None = None) -> dict[str, str]:
    pins = closure(direct(ROOT / source))
    lines = [f"{name}=={version}" for name, version in sorted(pins.items()) if name not in (without or {})]
    lines += [str(wanted) for wanted in stated(ROOT / source) if wanted not in direct(ROOT / source)]
    head = HEADER.format(source=source, target=target) + (f"-r {include}\n" if include else "")
    (ROOT / target).write_text(head + "\n".join(lines) + "\n", encoding="utf-8")
    return pins


def check_pins() -> None:
    """Refuse a lock whose installed versions differ from the pins of the .in files."""
    for source in ("requirements.in", "requirements-dev.in"):
        for requirement in direct(ROOT / source):
            installed = distribution(requirement.name).version
            if not requirement.specifier.contains(re.sub(r"\+.*", "", installed)):
                raise SystemExit(f"{source}: {requirement} is pinned but {installed} is installed")


if __name__ == "__main__":
    check_pins()
    runtime = write("requirements.in", "requirements.txt")
    write("requirements-dev.in", "requirements-dev.txt", include="requirements.txt", without=runtime)
