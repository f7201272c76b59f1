"""Translation catalogues without GNU gettext: extract, check, compile; one catalogue a room.

The room's words come from ``apps/<room>/**/*.py`` and ``templates/<room>/`` (and ``TEMPLATES``); base templates and
error pages belong to ``ui``. A ``.po`` file is sorted and carries no dates or line numbers, so
that two people who extract get the same bytes. The msgid is the English text.
"""

from __future__ import annotations

import ast
import io
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOMS = ("ui", "accounts", "marketdata", "trading", "strategies", "sessions", "monitoring", "quant_platform")
LOCALE = "zh_Hans"
#: Folders of templates where a room has others than that of its name: pages of second factors, the frame of the admin.
TEMPLATES = {"accounts": ("accounts", "account", "mfa"), "ui": ("ui", "admin", "ninja")}
Templatize = Callable[[str], str]
#: Positions of (context, singular, plural) among the arguments of each call that marks text.
KEYWORDS: dict[str, tuple[int | None, int, int | None]] = {
    **dict.fromkeys(("_", "gettext", "gettext_lazy", "gettext_noop", "N_"), (None, 0, None)),
    **dict.fromkeys(("ngettext", "ngettext_lazy"), (None, 0, 1)),
    **dict.fromkeys(("pgettext", "pgettext_lazy"), (0, 1, None)),
    **dict.fromkeys(("npgettext", "npgettext_lazy"), (0, 1, 2)),
    "Refusal": (None, 1, None),
}
_STRING = r"""u?(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")"""
_CALL = re.compile(rf"\b(n?p?gettext|_)\(\s*({_STRING}(?:\s*,\s*{_STRING})*)\s*(?:,\s*count\s*)?\)", re.DOTALL)
_PLACEHOLDER = re.compile(r"%\((\w+)\)[#0\- +]*[\d.]*[a-zA-Z]|%%|\{(\w+)\}")


@dataclass(frozen=True)
class Problem:
    """One reason why a catalogue is not complete."""

    file: str
    kind: str
    msgid: str

    def __str__(self) -> str:
        return f"{self.file}: {self.kind}: {self.msgid!r}"


@dataclass(frozen=True)
class Found:
    """One marked text: where, in which context, singular and plural."""

    file: str
    context: str | None
    msgid: str
    plural: str | None

    @property
    def id(self) -> str | tuple[str, str]:
        return (self.msgid, self.plural) if self.plural is not None else self.msgid


def folder(root: Path, room: str) -> Path:
    return root / room if room == "quant_platform" else root / "apps" / room


def po_path(root: Path, room: str) -> Path:
    """Return where the room's Chinese catalogue lies."""
    return folder(root, room) / "locale" / LOCALE / "LC_MESSAGES" / "django.po"


def _pick(name: str, arguments: list[str | None], file: str) -> Found | None:
    context, single, plural = KEYWORDS[name]
    wanted = [i for i in (context, single, plural) if i is not None]
    if len(arguments) <= max(wanted) or any(arguments[i] is None for i in wanted):
        return None
    text = arguments[single] or ""
    return Found(file, arguments[context] if context is not None else None, text, arguments[plural] if plural else None)


