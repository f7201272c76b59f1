"""What the dataset page shows: the chosen symbol, span and finding, drawn and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.core.paginator import Paginator
from django.db.models import Count, Q, QuerySet
from django.http import QueryDict
from django.urls import reverse
from django.utils.translation import gettext as _

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.corporate import MODES, CorporateAction, adjusted
from apps.marketdata.engine.fixes import FixKind, remedies
from apps.marketdata.engine.store import bar_mask
from apps.marketdata.engine.window import Window, known_bars, window
from apps.marketdata.models import Dataset, DatasetSymbol, Frequency, QualityCheck, QualityFinding, Severity
from apps.marketdata.selectors import check_latest, dataset_events, dataset_panel, finding_list
from apps.marketdata.times import as_datetime, as_datetime64
from apps.marketdata.words import field_words, named
from apps.ui.engine.charts import Bar, Chart, Event, candles
from apps.ui.engine.refusal import Refusal
from apps.ui.prepared import prepared
from apps.ui.refusals import refusal_text

PAGE_SIZE = 25
SVG_BARS = 180
AROUND_EVENT = 42
LAST_BARS = {"1d": 252, "1w": 104}
NEIGHBOURS = 2
MARKS, ACTIONS_SHOWN = 4, 12
DAILY = (Frequency.DAY, Frequency.WEEK)


@dataclass(frozen=True)
class FaultRow:
    """One bar beside a finding: its ordinal, time, values and return; ``hit`` is the bar at fault."""

    row: int
    time: Any
    cells: list[dict[str, str]]
    change: float | None
    hit: bool


def detail(dataset: Dataset, query: QueryDict) -> dict[str, Any]:
    """Return the context of the dataset page; a dataset whose files are gone still has one."""
    check = check_latest(dataset)
    filters = {name: query.get(name, "")[:32] for name in ("severity", "of")}
    findings = finding_list(check, severity=_severity(filters["severity"]), symbol=filters["of"])
    rows: Any = findings if check is None or any(filters.values()) else _findings.listed(check.pk)
    page = Paginator(rows, PAGE_SIZE).get_page(query.get("page"))
    chosen = _chosen(page.object_list, findings, query.get("finding", ""))
    for finding in page.object_list:
        setattr(finding, "remedies", remedy_words(finding))  # noqa: B010 - for the template
    context = {
        "fixable": sum(map(_mendable, _errors(check.pk) if check else ())), "next_version": dataset.version + 1,
        "dataset": dataset, "check": check, "page": page, "filters": filters, "severities": Severity.choices,
        "chosen": chosen, "checks": _checks(dataset.pk), "daily": dataset.frequency in DAILY,
        "symbols": _symbols(dataset, check, query.get("symbols_page")), "made_of": _made_of(dataset),
    }  # fmt: skip
    try:
        panel = dataset_panel(dataset)
    except Refusal as refusal:
        return {**context, "missing": refusal_text(refusal)}
    return {**context, **_shown(dataset, panel, query, chosen)}


@prepared
def _findings(check: int) -> QuerySet[QualityFinding]:
    return finding_list(QualityCheck(pk=check))


@prepared
def _errors(check: int) -> QuerySet[QualityFinding]:
    return finding_list(QualityCheck(pk=check), severity=Severity.ERROR).exclude(time=None).exclude(symbol="")[:2000]


@prepared
def _checks(dataset: int) -> QuerySet[QualityCheck]:
    return Dataset(pk=dataset).checks.all()[:5]


@prepared
def _by_position(dataset: int) -> QuerySet[DatasetSymbol]:
    return Dataset(pk=dataset).symbols.order_by("position")


def _mendable(finding: QualityFinding) -> bool:
    return bool(remedies(finding.check_name))


def remedy_words(finding: QualityFinding) -> list[tuple[str, str]]:
    """Return the remedies of this finding, the usual one first, and what each does; none where nothing mends it."""
    if finding.severity == Severity.NOTE or not finding.time or not finding.symbol:
        return []
    return [(kind, _words_of(kind, finding)) for kind in remedies(finding.check_name)]


def _words_of(kind: FixKind, finding: QualityFinding) -> str:
    ratio = str(finding.params.get("ratio", ""))
    if kind == "adjust" and ":" in ratio:
        after, _colon, before = ratio.partition(":")
        number = float(after) / float(before)
        words = _("Divide by %(number)s before") if number >= 1 else _("Multiply by %(number)s before")
        return words % {"number": f"{max(number, 1 / number):.4g}"}
    return {
        "adjust": _("Adjust the prices before"), "clip": _("Clip to open and close"), "drop": _("Drop the bar"),
        "fill": _("Fill from the close before"), "suspend": _("Mark as suspension"),
        "rescale": _("Bring the volume before to this unit"),
        "blank": _("Forget the value"),
    }[kind]  # fmt: skip


def _severity(value: str) -> str:
    return value if value in Severity.values else ""


def _chosen(shown: Any, findings: Any, wanted: str) -> QualityFinding | None:
    """Return the finding asked for, else the first one about a bar."""
    if wanted.isdecimal() and len(wanted) < 18:
        found = findings.filter(pk=int(wanted)).first()
        if found:
            return found  # type: ignore[no-any-return]
    return next((finding for finding in shown if finding.time and finding.symbol), None)


def _symbols(dataset: Dataset, check: QualityCheck | None, page: str | None) -> Any:
    """Return a page of symbols, each with its number of errors."""
    rows: Any = _by_position.listed(dataset.pk)
    found = Paginator(rows, PAGE_SIZE).get_page(page)
    names = [row.symbol for row in found.object_list]
    wrong = QualityFinding.objects.filter(check_run=check, symbol__in=names) if check else QualityFinding.objects.none()
    counted = wrong.values("symbol").annotate(
        errors=Count("pk", filter=Q(severity=Severity.ERROR)), looks=Count("pk", filter=Q(severity=Severity.WARNING))
    )
    counts = {row["symbol"]: (row["errors"], row["looks"]) for row in counted}
    for row in found.object_list:
        row.errors, row.looks = counts.get(row.symbol, (0, 0))
    return found


def _made_of(dataset: Dataset) -> dict[str, Any]:
    lineage: Mapping[str, Any] = dataset.lineage
    files = lineage.get("files", [])
    return {"kind": lineage.get("kind", ""), "files": files[:3], "more": max(0, len(files) - 3),
            "columns": named(", ".join(dataset.columns)),
            "ignored": ", ".join(lineage.get("ignored_columns", [])[:8])}  # fmt: skip


def _shown(dataset: Dataset, panel: BarPanel, query: QueryDict, chosen: QualityFinding | None) -> dict[str, Any]:
    names = list(panel.symbols)
    symbol = query.get("symbol", "") or (chosen.symbol if chosen else names[0])
    if symbol not in names:
        symbol = names[0]
    row = names.index(symbol)
    mode = query.get("prices", "raw")
    actions = dataset_events(dataset, symbol)
    mode = mode if mode in MODES and actions else "raw"
    drawn_panel = adjusted(panel.select([symbol]), actions, mode)  # type: ignore[arg-type]
    event = chosen if chosen and chosen.symbol == symbol and chosen.time else None
    span = query.get("span", "event" if event else "last")
    if span not in ("last", "event", "all") or (span == "event" and not event):
        span = "last"
    at = _columns(dataset, panel, row, span, event)
    shown = window(drawn_panel, 0, at, SVG_BARS)
    drawn = event if span == "event" else None
    marks = [] if drawn else action_marks(actions, shown)
    return {
        "symbol": symbol, "span": span, "event": event, "names": names[:500], "joined": shown.joined,
        "mode": mode, "modes": _modes() if actions else [],
        "actions": Paginator(_action_rows(actions), ACTIONS_SHOWN).get_page(query.get("actions_page")),
        "chart": _chart(dataset, shown, symbol, drawn, marks), "title": _title(panel, row, symbol, drawn),
        "subtitle": subtitle(dataset, symbol, shown.joined, mode),
        "bars_url": _bars_url(dataset, symbol, at, panel, mode), "fault": _fault_rows(panel, row, event, dataset),
        "fault_columns": _heads(_fault_columns(panel, dataset)),
    }  # fmt: skip


def _columns(dataset: Dataset, panel: BarPanel, row: int, span: str, event: QualityFinding | None) -> Any:
    at = known_bars(panel, row)
    if span == "event" and event and event.time:
        middle = int(np.searchsorted(panel.times[at], as_datetime64(event.time)))
        return at[max(0, middle - AROUND_EVENT) : middle + AROUND_EVENT + 1]
    return at if span == "all" else at[-LAST_BARS.get(dataset.frequency, 480) :]


def _bars_url(dataset: Dataset, symbol: str, at: Any, panel: BarPanel, mode: str) -> str:
    query = QueryDict(mutable=True)
    query["symbol"] = symbol
    if mode != "raw":
        query["prices"] = mode
    if len(at):
        for name, column in (("start", at[0]), ("end", at[-1])):
            moment = as_datetime(panel.times[column])
            query[name] = f"{moment:%Y-%m-%d}" if dataset.frequency in DAILY else f"{moment:%Y-%m-%dT%H:%M:%S+00:00}"
    return f"{reverse('marketdata:bars', args=[dataset.pk])}?{query.urlencode()}"


def _modes() -> list[tuple[str, str]]:
    return [("raw", _("As traded")), ("forward", _("Forward adjusted")), ("backward", _("Backward adjusted"))]


def action_words(action: CorporateAction) -> str:
    """Say what an event is: Split 2:1, Payout 0.48, Adjustment ×0.7632."""
    if action.kind == "split":
        size = action.ratio if action.ratio >= 1 else 1 / action.ratio
        ratio = f"{size:.6g}:1" if action.ratio >= 1 else f"1:{size:.6g}"
        return _("Split %(ratio)s") % {"ratio": ratio}
    if action.kind == "dividend":
        return _("Payout %(cash)s") % {"cash": f"{action.cash:.4g}"}
    return _("Adjustment ×%(factor)s") % {"factor": f"{action.factor:.4g}"}


def actions_within(actions: Sequence[CorporateAction], shown: Window) -> list[CorporateAction]:
    """Return the events in the window."""
    if not len(shown):
        return []
    return [a for a in actions if shown.time[0] <= a.day.astype("datetime64[ns]") <= shown.time[-1]]


def action_marks(actions: Sequence[CorporateAction], shown: Window) -> list[Event]:
    """Return the largest few events in the window, so that their words do not lie on each other."""
    inside = actions_within(actions, shown)
    if not inside:
        return []
    # Words need room: of neighbours only the larger one is drawn.
    room = (shown.time[-1] - shown.time[0]) / (MARKS + 1)
    kept: list[CorporateAction] = []
    for action in sorted(inside, key=lambda action: -abs(np.log(action.factor))):
        if all(abs(action.day - other.day) >= room for other in kept) and len(kept) < MARKS:
            kept.append(action)
    return [Event(as_datetime(a.day.astype("datetime64[ns]")), action_words(a)) for a in sorted(kept, key=_day_of)]


def _day_of(action: CorporateAction) -> Any:
    return action.day


def _action_rows(actions: Sequence[CorporateAction]) -> list[dict[str, Any]]:
    return [
        {"day": str(action.day), "words": action_words(action), "factor": action.factor, "source": action.source}
        for action in actions[::-1]
    ]


def _chart(
    dataset: Dataset, shown: Window, symbol: str, event: QualityFinding | None, marks: list[Event]
) -> Chart | None:
    if not len(shown):
        return None
    columns = (shown.open, shown.high, shown.low, shown.close, np.nan_to_num(shown.volume))
    times = [as_datetime(time) for time in shown.time]
    rows = [
        Bar(time, *values) for time, values in zip(times, zip(*(c.tolist() for c in columns), strict=True), strict=True)
    ]
    events = (
        [Event(event.time, event.get_severity_display(), event.message.rstrip("."))] if event and event.time else marks
    )
    price = _("Price, %(currency)s") % {"currency": dataset.currency} if dataset.currency else _("Price")
    label = _("Candles of %(symbol)s") % {"symbol": symbol}
    return candles(rows, label=label, events=events, price_text=price, volume_text=_("Volume"))


def _title(panel: BarPanel, row: int, symbol: str, event: QualityFinding | None) -> str:
    """Say what the chart shows: the finding where a rule fires, else the symbol."""
    if event and event.check_name == "split_like_jump" and event.time:
        at = known_bars(panel, row)
        place = int(np.searchsorted(panel.times[at], as_datetime64(event.time)))
        close = np.asarray(panel.close[row])[at]
        if 0 < place < len(at):
            move = close[place] / close[place - 1] - 1
            words = _("A %(ratio)s split that was not applied looks like a fall of %(move)s")
            if move > 0:
                words = _("A %(ratio)s split that was not applied looks like a rise of %(move)s")
            return words % {"ratio": event.params.get("ratio", ""), "move": f"{abs(move):.1%}"}
    return f"{symbol}: {event.message.rstrip('.')}" if event else symbol


def subtitle(dataset: Dataset, symbol: str, joined: int, mode: str) -> str:
    """Say what the candles are, and how many bars each of them joins."""
    parameters = {"symbol": symbol, "frequency": dataset.get_frequency_display(), "joined": joined}
    text = _("%(symbol)s, %(frequency)s candles as imported; hollow: close at or above open")
    if joined > 1:
        text = _("%(symbol)s, %(frequency)s bars, %(joined)s in each candle; hollow: close at or above open")
    words = text % parameters
    return words if mode == "raw" else f"{words}; {dict(_modes())[mode].lower()}"


def _fault_columns(panel: BarPanel, dataset: Dataset) -> list[str]:
    return [name for name in panel.fields if name in dataset.columns]


def _heads(names: list[str]) -> list[dict[str, str]]:
    """Return the columns with their words."""
    words = field_words()
    return [{"name": name, "text": words.get(name, name)} for name in names]


def _cell(name: str, value: float) -> str:
    """Write a value as it was imported: volume in whole numbers where it is one, prices with their digits."""
    if np.isnan(value):
        return "–"
    if name in ("volume", "amount"):
        return f"{value:,.0f}" if value >= 100 else f"{value:,.6g}"
    return f"{value:,.2f}" if round(value, 2) == value else f"{value:,.6g}"


def _fault_rows(panel: BarPanel, row: int, event: QualityFinding | None, dataset: Dataset) -> list[FaultRow]:
    """Return the bar at fault between its neighbours."""
    if not event or not event.time:
        return []
    at = np.flatnonzero(bar_mask(panel.select([panel.symbols[row]]))[0])
    middle = int(np.searchsorted(panel.times[at], as_datetime64(event.time)))
    names = _fault_columns(panel, dataset)
    close = np.asarray(panel.close[row])[at]
    rows = []
    for place in range(max(0, middle - NEIGHBOURS), min(len(at), middle + NEIGHBOURS + 1)):
        change = float(close[place] / close[place - 1] - 1) if place and close[place - 1] > 0 else None
        cells = [{"name": name, "text": _cell(name, float(panel.fields[name][row][at[place]]))} for name in names]
        moment = as_datetime(panel.times[at[place]])
        rows.append(FaultRow(place + 1, moment, cells, change, moment == event.time))
    return rows
