"""Which board an instrument trades on, as its symbol and the calendar of its data tell."""

from __future__ import annotations

from apps.marketdata.engine.symbols import canonical

Board = tuple[str, str]
#: First digits by exchange. An index (SH000300, SZ399001) and a B-share belong to no board here.
CHINA: dict[str, tuple[tuple[tuple[str, ...], str], ...]] = {
    "SH": (
        (("600", "601", "603", "605"), "main"),
        (("688", "689"), "star"),
        (("511", "513", "518"), "etf_t0"),
        (("588",), "etf_20"),
        (("510", "512", "515", "516", "517", "560", "561", "562", "563"), "etf"),
    ),
    "SZ": (
        (("000", "001", "002", "003"), "main"),
        (("300", "301", "302"), "chinext"),
        (("159", "160", "161", "162", "163", "164", "165"), "etf"),
    ),
    "BJ": ((("43", "83", "87", "88", "92"), "bse"),),
}
#: Other calendars hold one kind of instrument.
CALENDARS: dict[str, Board] = {"XNYS": ("US", "stock"), "XNAS": ("US", "stock"), "24/7": ("CRYPTO", "spot")}


def board_of(symbol: str, calendar: str = "") -> Board | None:
    """Return (market, board) of ``symbol``, or None where nobody can tell: then no rule is applied.

    A fund of Shenzhen counts as an ordinary one (T+1, 10 %): its number does not tell more.
    """
    name = canonical(symbol)
    if len(name) == 8 and name[:2] in CHINA and name[2:].isdigit():
        found = next((board for starts, board in CHINA[name[:2]] if name[2:].startswith(starts)), None)
        return None if found is None else ("CN", found)
    return CALENDARS.get(calendar)
