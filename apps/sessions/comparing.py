"""Several sessions side by side: curves on one axis, what differs in their configuration, their figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any
from urllib.parse import urlencode

from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.sessions.engine.comparing import ALIGNMENTS, SMOOTHING, Line, line_of
from apps.sessions.live.curves import curves_of
from apps.sessions.metrics import known_metrics, look_of
from apps.sessions.models import Session
from apps.sessions.presenters import HEADLINE, field_order, metric_cell, value_text
from apps.sessions.selectors import session_visible
from apps.strategies.engine.registry import TYPES
from apps.trading.engine.glossary import GLOSSARY, PERCENT
from apps.ui.engine.charts import LINES, PAIR, WHOLE, Chart, Dimension, Series, line_chart, parallel_chart
from apps.ui.engine.numbers import MINUS, compact, number, size
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

MOST = len(LINES)
POINTS = 400
#: Below it a number has more zeros than a chart's margin has room.
SMALL = 0.001


@dataclass(frozen=True)
class Choice:
    """What the address asks for; anything it does not understand is the default."""

    ids: list[int]
    align: str
    smoothing: str

    @property
    def query(self) -> str:
        return urlencode([("s", pk) for pk in self.ids] + [("align", self.align), ("smoothing", self.smoothing)])


def choice_of(ids: Sequence[str], align: str, smoothing: str) -> Choice:
    """Read an address; refuses more than ``MOST`` sessions."""
    wanted = list(dict.fromkeys(int(text) for text in ids if text.isdecimal() and len(text) < 18))
    if len(wanted) > MOST:
        raise Refusal(
            "too_many_to_compare",
            N_("At most %(most)s sessions can be compared at once; %(count)s were chosen."),
            most=MOST,
            count=len(wanted),
        )
    return Choice(
        wanted, align if align in ALIGNMENTS else ALIGNMENTS[0], smoothing if smoothing in SMOOTHING else "none"
    )


def chosen_sessions(user: User | None, ids: Sequence[int]) -> list[Session]:
    """Return the sessions in the order asked for; one that is not theirs is as if it were not there (404)."""
    found = {session.pk: session for session in session_visible(user).filter(pk__in=ids)}
    if missing := [pk for pk in ids if pk not in found]:
        raise Refusal(
            "session_not_found", N_("There is no session %(id)s, or it is not yours."), status=404, id=missing[0]
        )
    return [found[pk] for pk in ids]


@dataclass(frozen=True)
class Overlay:
    """One metric of all the sessions that report it."""

    name: str
    title: str
    subtitle: str
    chart: Chart
    wide: bool


@dataclass(frozen=True)
class Row:
    """A line of a table: a label, a cell a session, and whether they differ."""

    label: str
    cells: list[str]
    differs: bool = False
    best: int = -1


def metric_lines(sessions: Sequence[Session], choice: Choice) -> dict[str, list[tuple[int, Line]]]:
    """Return metric -> (position of the session, its line), in page order."""
    curves = [curves_of(session.pk, session.last_seq) for session in sessions]
    names = [name for session in sessions for name in known_metrics(session.version.strategy.type)]
    names += [name for one in curves for name in one.names()]
    found: dict[str, list[tuple[int, Line]]] = {}
    for name in dict.fromkeys(names):
        lines = [
            (place, line)
            for place, one in enumerate(curves)
            if (line := line_of(one, name, align=choice.align, smoothing=choice.smoothing, points=POINTS))
        ]
        if lines:
            found[name] = lines
    return found


def _tick(value: float) -> str:
    """Return ``value`` short enough for the margin of a chart."""
    if value and abs(value) < SMALL:
        return f"{value:.1e}".replace("e-0", "e-").replace("-", MINUS)
    return compact(value)


def overlays(sessions: Sequence[Session], choice: Choice) -> list[Overlay]:
    return [_overlay(sessions, name, lines, choice) for name, lines in metric_lines(sessions, choice).items()]


def _overlay(sessions: Sequence[Session], name: str, lines: list[tuple[int, Line]], choice: Choice) -> Overlay:
    look = look_of(name)
    parts = [look.note, _("by step") if choice.align == "step" else _("by seconds since the first point")]
    if choice.smoothing != "none":
        parts.append(_("smoothed"))
    wide = look.place == "full"
    drawn = [Series(str(sessions[place].pk), line.x.tolist(), line.y.tolist(), LINES[place]) for place, line in lines]
    log = look.log and any((line.y > 0).any() for _, line in lines)
    chart = line_chart(
        drawn, label=look.title, log=log, y_text=_tick, width=WHOLE if wide else PAIR, height=168, right=72
    )
    return Overlay(name, look.title, _(", ").join(part for part in parts if part), chart, wide)


def config_rows(sessions: Sequence[Session]) -> list[Row]:
    """Return every field of the configurations, those that differ first."""
    names = field_order(sessions)
    rows = []
    for name in names:
        cells = [value_text(session.config[name]) if name in session.config else "–" for session in sessions]
        rows.append(Row(_label(sessions, name), cells, len(set(cells)) > 1))
    data = [str(session.dataset) for session in sessions]
    rows.insert(0, Row(_("Strategy"), _versions(sessions), len(set(_versions(sessions))) > 1))
    rows.insert(1, Row(_("Data"), data, len(set(data)) > 1))
    return sorted(rows, key=lambda row: not row.differs)


def _versions(sessions: Sequence[Session]) -> list[str]:
    return [f"{session.version.strategy.name} v{session.version.number}" for session in sessions]


def _label(sessions: Sequence[Session], name: str) -> str:
    for session in sessions:
        field = TYPES[session.version.strategy.type].config.model_fields.get(name)
        if field is not None and field.title:
            return _(field.title)
    return name


def figure_rows(sessions: Sequence[Session]) -> list[Row]:
    """Return the headline figures on the data each session was tested on; ``best`` is the best cell."""
    tables = [_figures(session.summary) for session in sessions]
    rows = []
    for name in HEADLINE:
        values = [_number(table.get(name)) for table in tables]
        if name in GLOSSARY and any(value is not None for value in values):
            cells = [metric_cell(value, GLOSSARY[name].unit) for value in values]
            rows.append(Row(_(GLOSSARY[name].title), cells, len(set(cells)) > 1, _best(name, values)))
    return rows


def _figures(summary: Mapping[str, Any]) -> Mapping[str, Any]:
    found = summary.get("test") or summary.get("metrics") or {}
    return found if isinstance(found, Mapping) else {}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


#: Figures of which more is better; the rest have no best.
BETTER_HIGH = frozenset({"total_return", "cagr", "sharpe", "sortino", "max_drawdown", "win_rate"})


def _best(name: str, values: Sequence[float | None]) -> int:
    known = [(value, place) for place, value in enumerate(values) if value is not None]
    if name not in BETTER_HIGH or len(known) < 2 or len({value for value, _ in known}) < 2:
        return -1
    return max(known)[1]


#: The figures at the end of the parallel coordinates, where a run has them.
ENDS = ("max_drawdown", "sharpe", "total_return")


def coordinates(sessions: Sequence[Session]) -> Chart | None:
    """Return the parallel coordinates: what differs in the configurations, then what came of it; None where there
    are not two axes to join."""
    names = field_order(sessions)
    columns = {name: [session.config.get(name) for session in sessions] for name in names}
    dimensions = [
        Dimension(_label(sessions, name), [_coordinate(value) for value in values])
        for name, values in columns.items()
        if len({str(value) for value in values}) > 1
    ]
    tables = [_figures(session.summary) for session in sessions]
    for name in ENDS:
        figures = [_number(table.get(name)) for table in tables]
        if any(value is not None for value in figures):
            dimensions.append(Dimension(_(GLOSSARY[name].title), figures, percent=GLOSSARY[name].unit == PERCENT))
    if len(dimensions) < 2:
        return None
    return parallel_chart(
        dimensions, [str(session.pk) for session in sessions], label=_("Parallel coordinates"), width=WHOLE
    )


def _coordinate(value: Any) -> float | str | None:
    number_of = _number(value)
    return number_of if number_of is not None else None if value is None else value_text(value)


def resource_rows(sessions: Sequence[Session]) -> list[Row]:
    """Return what each run took: time, steps, mean of the processor, peak of memory."""
    uses = [curves_of(session.pk, session.last_seq).usage for session in sessions]
    pairs = [
        (_("Time, s"), [number(session.seconds_used, 1) for session in sessions]),
        (_("Steps"), [number(session.step) for session in sessions]),
        (_("Steps a second"), [_pace(session) for session in sessions]),
        (_("CPU, mean cores"), [number((use.mean("cpu_percent") or nan) / 100, 2) for use in uses]),
        (_("Memory, peak"), [size(use.peaks.get("rss_bytes")) for use in uses]),
        (_("Attempts"), [number(session.attempt) for session in sessions]),
        (_("Device"), [str(session.environment.get("device") or "–") for session in sessions]),
    ]
    return [Row(label, cells, len(set(cells)) > 1) for label, cells in pairs]


def _pace(session: Session) -> str:
    return number(session.step / session.seconds_used) if session.seconds_used > 0 else "–"


def document(sessions: Sequence[Session], choice: Choice) -> dict[str, Any]:
    """Return the comparison as numbers."""
    lines = metric_lines(sessions, choice)
    return {
        "sessions": [{"id": s.pk, "title": s.title, "status": s.status, "kind": s.kind} for s in sessions],
        "align": choice.align,
        "smoothing": choice.smoothing,
        "metrics": {
            name: [{"session_id": sessions[place].pk, "x": x.x.tolist(), "y": x.y.tolist()} for place, x in found]
            for name, found in lines.items()
        },
        "config": {
            name: [session.config.get(name) for session in sessions]
            for name in field_order(sessions)
            if len({str(session.config.get(name)) for session in sessions}) > 1
        },
        "figures": [dict(_figures(session.summary)) for session in sessions],
    }
