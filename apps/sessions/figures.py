"""The figures of a training: which metrics are drawn where, their findings, data and drawings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.sessions.engine.curves import Curves
from apps.sessions.engine.downsample import lttb
from apps.sessions.engine.findings import Finding, against, spikes, trend
from apps.sessions.engine.states import FINAL
from apps.sessions.live.curves import curves_of
from apps.sessions.metrics import known_metrics, look_of
from apps.sessions.models import Kind, Session
from apps.sessions.presenters import baseline_word
from apps.sessions.yardstick import hold_sharpe
from apps.strategies.engine.training.metrics import Metric
from apps.ui.engine.charts import FULL, HALF, Band, Chart, Series, line_chart
from apps.ui.engine.numbers import compact, number

#: Most points of a series that travel with the page, by place; all seeds of a figure share it.
POINTS = {"half": 800, "full": 1200, "small": 200}
#: Seeds drawn as threads; the median and the band are made of all.
THREADS = 16
SMALL_WIDTH = 182


@dataclass(frozen=True)
class Figure:
    """One figure ready to be shown; ``chart`` is the server's drawing, None before the first point."""

    name: str
    label: str
    title: str
    subtitle: str
    place: str
    last: str
    chart: Chart | None

    @property
    def small(self) -> bool:
        return self.place == "small"


def baselines_of(session: Session, metric: str) -> list[tuple[str, float]]:
    """Return what the score on unseen data is measured against."""
    hold = hold_sharpe(session) if look_of(metric).held_out else None
    return [] if hold is None else [(baseline_word("buy_and_hold"), hold)]


def names_of(session: Session, curves: Curves) -> list[str]:
    """Return the metrics to draw: those of the strategy type, then whatever else the run reports."""
    known = known_metrics(session.version.strategy.type)
    return [*known, *(name for name in curves.names() if name not in known)]


def figures_of(session: Session, *, drawn: bool = True) -> list[Figure]:
    """Return the figures of a training in page order, of one that has ended those with points; a backtest has its
    report instead."""
    if session.kind != Kind.TRAINING:
        return []
    curves = curves_of(session.pk, session.last_seq)
    names = [name for name in names_of(session, curves) if session.status not in FINAL or curves.of(name)]
    return [_figure(session, curves, name, drawn=drawn) for name in names]


def _figure(session: Session, curves: Curves, name: str, *, drawn: bool) -> Figure:
    look = look_of(name)
    baselines = baselines_of(session, name)
    done = 1.0 if session.status in FINAL else session.progress
    found = _finding(curves, name, look, baselines, done)
    title = _said(found) if found else look.title
    chart = _chart(session, curves, name, look, title, baselines) if drawn else None
    last = compact(curves.last(name)) + _unit(look.unit)
    return Figure(name, look.title, title, _subtitle(curves, name, look), look.place, last, chart)


def _said(finding: Finding) -> str:
    params = {name: number(value) if name == "step" else value for name, value in finding.params.items()}
    return _(finding.message) % params


def _finding(
    curves: Curves, name: str, look: Metric, baselines: Sequence[tuple[str, float]], done: float
) -> Finding | None:
    if look.place == "small":
        return None
    if baselines:
        word, value = max(baselines, key=lambda one: one[1])
        return against(curves.last(name), value, look.title, word[:1].lower() + word[1:], good=look.good)
    x, y = curves.median(name)
    return trend(x, y, look.title, good=look.good, done=done)


def _subtitle(curves: Curves, name: str, look: Metric) -> str:
    members = curves.of(name)
    parts = [look.note] if look.note else []
    if len(members) > 1:
        parts.append(_("thin lines: seeds, band: middle half"))
    if look.log and (count := sum(spikes(np.array(series.value)) for series in members.values())):
        parts.append(ngettext("%(count)s spike", "%(count)s spikes", count) % {"count": count})
    return _(", ").join(parts)


def _unit(unit: str) -> str:
    """Return what follows a figure: a percent sign sticks to it, a word does not."""
    return "" if not unit else unit if unit == "%" else f" {unit}"


