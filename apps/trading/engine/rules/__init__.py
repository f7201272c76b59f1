"""The market-rule library: one dated table for environment, backtest, paper and pre-trade check.

day_rules("CN", "main", date(2024, 3, 1)).limits(10.05)   # (11.06, 9.05)
"""

from apps.trading.engine.rules.ask import answer
from apps.trading.engine.rules.day import (
    BOARDS,
    Band,
    DayRules,
    day_rules,
    find_row,
    fund_payment,
    half_up,
    within_cage,
)
from apps.trading.engine.rules.tables import ROWS, Row
from apps.trading.engine.rules.truth import truth_table

__all__ = [
    "BOARDS",
    "ROWS",
    "Band",
    "DayRules",
    "Row",
    "answer",
    "day_rules",
    "find_row",
    "fund_payment",
    "half_up",
    "truth_table",
    "within_cage",
]
