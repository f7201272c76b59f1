"""The honest half of a report made ready to be read: luck, leaks, robustness, studies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date
from statistics import NormalDist
from typing import Any

from django.utils.translation import gettext as _

from apps.sessions.reports import _day, benchmark_label, shown
from apps.strategies.engine.registry import strategy_type
from apps.strategies.engine.words import MEND, TESTS
from apps.trading.engine.report.words import REASONS
from apps.trading.engine.robustness import CRISES
from apps.ui.engine import numbers
from apps.ui.engine.charts import SIDE, Chart, HeatTable, Marker, Series, heat_table, line_chart
from apps.ui.engine.text import N_

NORMAL = NormalDist()
REGIMES = {
    "up_calm": N_("Rising, calm"),
    "up_wild": N_("Rising, wild"),
    "down_calm": N_("Falling, calm"),
    "down_wild": N_("Falling, wild"),
}
#: More trials than this are written as "more than".
MANY = 1_000_000


def _signed(value: float | None) -> str:
    return numbers.NONE if value is None else numbers.percent(value, 1, sign=True)


def luck_chart(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the distribution of the best Sharpe ratio of as many unskilled trials, and this run in it."""
    luck = report.get("luck") or {}
    if luck.get("sharpe") is None or not luck.get("scatter"):
        return None
    trials, scatter, own = luck["trials"], luck["scatter"], luck["sharpe"]
    low, high = min(-2.5 * scatter, own - scatter), max(scatter * (3.5 + math.log10(trials)), own + scatter)
    xs = [low + (high - low) * i / 160 for i in range(161)]
    ys = [trials * NORMAL.pdf(x / scatter) * NORMAL.cdf(x / scatter) ** (trials - 1) / scatter for x in xs]
    below = NORMAL.cdf(own / scatter) ** trials
    title = (
        _("Luck explains it: %(value)s, needs 0.95")
        if (luck["deflated"] or 0) < 0.95
        else _("More than luck: %(value)s")
    ) % {"value": shown(luck["deflated"], "ratio")}
    chart = line_chart(
        [Series("", xs, ys, "bench", area=True)], label=title, width=SIDE, height=150, phone_height=150, right=12,
        phone_right=12, y_text=lambda _v: "", base=0, now=own,
        now_text=_("this run %(value)s") % {"value": shown(own, "ratio")},
    )  # fmt: skip
    subtitle = _("Sharpe ratio of the best of %(trials)s unskilled trials; %(share)s fall below this run") % {
        "trials": numbers.number(trials), "share": numbers.percent(below, 0),
    }  # fmt: skip
    return {"chart": chart, "title": title, "subtitle": subtitle}


