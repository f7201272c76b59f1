"""Survivorship: members without bars, and sets that hold only who is still there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.findings import Finding
from apps.marketdata.engine.quality.series import Collector, Presence
from apps.marketdata.engine.universe import Membership

ENOUGH_SYMBOLS, ENOUGH_DAYS = 20, 750
SHOWN = 8


def check_universe(
    panel: BarPanel, present: Sequence[Presence], membership: Sequence[Membership], found: Collector
) -> None:
    """Report members that have no bars; without any membership, a set in which nobody ever left."""
    names = {series.symbol for series in present}
    for universe in dict.fromkeys(span.universe for span in membership):
        members = sorted({span.symbol for span in membership if span.universe == universe})
        absent = [symbol for symbol in members if symbol not in names]
        if absent:
            listed = ", ".join(absent[:SHOWN]) + (" …" if len(absent) > SHOWN else "")
            params = {"count": len(absent), "members": len(members), "universe": universe, "symbols": listed}
            found.put(Finding("survivorship", "warning", params=params))
    if membership or len(present) < ENOUGH_SYMBOLS or panel.frequency != "1d" or len(panel.times) < ENOUGH_DAYS:
        return
    last = panel.times[-1] - np.timedelta64(10, "D")
    if all(series.time[-1] >= last for series in present):
        found.put(Finding("only_survivors", "note", params={"count": len(present)}))
