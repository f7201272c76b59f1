"""What a file really is, by its first bytes: a name that promises something else is refused unread."""

from __future__ import annotations

from pathlib import PurePath

from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

#: Bytes that are enough to tell.
HEAD = 4096
#: First bytes → kind, the longest match first.
SIGNATURES = {
    b"PAR1": "parquet",
    b"PK\x03\x04": "zip",
    b"ARROW1": "arrow",
    b"FEA1": "arrow",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "ole",
    b"\x1f\x8b": "gzip",
    b"\x7fELF": "program",
    b"MZ": "program",
    b"#!": "program",
    b"%PDF": "document",
    b"\x89PNG": "picture",
    b"\xff\xd8\xff": "picture",
    b"GIF8": "picture",
}
#: Ending → the kinds it may hold.
PROMISES = {
    ".csv": {"text"},
    ".txt": {"text"},
    ".tsv": {"text"},
    ".json": {"text"},
    ".parquet": {"parquet"},
    ".pq": {"parquet"},
    ".feather": {"arrow"},
    ".arrow": {"arrow"},
    ".xlsx": {"zip"},
    ".xlsm": {"zip"},
    ".zip": {"zip"},
    ".gz": {"gzip"},
}
#: Byte order marks of text in which NUL is no sign of something else.
WIDE = (b"\xff\xfe", b"\xfe\xff")
PLAIN_CONTROLS = frozenset(b"\t\n\r\f\x1a")


def kind_of(head: bytes) -> str:
    """Return what ``head``, a file's first bytes, is: a kind of ``SIGNATURES``, "page", "text", "binary" or "empty"."""
    if not head:
        return "empty"
    for signature, kind in SIGNATURES.items():
        # "MZ" may begin a line of text; a program has bytes that text has not.
        if head.startswith(signature) and (signature != b"MZ" or b"\x00" in head):
            return kind
    if head.startswith(WIDE):
        return "text"
    if any(byte < 32 and byte not in PLAIN_CONTROLS for byte in head):
        return "binary"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:64].lower()
    return "page" if start.startswith((b"<!doctype", b"<html", b"<script", b"<svg", b"<?php")) else "text"


def check_contents(name: str, head: bytes) -> None:
    """Refuse a file whose first bytes are not what its name promises, naming both.

    An empty file passes: its reader says so at the right place. Raises `Refusal` ``wrong_contents``.
    """
    ending = PurePath(name.lower()).suffix
    kind = kind_of(head)
    wanted = PROMISES.get(ending, {"text", "parquet", "zip", "arrow", "gzip"})
    if kind != "empty" and kind not in wanted:
        raise Refusal(
            "wrong_contents",
            N_("%(name)s is not what its name says: the content is of another kind."),
            field="upload",
            name=PurePath(name).name[:80],
            kind=kind,
        )
