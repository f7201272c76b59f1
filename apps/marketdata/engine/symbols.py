"""One name per instrument: ``600000.SH``, ``sh.600000``, ``600000.XSHG`` and ``600000`` are SH600000."""

from __future__ import annotations

import re

EXCHANGES = {
    "SH": "SH", "SS": "SH", "SSE": "SH", "XSHG": "SH", "SZ": "SZ", "SZSE": "SZ", "XSHE": "SZ", "BJ": "BJ", "BSE": "BJ",
}  # fmt: skip
_NAMES = "|".join(sorted(EXCHANGES, key=len, reverse=True))
PREFIXED = re.compile(rf"({_NAMES})[._-]?(\d{{6}})", re.IGNORECASE)
SUFFIXED = re.compile(rf"(\d{{6}})[._-]?({_NAMES})", re.IGNORECASE)
# The first digits of an A-share, B-share or fund tell its exchange.
SHANGHAI = ("600", "601", "603", "605", "688", "689", "900", "510", "511", "512", "513", "515", "516", "517", "518",
            "560", "561", "562", "563", "588")  # fmt: skip
SHENZHEN = ("000", "001", "002", "003", "200", "300", "301", "302", "159", "160", "161", "162", "163", "164", "165")
BEIJING = ("43", "83", "87", "88", "92")


def canonical(symbol: str) -> str:
    """Return the one name of a Chinese instrument; any other name stays as it is."""
    text = symbol.strip().lstrip("'")
    found = PREFIXED.fullmatch(text)
    if found:
        return EXCHANGES[found.group(1).upper()] + found.group(2)
    found = SUFFIXED.fullmatch(text)
    if found:
        return EXCHANGES[found.group(2).upper()] + found.group(1)
    if re.fullmatch(r"\d{6}", text):
        return _exchange(text) + text
    return text


def _exchange(code: str) -> str:
    for exchange, starts in (("SH", SHANGHAI), ("SZ", SHENZHEN), ("BJ", BEIJING)):
        if code.startswith(starts):
            return exchange
    return ""


def same(one: str, other: str) -> bool:
    """Tell whether two spellings name one instrument."""
    return canonical(one).casefold() == canonical(other).casefold()
