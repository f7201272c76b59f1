"""The resources and the flags of a run as its page shows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from apps.sessions.engine.states import ON_A_WORKER
from apps.sessions.engine.usage import UsageHistory
from apps.sessions.live.curves import curves_of
from apps.sessions.models import Session
from apps.sessions.notices import flag_details, flag_text
from apps.ui.engine.charts import sparkline
from apps.ui.engine.numbers import number, size
from apps.ui.engine.text import N_

Words = Callable[[float | None], str]


def _cores(value: float | None) -> str:
    return _("%(count)s cores") % {"count": number(None if value is None else value / 100, 2)}


def _share(value: float | None) -> str:
    return number(value) + "%" if value is not None else number(None)


def _rate(value: float | None) -> str:
    return size(value) + "/s" if value is not None else size(None)


#: Measure, label, words, and whether the peak says more of a finished run than the mean.
ROWS: tuple[tuple[str, str, Words, bool], ...] = (
    ("cpu_percent", N_("CPU"), _cores, False),
    ("rss_bytes", N_("Memory"), size, True),
    ("gpu_percent", N_("GPU"), _share, False),
    ("gpu_memory_bytes", N_("GPU memory"), size, True),
    ("read_bps", N_("Disk read"), _rate, False),
    ("write_bps", N_("Disk write"), _rate, False),
    ("net_in_bps", N_("Network in, whole host"), _rate, False),
    ("net_out_bps", N_("Network out, whole host"), _rate, False),
)


@dataclass(frozen=True)
class ResourceRow:
    """One measure: its course, and its newest value or what sums the run up."""

    label: str
    spark: SafeString
    value: str
    note: str


def resource_rows(session: Session) -> list[ResourceRow]:
    """Return the measures that anything measured; while it runs the newest value, then mean or peak."""
    usage = curves_of(session.pk, session.last_seq).usage
    return [_row(session, usage, *row) for row in ROWS if row[0] in usage.peaks]


def _row(session: Session, usage: UsageHistory, name: str, label: str, words: Words, peak: bool) -> ResourceRow:
    spark = mark_safe(sparkline(usage.values(name), style="bench"))  # noqa: S308 - drawn from numbers only
    most = _("peak %(value)s") % {"value": words(usage.peaks[name])}
    if session.status in ON_A_WORKER:
        return ResourceRow(_(label), spark, words(usage.last(name)), most if peak else "")
    if peak:
        return ResourceRow(_(label), spark, most, "")
    return ResourceRow(_(label), spark, _("mean %(value)s") % {"value": words(usage.mean(name))}, "")


@dataclass(frozen=True)
class FlagRow:
    """One flag: a shape, a word for the shape, its sentence, the numbers behind it, where and when."""

    shape: str
    word: str
    text: str
    details: str
    step: int
    at: datetime | None


def flag_rows(session: Session) -> list[FlagRow]:
    """Return what was flagged, newest first."""
    return [
        FlagRow(
            "fail" if flag.get("level") == "error" else "warn",
            _("error") if flag.get("level") == "error" else _("warning"),
            flag_text(flag), flag_details(flag), int(flag.get("step") or 0),
            datetime.fromtimestamp(flag["at"], tz=UTC) if flag.get("at") else None,
        )
        for flag in reversed(curves_of(session.pk, session.last_seq).flags)
    ]  # fmt: skip