def newest_step(curves: Curves) -> float:
    """Return the last step that any curve has reached."""
    return max((series.step[-1] for series in curves.series.values() if len(series)), default=0.0)


def planned_end(session: Session, curves: Curves) -> float:
    """Return the step at which the run is planned to end, 0 while nobody can tell."""
    last = newest_step(curves)
    done = session.progress_info.get("done") or 0
    total = session.progress_info.get("total") or 0
    if session.status in FINAL or not last or not done:
        return last
    return last * max(1.0, total / done)


def _chart(
    session: Session, curves: Curves, name: str, look: Metric, title: str, baselines: Sequence[tuple[str, float]]
) -> Chart | None:
    members = curves.of(name)
    if not members:
        return None
    lines, bands = _threads(curves, name, curves.worst(name, look.good) if look.place != "small" else None)
    x, y = curves.median(name)
    kept = lttb(x, y, 400)
    lines.append(Series("" if look.place == "small" else look.title, x[kept].tolist(), y[kept].tolist()))
    end = planned_end(session, curves)
    for place, (word, value) in enumerate(baselines):
        lines.append(Series(word, [0.0, max(end, 1.0)], [value, value], "bench" if place == 0 else "dash"))
    log = look.log and bool((y > 0).any())
    common = partial(
        line_chart, lines, label=title, bands=bands, x_start=0.0, x_end=max(end, 1.0), log=log, y_text=compact
    )
    if look.place == "small":
        return common(width=SMALL_WIDTH, height=48, phone_height=48, right=8, phone_right=8, x_labels=False)
    step = newest_step(curves)
    now = step if session.status not in FINAL and step < end else None
    return common(width=HALF if look.place == "half" else FULL, height=168, now=now, now_text=_("now") if now else "")


def seed_word(seed: int) -> str:
    return _("seed %(number)s") % {"number": seed}


def _threads(curves: Curves, name: str, worst: int | None) -> tuple[list[Series], list[Band]]:
    """Return the seeds as threads, the ``worst`` by name, and their middle half as a band; nothing for a single one."""
    members = curves.of(name)
    if len(members) < 2:
        return [], []
    sampled = [series.sampled(150) for series in members.values()]
    grid = np.linspace(max(x[0] for x, _y in sampled), max(x[-1] for x, _y in sampled), 120)
    table = np.vstack([np.interp(grid, x, y) for x, y in sampled])
    low, high = np.percentile(table, [25, 75], axis=0)
    threads = [
        Series(seed_word(seed) if seed is not None and seed == worst else "", x.tolist(), y.tolist(), "thread")
        for seed, (x, y) in zip(members, sampled, strict=True)
    ]
    threads = [one for place, one in enumerate(threads) if place < THREADS or one.name]
    return threads, [Band(grid.tolist(), low.tolist(), high.tolist())]


def curves_document(session: Session) -> dict[str, Any]:
    """Return what the chart library paints first and after a void cursor: JSON-able."""
    curves = curves_of(session.pk, session.last_seq)
    end = planned_end(session, curves)
    return {
        "session": session.pk,
        "seq": curves.seq,
        "end": end,
        "final": session.status in FINAL,
        "now": _("now"),
        "url": reverse("sessions:curves", args=[session.pk]),
        "figures": [_spec(session, curves, name) for name in names_of(session, curves)],
    }


def _spec(session: Session, curves: Curves, name: str) -> dict[str, Any]:
    look = look_of(name)
    members = max(1, len(curves.of(name)))
    points = max(60, POINTS[look.place] // min(members, 8))
    seeds = [{**one, "y": [float(f"{value:.6g}") for value in one["y"]]} for one in curves.sampled(name, points)]  # type: ignore[attr-defined]
    return {
        "name": name,
        "log": look.log,
        "unit": _unit(look.unit),
        "good": look.good,
        "words": {one: seed_word(one) for one in curves.of(name) if one is not None},
        "seeds": seeds,
        "baselines": [{"label": word, "value": value} for word, value in baselines_of(session, name)],
    }
