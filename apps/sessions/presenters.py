"""What the session page shows, worked out once for page, partial and push alike.

Nothing here uses the request or the reader: language and time zone are those active.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from apps.sessions.engine.states import FINAL, ON_A_WORKER, Command, State, allowed
from apps.sessions.forecast import LEAST_SHARE
from apps.sessions.models import Attempt, Checkpoint, Kind, Session, Status
from apps.sessions.notices import reason_text
from apps.sessions.waiting import Queue
from apps.sessions.wording import attempt_word, unit_word
from apps.strategies.engine.registry import TYPES
from apps.strategies.forms import diff_lines
from apps.strategies.wording import choice_label
from apps.trading.engine.glossary import GLOSSARY, PERCENT, RATIO
from apps.ui.config_forms import word_of
from apps.ui.engine.numbers import compact, day_text, number, percent


@dataclass(frozen=True)
class Progress:
    """``left`` and ``done_at`` are None until a share of the work is known."""

    percent: int
    tens: int
    words: str
    elapsed: float
    left: float | None
    done_at: datetime | None
    rate: float | None
    checkpoint: Checkpoint | None


def progress_of(session: Session, attempts: Sequence[Attempt], checkpoint: Checkpoint | None) -> Progress:
    now = timezone.now()
    elapsed = sum(((attempt.ended_at or now) - attempt.started_at).total_seconds() for attempt in attempts)
    share = 1.0 if session.status == State.COMPLETED else max(0.0, min(1.0, session.progress))
    running = session.status in ON_A_WORKER
    left = elapsed * (1 - share) / share if running and 0.005 < share < 1 else None
    done_at = now + timedelta(seconds=left) if left is not None else None
    rate = session.progress_info.get("rate") if running else None
    whole = int(share * 100)
    words = ", ".join(filter(None, (_words(session), _ends_before(session, share, elapsed, left))))
    return Progress(whole, whole // 10 * 10, words, elapsed, left, done_at, rate, checkpoint)


def _ends_before(session: Session, share: float, elapsed: float, left: float | None) -> str:
    """Say how far a run will come where its time limit is nearer than its end, once its pace is known."""
    if left is None or share < LEAST_SHARE or not session.time_limit or elapsed + left <= session.time_limit:
        return ""
    return _("its time limit ends it at about %(share)s%%") % {"share": int(100 * share * session.time_limit / elapsed)}


def _words(session: Session) -> str:
    info = session.progress_info
    if not info.get("total") or (session.status == State.COMPLETED and session.kind != Kind.TRAINING):
        return ""  # the last message of a finished run is older than its end; a training may end early
    text = _("%(unit)s %(done)s of %(total)s") % {
        "unit": unit_word(info.get("unit", "")), "done": number(info.get("done", 0)), "total": number(info["total"]),
    }  # fmt: skip
    if session.status in ON_A_WORKER and session.progress >= 1:
        return _("%(progress)s, working out the result") % {"progress": text}
    seeds = session.config.get("seeds", 1) if session.kind == Kind.TRAINING else 1
    return (
        text
        if seeds in (None, 1)
        else _("%(progress)s, %(seeds)s seeds in parallel") % {"progress": text, "seeds": seeds}
    )


def elapsed_of(session: Session) -> float | None:
    """Return the seconds from the first start to the end, or until now; None before it started."""
    if session.started_at is None:
        return None
    return ((session.finished_at or timezone.now()) - session.started_at).total_seconds()


@dataclass(frozen=True)
class Button:
    """A command of the state table as a button; ``confirm`` is the word of the second step."""

    command: str
    label: str
    css: str
    url: str
    icon: str = ""
    confirm: str = ""
    question: str = ""
    consequence: str = ""


def buttons_of(session: Session) -> list[Button]:
    """Return the buttons that the state allows; the last one is the primary."""
    made = {command: _button(session, command) for command in allowed(State(session.status))}
    order = (Command.CANCEL, Command.RETRY, Command.RESUME, Command.PAUSE)
    found = [made[command] for command in order if command in made]
    if session.status == State.INTERRUPTED:
        # Resuming continues; trying again from the start stays possible but second.
        found.sort(key=lambda button: button.command == Command.RESUME)
    return found


def _button(session: Session, command: Command) -> Button:
    url = reverse("sessions:command", args=[session.pk, command])
    match command:
        case Command.CANCEL:
            return Button(
                command, _("Cancel…"), "d", url, confirm=_("Cancel the session"),
                question=_("Cancel session %(pk)s?") % {"pk": session.pk},
                consequence=_("It stops for good. Its curves, log and checkpoints are kept; it can be tried again."),
            )  # fmt: skip
        case Command.PAUSE:
            return Button(command, _("Pause"), "p", url, icon="pause")
        case Command.RESUME:
            return Button(command, _("Resume"), "p", url)
        case _:
            primary = "p" if session.status in FINAL else ""
            return Button(command, _("Try again"), primary, url)


@dataclass(frozen=True)
class SessionNotice:
    css: str
    shape: str
    title: str
    text: str = ""
    kept: str = ""


def notice_of(session: Session, checkpoint: Checkpoint | None, queue: Queue | None = None) -> SessionNotice | None:
    """Say why a session waits, was interrupted or failed, what was kept and what to do."""
    sentence = reason_text(session.reason_code, session.reason)
    kept = (
        _("Kept: the curves, the log and the checkpoint of step %(step)s.") % {"step": number(checkpoint.step)}
        if checkpoint
        else ""
    )
    match session.status:
        case Status.FAILED:
            return SessionNotice("bad", "fail", _("It failed"), sentence, kept)
        case Status.INTERRUPTED:
            return SessionNotice("warn", "warn", _("It was interrupted"), sentence, kept)
        case Status.QUEUED:
            return SessionNotice("", "wait", _("It waits"), queue.sentence(session) if queue else sentence)
        case Status.PAUSED:
            return SessionNotice("", "pause", _("It is paused"), sentence, kept)
    return None


@dataclass(frozen=True)
class AttemptRow:
    number: int
    started_at: datetime
    word: str
    sentence: str
    seconds: float


def attempt_rows(attempts: Sequence[Attempt]) -> list[AttemptRow]:
    now = timezone.now()
    return [
        AttemptRow(
            attempt.number, attempt.started_at, attempt_word(attempt.outcome),
            reason_text(attempt.reason.get("code", ""), attempt.reason),
            ((attempt.ended_at or now) - attempt.started_at).total_seconds(),
        )
        for attempt in attempts
    ]  # fmt: skip


@dataclass(frozen=True)
class ConfigRow:
    label: str
    value: str
    unit: str
    overridden: bool


def value_text(value: Any) -> str:
    """Return a configuration value as people read it."""
    if value in (None, "", []):
        return "–"
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, int | float):
        return compact(float(value), 6)
    return ", ".join(map(str, value)) if isinstance(value, list) else choice_label(str(value))


def field_order(sessions: Sequence[Session]) -> list[str]:
    """Return the names in the configurations of ``sessions`` in the order of their forms; PostgreSQL keeps JSON in an
    order of its own."""
    given = dict.fromkeys(name for session in sessions for name in session.config)
    types = dict.fromkeys(session.version.strategy.type for session in sessions)
    known = dict.fromkeys(name for one in types for name in TYPES[one].config.model_fields)
    return [*(name for name in known if name in given), *(name for name in given if name not in known)]


def config_rows(session: Session) -> list[ConfigRow]:
    """Return every field of the configuration that applies, marking what this run changed."""
    fields = TYPES[session.version.strategy.type].config.model_fields
    rows = []
    for name in field_order([session]):
        field, value = fields.get(name), session.config[name]
        extra = field.json_schema_extra if field is not None and isinstance(field.json_schema_extra, dict) else {}
        only = extra.get("only")
        if name == "dataset" or (isinstance(only, dict) and any(session.config.get(k) != v for k, v in only.items())):
            continue
        label = _(field.title) if field is not None and field.title else name
        word = word_of(field, value) if field is not None else ""
        unit = "" if word else str(extra.get("unit") or "")
        changed = session.version.config.get(name, value) != value
        rows.append(ConfigRow(label, word or value_text(value), _(unit) if unit else "", changed))
    return rows


@dataclass(frozen=True)
class DiffLine:
    sign: str
    text: str
    css: str


def config_diff(session: Session, previous: dict[str, Any] | None) -> list[DiffLine]:
    """Return the changes against the version before, removed before added."""
    if previous is None:
        return []
    lines = diff_lines(session.version.strategy.type, previous, session.config)
    return [DiffLine("−", line.text, "r") if line.sign == "-" else DiffLine("+", line.text, "a") for line in lines]


@dataclass(frozen=True)
class ResultRow:
    label: str
    cells: list[str]


@dataclass(frozen=True)
class Result:
    title: str
    subtitle: str
    columns: list[str]
    rows: list[ResultRow]


#: Figures of the result table, in order.
HEADLINE = ("total_return", "cagr", "sharpe", "sortino", "ann_vol", "max_drawdown", "trades", "win_rate", "turnover")


def baseline_word(name: str) -> str:
    words = {
        "buy_and_hold": _("Buy and hold"), "do_nothing": _("Do nothing"), "equal_weight": _("Equal weights"),
        "benchmark": _("Benchmark"), "random_policy": _("Random policy"), "twap": _("TWAP"),
    }  # fmt: skip
    return words.get(name, name.replace("_", " "))


def metric_cell(value: float | None, unit: str) -> str:
    """Return a figure of the glossary as a table shows it."""
    if unit == PERCENT:
        return percent(value, 1)
    return number(value, 2 if unit == RATIO else 0)


def result_of(session: Session) -> Result | None:
    """Return the figures on unseen data beside every baseline, None before there is a result."""
    summary = session.summary
    own = summary.get("test") or summary.get("metrics")
    if not own:
        return None
    baselines: dict[str, dict[str, float | None]] = summary.get("baselines") or {}
    if summary.get("benchmark_metrics"):
        baselines = {"benchmark": summary["benchmark_metrics"], **baselines}
    tables = [own, *baselines.values()]
    rows = [
        ResultRow(_(GLOSSARY[name].title), [metric_cell(table.get(name), GLOSSARY[name].unit) for table in tables])
        for name in HEADLINE
        if name in GLOSSARY and isinstance(own.get(name), int | float)
    ]
    columns = [session.version.strategy.name, *map(baseline_word, baselines)]
    return Result(_verdict(own, baselines), _where(session), columns, rows) if rows else None


def _verdict(own: dict[str, Any], baselines: dict[str, dict[str, float | None]]) -> str:
    against = baselines.get("buy_and_hold") or baselines.get("benchmark") or {}
    mine, hold = own.get("total_return"), against.get("total_return")
    if mine is None or hold is None:
        return _("Result")
    if mine > hold:
        return _("It beat buy and hold")
    return _("It equalled buy and hold") if mine == hold else _("It did not beat buy and hold")


def _where(session: Session) -> str:
    return _("on data it never saw") if session.out_of_sample else _("not out of sample: part of this data was seen")


def meta_of(session: Session) -> list[str]:
    """Return the line under the title."""
    kind = session.get_kind_display()
    items = [_("Session %(pk)s, %(kind)s") % {"pk": session.pk, "kind": kind}]
    owner = session.owner.get_full_name() or session.owner.username
    if session.started_at:
        started = timezone.localtime(session.started_at)
        items.append(_("Started %(time)s by %(owner)s") % {"time": f"{started:%H:%M}", "owner": owner})
    else:
        items.append(_("Created by %(owner)s") % {"owner": owner})
    return items + _periods(session.config)


def _periods(config: dict[str, Any]) -> list[str]:
    days = {name: _day(config.get(f"{name}_start")) for name in ("train", "valid", "test")}
    if not days["valid"]:
        return []
    train = _("Train %(start)s to %(day)s") if days["train"] else _("Train to %(day)s")
    return [
        train % {"start": days["train"], "day": days["valid"]},
        _("Validate to %(day)s") % {"day": days["test"]},
        _("Test from %(day)s stays sealed") % {"day": days["test"]},
    ]


def _day(text: str | None) -> str:
    return day_text(date.fromisoformat(text), get_language() or "en") if text else ""
