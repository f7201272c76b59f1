"""What a run used, kept in bounded memory: the whole run stays in sight, its past ever coarser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.sessions.engine.events import Usage

#: Samples kept; at one a second about 20 minutes in full, then the older ones thin out.
KEPT = 1200
MEASURES = (
    "cpu_percent", "rss_bytes", "gpu_percent", "gpu_memory_bytes", "read_bps", "write_bps", "net_in_bps", "net_out_bps",
)  # fmt: skip


@dataclass
class UsageHistory:
    """Samples in order of time. ``peaks`` and the means are of all samples, not of those kept."""

    samples: list[Usage] = field(default_factory=list)
    peaks: dict[str, float] = field(default_factory=dict)
    _sums: dict[str, float] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def add(self, sample: Usage) -> None:
        """Append one sample, halving the older three quarters when there are too many."""
        self.samples.append(sample)
        for name in MEASURES:
            value = sample.get(name)
            if isinstance(value, int | float):
                self.peaks[name] = max(float(value), self.peaks.get(name, 0.0))
                self._sums[name] = self._sums.get(name, 0.0) + float(value)
                self._counts[name] = self._counts.get(name, 0) + 1
        if len(self.samples) > KEPT:
            old = KEPT * 3 // 4
            self.samples = self.samples[:old:2] + self.samples[old:]

    def values(self, name: str) -> list[float | None]:
        """Return what was kept of one measure; None where it was not measured."""
        return [float(value) if isinstance(value := one.get(name), int | float) else None for one in self.samples]

    def last(self, name: str) -> float | None:
        """Return the newest value that was measured."""
        return next((value for value in reversed(self.values(name)) if value is not None), None)

    def document(self) -> dict[str, Any]:
        """Return everything as JSON holds it."""
        return {"samples": self.samples, "peaks": self.peaks, "sums": self._sums, "counts": self._counts}

    def restore(self, document: Mapping[str, Any]) -> None:
        """Take what ``document`` returned."""
        self.samples, self.peaks = list(document["samples"]), dict(document["peaks"])
        self._sums, self._counts = dict(document["sums"]), dict(document["counts"])

    def mean(self, name: str) -> float | None:
        count = self._counts.get(name, 0)
        return self._sums[name] / count if count else None
