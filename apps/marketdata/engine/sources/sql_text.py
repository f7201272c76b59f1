"""Is this text one SELECT and nothing else? Read by its words, without a database.

The database is asked read-only as well; this refuses early, with a reason, what has no business here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

NOT_SELECT = N_("A query begins with SELECT or WITH; this one begins with “%(word)s”.")
TWO = N_("Write one query, without a semicolon inside it.")
OPEN_END = N_("The query ends inside a quoted text or a comment.")
FORBIDDEN = N_("“%(word)s” has no place in a query that only reads.")
BAD_NAME = N_("“%(name)s” is not the name of a table or column: letters, digits and _, like prices or public.prices.")
NAME = re.compile(r"[^\W\d]\w{0,62}", re.ASCII)
#: Words that write, lock, run or reach other things, wherever they stand outside of quotes.
WORDS = frozenset({
    "insert", "update", "delete", "merge", "into", "drop", "alter", "create", "truncate", "grant", "revoke", "copy",
    "execute", "attach", "detach", "pragma", "vacuum", "nextval", "setval", "query_to_xml", "table_to_xml",
    "cursor_to_xml", "database_to_xml", "schema_to_xml", "query_to_xml_and_xmlschema", "load_extension", "readfile",
    "writefile", "fts3_tokenizer", "set_config", "current_setting",
})  # fmt: skip
#: Functions of these families read files, end sessions or wait.
FAMILIES = ("pg_", "lo_", "dblink", "xp_", "sp_", "utl_", "dbms_")
#: The catalogue may be read.
HARMLESS = frozenset({"pg_catalog", "pg_class", "pg_tables", "pg_typeof"})
TOKEN = re.compile(
    r"""
    (?P<space>\s+) | (?P<line>--[^\n]*) | (?P<block>/\*) | (?P<escape>[eE]'|[uU]&['"]) | (?P<text>')
    | (?P<quoted>") | (?P<tick>`) | (?P<dollar>\$[A-Za-z_\x80-\uffff]?[\w\x80-\uffff]*\$)
    | (?P<word>[^\W\d][\w$]*) | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)


def checked_query(text: str) -> str:
    """Return the query without a closing semicolon. Raises ``Refusal`` ``bad_query`` where it is not one SELECT."""
    words = list(_words(text.replace("\x00", "")))
    while words and words[-1] == ";":
        words.pop()
    if ";" in words:
        raise Refusal("bad_query", TWO, field="query")
    first = next((word for word in words if word != "("), "")
    if first not in ("select", "with"):
        raise Refusal("bad_query", NOT_SELECT, field="query", word=first[:40] or "–")
    wrong = next((word for word in words if _forbidden(word)), None)
    if wrong is not None:
        raise Refusal("bad_query", FORBIDDEN, field="query", word=wrong[:40])
    return text.replace("\x00", "").strip().rstrip("; \t\r\n")


def _forbidden(word: str) -> bool:
    return word in WORDS or (word.startswith(FAMILIES) and word not in HARMLESS)


def _words(text: str) -> Iterator[str]:
    """Yield words in lower case, and other marks, outside of quotes and comments; a quoted name is a word."""
    at = 0
    while at < len(text):
        found = TOKEN.match(text, at)
        assert found is not None  # ``other`` takes any character  # noqa: S101
        kind, at = str(found.lastgroup), found.end()
        if kind == "word":
            yield found.group().lower()
        elif kind == "other":
            yield found.group()
        elif kind == "escape":
            # Backslashes and code points can hide any word from a reader that does not know the dialect.
            raise Refusal("bad_query", FORBIDDEN, field="query", word=found.group()[:-1] + "''")
        elif kind == "block":
            at = _end(text, at, "*/")
        elif kind == "dollar":
            at = _end(text, at, found.group())
        elif kind in ("text", "quoted", "tick"):
            mark = found.group()
            start, at = at, _end(text, at, mark)
            if kind != "text":
                yield text[start : at - 1].lower()


def _end(text: str, at: int, mark: str) -> int:
    found = text.find(mark, at)
    if found < 0:
        raise Refusal("bad_query", OPEN_END, field="query")
    return found + len(mark)


def checked_name(text: str, field: str) -> str:
    """Return a table's or column's name, with its schema or not. Raises ``Refusal`` ``bad_name``."""
    parts = text.split(".")
    if len(parts) > 3 or not all(NAME.fullmatch(part) for part in parts):
        raise Refusal("bad_name", BAD_NAME, field=field, name=text[:80])
    return text


def quoted(name: str) -> str:
    """Return a checked name in quotes, part by part."""
    return ".".join(f'"{part}"' for part in name.split("."))
