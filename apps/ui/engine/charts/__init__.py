"""Server-made SVG charts in plain Python: the fall-back without scripts, and every report.

chart = line_chart([Series("DQN v6", days, equity), Series("Buy and hold", days, held, "bench")],
                   label="The agent beat holding AAPL by 22 points", base=100)
{% load ui %}{% chart_svg chart %}
"""

from apps.ui.engine.charts.candles import Bar, candles
from apps.ui.engine.charts.downsample import lttb
from apps.ui.engine.charts.heat import HeatTable, heat_class, heat_table
from apps.ui.engine.charts.lines import drawdown_chart, line_chart
from apps.ui.engine.charts.model import (
    FULL,
    HALF,
    LINES,
    PAIR,
    PHONE,
    SIDE,
    WHOLE,
    Band,
    Chart,
    Event,
    Marker,
    Series,
    Shade,
)
from apps.ui.engine.charts.parallel import Dimension, parallel_chart
from apps.ui.engine.charts.small import bar_chart, distribution, dot_line, sparkline

__all__ = [
    "FULL", "HALF", "LINES", "PAIR", "PHONE", "SIDE", "WHOLE", "Band", "Bar", "Chart", "Dimension", "Event",
    "HeatTable", "Marker", "Series", "Shade", "bar_chart", "candles", "distribution", "dot_line", "drawdown_chart",
    "heat_class", "heat_table", "line_chart", "lttb", "parallel_chart", "sparkline",
]  # fmt: skip
