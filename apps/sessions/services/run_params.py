"""What a run may be given beside its configuration, checked before anything is written."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.conf import settings

from apps.sessions.models import Kind
from apps.trading.engine.robustness import GOAL
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

STUDIES, MODES = ("sweep", "walk_forward"), ("rolling", "anchored")
#: Whether a run obeys the rules of its market (limits, lots, settlement, charges), which it does unless told.
OBEY, IGNORE = "obey", "ignore"
#: The highest goal, in percent of the capital.
MOST_GOAL = 1_000_000


def clean_params(kind: str, params: dict[str, Any]) -> dict[str, Any]:
    """Return the params with dates as ISO text and capital as a number; refuse what is neither."""
    if kind not in Kind.values:
        raise Refusal("unknown_kind", N_("There is no kind of session called %(kind)s."), field="kind", kind=kind)
    for name in ("start", "end"):
        if params.get(name):
            params[name] = _iso_date(name, params[name])
        else:
            params.pop(name, None)
    if params.get("start") and params.get("end") and params["start"] >= params["end"]:
        raise Refusal(
            "dates_out_of_order", N_("%(late)s must come after %(early)s."), field="end", early="start", late="end"
        )
    _check_rules(params)
    if kind == Kind.BACKTEST:
        params["capital"] = _capital(params.get("capital"))
        _check_goal(params)
        _check_study(params)
    return params


def _check_rules(params: dict[str, Any]) -> None:
    """Keep ``market_rules`` only where a run ignores them: obeying is what runs do."""
    chosen = str(params.pop("market_rules", "") or OBEY)
    if chosen not in (OBEY, IGNORE):
        raise Refusal(
            "unknown_choice", N_("There is no %(value)s here; there are %(known)s."),
            field="market_rules", value=chosen, known=f"{OBEY}, {IGNORE}",
        )  # fmt: skip
    if chosen == IGNORE:
        params["market_rules"] = IGNORE


def _check_study(params: dict[str, Any]) -> None:
    """Refuse a study or a mode there is not; leave out what does not belong to it."""
    study, mode = str(params.pop("study", "") or ""), str(params.pop("mode", "") or "")
    opened = str(params.pop("open_holdout", "") or "").lower() in {"1", "true", "on", "yes"}
    for field, value, known in (("study", study, STUDIES), ("mode", mode, MODES)):
        if value and value not in known:
            raise Refusal(
                "unknown_study", N_("There is no %(value)s here; there are %(known)s."),
                field=field, value=value, known=", ".join(known),
            )  # fmt: skip
    if study:
        params["study"] = study
    if study == "walk_forward":
        params |= {"mode": mode or MODES[0], "open_holdout": opened}


def _iso_date(name: str, value: Any) -> str:
    try:
        return date.fromisoformat(str(value)).isoformat()
    except ValueError:
        raise Refusal("invalid_date", N_("Enter a date such as 2011-01-03."), field=name) from None


def _capital(value: Any) -> float:
    try:
        capital = float(settings.QP_BACKTEST_CAPITAL if value in (None, "") else value)
    except (TypeError, ValueError):
        raise Refusal("invalid_capital", N_("Enter a number."), field="capital") from None
    if not 0 < capital < float("inf"):
        raise Refusal("invalid_capital", N_("The capital must be more than 0."), field="capital")
    return capital


def _check_goal(params: dict[str, Any]) -> None:
    """Keep a goal of the draws of chance that is not the default, as a number; refuse what is none above zero."""
    given = params.pop("goal_pct", None)
    if given in (None, ""):
        return
    try:
        goal = float(given)
    except (TypeError, ValueError):
        raise Refusal("invalid_goal", N_("Enter a number."), field="goal_pct") from None
    if not 0 < goal <= MOST_GOAL:
        raise Refusal(
            "invalid_goal", N_("The goal must lie above 0 and must not exceed %(most)s percent."),
            field="goal_pct", most=MOST_GOAL,
        )  # fmt: skip
    if goal != GOAL * 100.0:
        params["goal_pct"] = goal
