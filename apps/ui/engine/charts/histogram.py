"""A histogram whose bins were counted elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from apps.ui.engine.charts import svg as s
from apps.ui.engine.charts.model import HALF, Chart
from apps.ui.engine.charts.scale import Axis, nice_step, nice_ticks, tick_text


def histogram(
    edges: Sequence[float], counts: Sequence[int], *, label: str, width: int = HALF, height: int = 168
) -> Chart:
    """Return bars of ``counts`` between ``edges`` (one more than counts), zero as a line where it is in sight."""

    def draw(wide: int, language: str) -> str:
        low, high = edges[0], edges[-1]
        xs = Axis(low, high if high > low else low + 1.0, 8, wide - 8)
        foot, top, most = height - 24.5, 8.0, max(1, *counts)
        parts: list[str] = []
        for i, count in enumerate(counts):
            if count:
                x0, x1, y = xs(edges[i]), xs(edges[i + 1]), foot - (foot - top) * count / most
                parts.append(s.path("vol", f"M{s.c(x0 + 0.5)} {s.c(foot)}V{s.c(y)}H{s.c(x1 - 0.5)}V{s.c(foot)}Z"))
        if low < 0.0 < high:
            parts.append(s.path("g0", f"M{s.c(xs(0.0))} {top}V{foot}"))
        parts.append(s.path("gb", f"M8 {foot}H{wide - 8}"))
        words = tick_text(nice_step(high - low, 5))
        for tick in nice_ticks(low, high, 5):
            parts.append(s.text(xs(tick), foot + 16, words(tick), "tk", "middle"))
        return s.svg(wide, height, label, parts)

    return Chart(draw, width)