def luck_rows(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    luck = report.get("luck")
    if not luck:
        return []
    left = luck["left"]
    more = numbers.NONE if left is None else _("over a million") if left > MANY else numbers.number(left)
    return [
        (_("Trials of this idea, deleted runs included"), numbers.number(luck["trials"])),
        (_("Trials left before it counts as luck"), more),
        (_("Sharpe ratio luck alone would reach"), shown(luck["expected"], "ratio")),
        (_("Probabilistic Sharpe"), shown(luck["psr"], "percent")),
        (_("Track record there is"), shown(luck["track_years"], "years")),
        (_("Track record needed"), shown(luck["track_record"], "years")),
    ]


def cost_chart(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the net return by cost of a side, with what was paid, the break-even and the benchmark."""
    rows = report.get("cost_curve")
    if not rows:
        return None
    even, paid = report["break_even"]["bp"], report["costs"]["rate"] * 10_000
    xs, ys = [row["bp"] for row in rows], [row["total_return"] for row in rows]
    bench = report["headline"]["benchmark_return"]
    fine = even is not None and even >= 2 * paid
    title = _("Costs are not the problem") if fine else _("Costs decide")
    near = min(range(len(xs)), key=lambda i: abs(xs[i] - paid))
    marks = [Marker(xs[near], ys[near], "dot", _("paid %(cost)s bp") % {"cost": numbers.number(paid, 0)})]
    chart = line_chart(
        [Series(benchmark_label(report), xs, [bench] * len(xs), "bench", value=""), Series("", xs, ys)],
        label=title, width=SIDE, height=150, phone_height=150, right=12, phone_right=12, base=0, markers=marks,
        y_text=lambda v: numbers.percent(v, 0), now=even,
        now_text="" if even is None else _("break-even %(cost)s bp") % {"cost": numbers.number(even, 0)},
    )  # fmt: skip
    return {"chart": chart, "title": title, "subtitle": _("Net return by cost, bp a side")}


def leak_tests(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = report.get("leaks")
    if not found:
        return []
    return [
        {
            "title": _(TESTS.get(test["name"], test["name"])),
            "passed": not test["found"],
            "value": _("looked %(checked)s times, found %(found)s")
            % {
                "found": test["found"],
                "checked": test["checked"],
            },
        }
        for test in found["tests"]
    ]


def leak_rows(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = report.get("leaks")
    rows = found["leaks"] if found else []
    return [{**row, "mend": _(MEND.get(row["code"], row["code"])), "when": _when(row)} for row in rows]


def _when(row: Mapping[str, Any]) -> str:
    """Say what was done to the data when the finding changed."""
    if not row["cut"]:
        return ""
    if row["code"] in {"future", "universe", "length"}:
        return _("bars after %(day)s removed or changed") % {"day": row["cut"]}
    return _("bars after %(day)s changed") % {"day": row["cut"]}


def drawdown_rows(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = report.get("drawdowns") or []
    return rows


def _percentiles(title: str, values: Mapping[str, float], unit: str) -> tuple[str, list[str]]:
    return title, [shown(values[key], unit) for key in ("5", "25", "50", "75", "95")]


def resampled(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return Monte-Carlo over trades and block bootstrap as two tables of percentiles."""
    robust, found = report.get("robustness") or {}, []
    trades, bars = robust.get("monte_carlo"), robust.get("bootstrap")
    if trades:
        found.append({
            "title": _("Trades drawn at random, %(count)s times") % {"count": numbers.number(trades["samples"])},
            "rows": [
                _percentiles(_("Net return"), trades["return"], "percent"),
                _percentiles(_("Drawdown"), trades["drawdown"], "percent"),
            ],
            "notes": [
                _("%(share)s of the draws lose money; %(bust)s fall by half.") % {
                    "share": shown(trades["loss"], "percent"), "bust": shown(trades["bust"], "percent"),
                },
                *_goal(trades),
            ],
        })  # fmt: skip
    if bars:
        found.append({
            "title": _("Blocks of about %(block)s bars, drawn %(count)s times") % {
                "block": bars["block"], "count": numbers.number(bars["samples"]),
            },
            "rows": [
                _percentiles(_("Net return"), bars["return"], "percent"),
                _percentiles(_("Sharpe"), bars["sharpe"], "ratio"),
                _percentiles(_("Drawdown"), bars["drawdown"], "percent"),
            ],
            "notes": [
                _("Without any edge a mean this high comes up in %(share)s of the draws.") % {
                    "share": shown(bars["p_value"], "percent"),
                },
                *_bust(bars), *_goal(bars),
            ],
        })  # fmt: skip
    return found


def _bust(draws: Mapping[str, Any]) -> list[str]:
    if draws.get("bust") is None:
        return []
    return [_("%(share)s of the draws lose money; %(bust)s fall by half.") % {
        "share": shown(draws["loss"], "percent"), "bust": shown(draws["bust"], "percent"),
    }]  # fmt: skip


def _goal(draws: Mapping[str, Any]) -> list[str]:
    """Return the sentence about the goal; none for a report written before it was told."""
    if draws.get("goal") is None:
        return []
    return [_("%(share)s of the draws reach the goal of %(goal)s.") % {
        "share": shown(draws["goal"], "percent"), "goal": numbers.percent(draws["goal_return"], 0, sign=True),
    }]  # fmt: skip


def regime_rows(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = (report.get("robustness") or {}).get("regimes") or []
    return [
        {
            "name": _(REGIMES.get(row["name"], row["name"])), "bars": row["bars"], "own": _signed(row["total_return"]),
            "sharpe": shown(row["sharpe"], "ratio"), "bench": _signed(row["benchmark_return"]),
        }
        for row in rows
    ]  # fmt: skip


def crisis_rows(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = (report.get("robustness") or {}).get("crises") or []
    return [
        {
            "name": _(CRISES[row["name"]][0]) if row["name"] in CRISES else row["name"], "start": row["start"],
            "end": row["end"], "own": _signed(row["total_return"]), "fall": shown(row["drawdown"], "percent"),
            "bench": _signed(row["benchmark_return"]),
        }
        for row in rows
    ]  # fmt: skip


def participation_rows(report: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return share of volume, part of the value that fits at once, return under that limit, capital it carries."""
    rows = (report.get("robustness") or {}).get("participation") or []
    capital, currency = report["capital"], report["currency"]
    return [
        (
            numbers.percent(row["share"], 0), numbers.percent(row["filled"], 1), _signed(row.get("total_return")),
            shown(None if row["capital"] is None else row["capital"] * capital, "money", currency),
        )
        for row in rows
    ]  # fmt: skip


def group_rows(report: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    words = REASONS if key == "by_reason" else {}
    return [
        {**row, "name": _(words[row["name"]]) if row["name"] in words else row["name"]} for row in report.get(key) or []
    ]


def parameter_title(report: Mapping[str, Any], name: str) -> str:
    """Return the title of a field of the strategy's configuration, as the form shows it."""
    field = strategy_type(report["strategy"]["type"]).config.model_fields.get(name)
    return _(field.title) if field is not None and field.title else name


def sweep_table(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the heat map of the Sharpe ratio with what it says."""
    found = report.get("sweep")
    if not found:
        return None
    rows = {numbers.compact(y): row for y, row in zip(found["ys"], found["sharpe"], strict=True)}
    x, y = (parameter_title(report, found[axis]) for axis in ("x", "y"))
    own = (found["own"][0], found["own"][1])
    heads = [numbers.compact(value) for value in found["xs"]]
    table: HeatTable = heat_table(heads, rows, decimals=2, axes=(x, y), marked=own)
    best = found["best"]
    facts = [
        (_("This run"), f"{x} {numbers.compact(found['xs'][found['own'][0]])}, "
         f"{y} {numbers.compact(found['ys'][found['own'][1]])}"),
        (_("Best of the grid"), numbers.NONE if best is None else
         f"{x} {numbers.compact(best[found['x']])}, {y} {numbers.compact(best[found['y']])}"),
        (_("Neighbours that keep 80% of its Sharpe ratio"), shown(found["plateau"], "percent")),
        (_("Probability that choosing the best is over-fitting"), shown(found["pbo"], "percent")),
        (_("Configurations counted as trials"), numbers.number(found["count"])),
    ]  # fmt: skip
    return {"table": table, "facts": facts}


def walk(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the walk-forward: curve, windows, figures and the state of the hold-out."""
    found = report.get("walk_forward")
    if not found:
        return None
    days, capital = [_day(text) for text in found["curve"]["times"]], report["capital"] / 100.0
    title = _("Out of sample it earned %(own)s, holding %(bench)s") % {
        "own": _signed(found["metrics"]["total_return"]), "bench": _signed(found["benchmark"]["total_return"]),
    }  # fmt: skip
    borders: Sequence[date] = days
    chart: Chart = line_chart(
        [
            Series(_("Buy and hold"), days, [v / capital for v in found["curve"]["benchmark"]], "bench"),
            Series(_("Walk-forward"), days, [v / capital for v in found["curve"]["equity"]]),
        ],
        label=title, base=100, x_start=borders[0], x_end=borders[-1],
    )  # fmt: skip
    facts = [
        (_("Sharpe ratio out of sample"), shown(found["metrics"]["sharpe"], "ratio")),
        (_("Of the Sharpe ratio in training, kept"), shown(found["efficiency"], "percent")),
        (_("Largest drawdown"), shown(found["metrics"]["max_drawdown"], "percent")),
        (_("Configurations looked at"), numbers.number(found["count"])),
    ]
    windows = [
        {
            **row,
            "chosen": ", ".join(
                f"{parameter_title(report, name)} {numbers.compact(value)}" for name, value in row["params"].items()
            ),
        }
        for row in found["windows"]
    ]
    subtitle = _("One account over all test windows, after costs, start = 100; %(purge)s bars purged") % {
        "purge": found["purge"]
    }
    return {
        "title": title, "subtitle": subtitle, "chart": chart, "facts": facts, "windows": windows,
        "holdout": found["holdout"], "mode": found["mode"],
    }  # fmt: skip


def context(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything the honest half of the template shows."""
    robust = report.get("robustness") or {}
    return {
        "luck": luck_chart(report), "luck_rows": luck_rows(report), "costs": cost_chart(report),
        "leak_tests": leak_tests(report), "leak_rows": leak_rows(report), "drawdowns": drawdown_rows(report),
        "resampled": resampled(report), "regimes": regime_rows(report), "crises": crisis_rows(report),
        "participation": participation_rows(report), "by_symbol": group_rows(report, "by_symbol")[:25],
        "by_reason": group_rows(report, "by_reason"), "sweep": sweep_table(report), "walk": walk(report),
        "without_best": _signed(robust.get("without_best")),
    }  # fmt: skip