def in_python(source: str, file: str) -> Iterator[Found]:
    """Yield the marked texts of a module: string constants, also joined from several lines."""
    for node in ast.walk(ast.parse(source, file)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name not in KEYWORDS:
            continue
        constants = [a.value if isinstance(a, ast.Constant) and isinstance(a.value, str) else None for a in node.args]
        found = _pick(name, constants, file)
        if found and found.msgid:
            yield found


def in_template(source: str, file: str, templatize: Templatize) -> Iterator[Found]:
    """Yield the marked texts of a Django template."""
    for call in _CALL.finditer(templatize(source)):
        strings: list[str | None] = [ast.literal_eval(text) for text in re.findall(_STRING, call[2], re.DOTALL)]
        found = _pick(call[1], strings, file)
        if found and found.msgid:
            yield found


def _below(path: Path, form: str) -> list[Path]:
    return sorted(path.rglob(form))


def _templates(root: Path, room: str) -> list[Path]:
    base = root / "templates"
    own = [
        path
        for one in TEMPLATES.get(room, (room,))
        for form in ("*.html", "*.txt")
        for path in _below(base / one, form)
    ]
    return own + sorted([*base.glob("*.html"), *base.glob("*.txt")]) if room == "ui" else own


def find(root: Path, room: str, templatize: Templatize) -> list[Found]:
    """Return every marked text of a room."""
    found: list[Found] = []
    for path in sorted(folder(root, room).rglob("*.py")):
        if "migrations" not in path.parts:
            found += in_python(path.read_text(encoding="utf-8"), path.relative_to(root).as_posix())
    for path in _templates(root, room):
        found += in_template(path.read_text(encoding="utf-8"), path.relative_to(root).as_posix(), templatize)
    return found


def _empty() -> Catalog:
    return Catalog(locale=LOCALE, fuzzy=False, charset="utf-8")


def read(root: Path, room: str) -> Catalog:
    """Return the room's catalogue as it is on disk; an empty one without a file."""
    path = po_path(root, room)
    if not path.is_file():
        return _empty()
    return read_po(io.BytesIO(path.read_bytes()), locale=LOCALE)


def _sources(found: list[Found]) -> dict[tuple[str | None, str], tuple[Found, list[str]]]:
    merged: dict[tuple[str | None, str], tuple[Found, list[str]]] = {}
    for one in found:
        key = (one.context, one.msgid)
        first, files = merged.setdefault(key, (one, []))
        if one.plural is not None and first.plural is None:
            merged[key] = (one, files)
        if one.file not in files:
            files.append(one.file)
    return merged


def _header() -> str:
    return (
        'msgid ""\nmsgstr ""\n"Language: zh_Hans\\n"\n"MIME-Version: 1.0\\n"\n'
        '"Content-Type: text/plain; charset=utf-8\\n"\n"Content-Transfer-Encoding: 8bit\\n"\n'
        '"Plural-Forms: nplurals=1; plural=0;\\n"\n'
    )


def _write(path: Path, data: bytes) -> None:
    """Write through a temporary name, so that several processes may do it at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    os.chmod(name, 0o644)
    os.replace(name, path)


def extract(root: Path, room: str, templatize: Templatize) -> int:
    """Write the room's catalogue with every marked text; keep the translations there are.

    Texts that are no longer marked are dropped. Return how many texts lack a translation.
    """
    sources = _sources(find(root, room, templatize))
    old, new = read(root, room), _empty()
    for (context, msgid), (one, files) in sorted(sources.items(), key=lambda item: (item[0][1], item[0][0] or "")):
        known = old.get(msgid, context)
        string = known.string if known else ""
        if one.plural is not None and not isinstance(string, (tuple, list)):
            string = (string or "",)
        elif one.plural is None and isinstance(string, (tuple, list)):
            string = string[0]
        flags = [flag for flag in known.flags if flag == "fuzzy"] if known else []
        # Babel writes the bare file name for a location without a line, though its types do not say so.
        places: list[Any] = [(file, None) for file in sorted(files)]
        new.add(one.id, string, locations=places, flags=flags, context=context)
    path = po_path(root, room)
    if not sources and not path.is_file():
        return 0
    buffer = io.BytesIO()
    write_po(buffer, new, width=120, omit_header=True, sort_output=False)
    _write(path, (_header() + "\n" + buffer.getvalue().decode().strip() + "\n").encode())
    return sum(1 for message in new if message.id and not all(_strings(message)))


def _strings(message: Message) -> tuple[str, ...]:
    value = message.string
    return tuple(value) if isinstance(value, (tuple, list)) else (value or "",)


def _placeholders(text: str) -> frozenset[str]:
    return frozenset(match[1] or match[2] or "%%" for match in _PLACEHOLDER.finditer(text))


def _faults(message: Message) -> Iterator[str]:
    strings = _strings(message)
    if not all(text.strip() for text in strings):
        yield "empty"
        return
    if message.fuzzy:
        yield "fuzzy"
    sources = message.id if isinstance(message.id, (tuple, list)) else (message.id,)
    wanted = _placeholders(sources[-1])
    if any(_placeholders(text) - {"%%"} != wanted - {"%%"} for text in strings):
        yield "placeholders differ"
    # With values filled in, a lone percent sign ends the page: it is written twice.
    if any("%(" in text and "%" in _PLACEHOLDER.sub("", text) for text in strings):
        yield "lone percent sign"


def check(root: Path, room: str, templatize: Templatize) -> list[Problem]:
    """Return what is missing, empty, fuzzy, unused or has other placeholders than the English."""
    sources = _sources(find(root, room, templatize))
    catalogue = read(root, room)
    file = po_path(root, room).relative_to(root).as_posix()
    known = {(m.context, m.id[0] if isinstance(m.id, (tuple, list)) else m.id): m for m in catalogue if m.id}
    problems = [Problem(file, "missing", msgid) for key in sources if key not in known for msgid in [key[1]]]
    for key, message in known.items():
        if key not in sources:
            problems.append(Problem(file, "unused", key[1]))
        else:
            problems += [Problem(file, fault, key[1]) for fault in _faults(message)]
    return sorted(problems, key=str)


def conflicts(root: Path) -> list[Problem]:
    """Return texts that two rooms translate differently: Django merges the catalogues, so one would win.

    Give one of them a context (``pgettext``, ``translate … context``).
    """
    first: dict[tuple[str | None, str], tuple[str, tuple[str, ...]]] = {}
    problems = []
    for room in ROOMS:
        file = po_path(root, room).relative_to(root).as_posix()
        for message in read(root, room):
            if not message.id or not all(_strings(message)):
                continue
            msgid = message.id[0] if isinstance(message.id, (tuple, list)) else message.id
            other, strings = first.setdefault((message.context, msgid), (file, _strings(message)))
            if strings != _strings(message):
                problems.append(Problem(file, f"differs from {other}", msgid))
    return problems


def compile_all(root: Path) -> int:
    """Write the ``.mo`` of every catalogue that is newer than its own; return how many were written."""
    written = 0
    for room in ROOMS:
        source = po_path(root, room)
        target = source.with_suffix(".mo")
        if not source.is_file() or (target.is_file() and target.stat().st_mtime_ns >= source.stat().st_mtime_ns):
            continue
        buffer = io.BytesIO()
        write_mo(buffer, read(root, room))
        _write(target, buffer.getvalue())
        written += 1
    return written
