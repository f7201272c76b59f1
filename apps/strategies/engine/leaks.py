"""Finds what knows the future: the same computation on data that ends earlier must say the same.

Each check returns ``Leak`` rows: what (``code``, ``column``), where (``row``, ``time``), what
changed, and ``words.MEND`` how to mend it. An empty list is a clean bill for what was checked.

    leaks = cut_and_compare(lambda panel: {"momentum": momentum(panel)}, panel)
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.universe import Membership

Floats = NDArray[np.float64]
Columns = Mapping[str, NDArray[Any]]
#: Outputs whose last axis is time, by name.
Compute = Callable[[BarPanel], Columns]
DATES, SHUFFLES = 20, 8
#: Relative difference that is rounding noise of sums over other lengths.
NOISE = 1e-6
#: How many standard errors a strategy may earn on bars without memory.
LIMIT = 4.5
#: How much the probe of inputs shrinks its weights, by row.
RIDGE = 1e-3


@dataclass(frozen=True)
class Leak:
    """One finding: at ``row`` (a symbol) and ``time``, ``column`` was ``before`` and became ``after``
    when data after ``cut`` was taken away or changed."""

    code: str
    column: str
    row: str = ""
    time: str = ""
    cut: str = ""
    before: float | None = None
    after: float | None = None

    def document(self) -> dict[str, Any]:
        return {
            "code": self.code, "column": self.column, "row": self.row, "time": self.time, "cut": self.cut,
            "before": _plain(self.before), "after": _plain(self.after),
        }  # fmt: skip


def _plain(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def cut(panel: BarPanel, last: int) -> BarPanel:
    """Return ``panel`` up to and including bar ``last``, with the membership that was known by then."""
    fields = {name: array[:, : last + 1] for name, array in panel.fields.items()}
    return replace(panel, times=panel.times[: last + 1], fields=fields, meta=_known(panel, last, panel.times[last]))


def _known(panel: BarPanel, last: int, until: np.datetime64) -> Mapping[str, object]:
    """Return what the panel says beside its bars, as of bar ``last``: who is to enter later is not told, nor who
    leaves; today's members stay to the day ``until``."""
    spans = cast("Sequence[Membership]", panel.meta.get("membership", ()))
    today, end = panel.times[last].astype("datetime64[D]"), until.astype("datetime64[D]")
    if not spans or not any(span.start > today or span.end > today for span in spans):
        return panel.meta
    told = tuple(replace(span, end=end) if span.end > today else span for span in spans if span.start <= today)
    # Without any span everybody would belong; one of nobody says that nobody does yet.
    return {**panel.meta, "membership": told or (replace(spans[0], symbol="", start=end),)}


def poisoned(panel: BarPanel, last: int, rng: np.random.Generator) -> BarPanel:
    """Return ``panel`` with every bar after ``last`` replaced by other, possible ones, and nobody entering or
    leaving a universe any more."""
    fields = {name: np.array(array, np.float64) for name, array in panel.fields.items()}
    count = len(panel.times) - last - 1
    factor = np.exp(np.cumsum(rng.normal(0.0, 0.05, (len(panel.symbols), count)), axis=1)) * rng.uniform(0.5, 2.0)
    for name, array in fields.items():
        array[:, last + 1 :] *= factor if name in PRICES else rng.uniform(0.2, 5.0, (len(panel.symbols), count))
    return replace(panel, fields=fields, meta=_known(panel, last, panel.times[-1]))


PRICES = {"open", "high", "low", "close", "vwap", "prev_close", "adj_close", "limit_up", "limit_down", "bid", "ask"}


def random_cuts(count: int, first: int, dates: int, rng: np.random.Generator) -> list[int]:
    """Return ``dates`` different bars to cut after, from ``first`` to the last but one, the latter included.

    They begin before ``first`` where fewer are left from there on: a short run is looked at as often as a long one.
    """
    low = min(max(first, count // 8), max(count - 1 - dates, 0))
    if count < 3 or low > count - 2:
        return []
    chosen = rng.permutation(np.arange(low, count - 2))[: max(dates - 1, 0)]
    return sorted({*chosen.tolist(), count - 2})


def cut_and_compare(
    compute: Compute,
    panel: BarPanel,
    *,
    first: int = 0,
    dates: int = DATES,
    seed: int = 0,
    code: str = "",
    rows: Sequence[str] | None = None,
    on_step: Callable[[], None] = lambda: None,
) -> list[Leak]:
    """Compare ``compute(panel)`` with the same on panels that end earlier, and on panels whose future differs.

    Every output has time as its last axis. All rows up to and including the cut must be equal
    (to 1e-6 relative): features, scaled features, membership, decisions. Returns the first difference of each
    column. ``code`` replaces the words of the finding (``universe``); ``rows`` names the first axis where it is not
    the panel's symbols.
    """
    rng = np.random.default_rng(seed)
    whole = {name: np.asarray(values) for name, values in compute(panel).items()}
    found: dict[str, Leak] = {}
    for name, values in whole.items():
        if values.shape[-1:] != panel.times.shape:
            found[name] = Leak("length", name)
    for number, last in enumerate(random_cuts(len(panel.times), first, dates, rng)):
        trials = [("future", cut(panel, last))]
        if number % 2 == 0:
            trials.append(("revised", poisoned(panel, last, rng)))
        for kind, other in trials:
            again = compute(other)
            for name in whole.keys() - found.keys():
                leak = _difference(code or kind, name, whole[name], np.asarray(again[name]), panel, last, rows)
                if leak is not None:
                    found[name] = leak
        on_step()
    return list(found.values())


def _difference(
    code: str, name: str, whole: NDArray[Any], again: NDArray[Any], panel: BarPanel, last: int,
    rows: Sequence[str] | None = None, until: int | None = None,
) -> Leak | None:  # fmt: skip
    """Return where the columns up to ``until`` (empty: ``last``) differ, earliest first."""
    stop = (last if until is None else until) + 1
    left = whole[..., :stop].astype(np.float64)
    right = again[..., :stop].astype(np.float64)
    if left.shape != right.shape:
        return Leak("length", name, cut=_time(panel, last))
    scale = np.nanmax(np.abs(left), initial=0.0)
    with np.errstate(invalid="ignore"):
        close = np.abs(left - right) <= NOISE * np.maximum(np.abs(left), 1e-3 * scale) + 1e-12
    same = close | (left == right) | (np.isnan(left) & np.isnan(right))
    if same.all():
        return None
    at = np.argwhere(~same)
    place = at[np.argmin(at[:, -1])]
    row = int(place[0]) if whole.ndim > 1 else -1
    names = panel.symbols if rows is None else rows
    symbol = names[row] if 0 <= row < len(names) else ""
    where = tuple(place.tolist())
    return Leak(code, name, symbol, _time(panel, int(place[-1])), _time(panel, last), left[where], right[where])


def _time(panel: BarPanel, bar: int) -> str:
    return str(panel.times[bar].astype("datetime64[D]" if panel.frequency == "1d" else "datetime64[s]"))


def check_fitted(
    fit: Callable[[BarPanel], Mapping[str, float]], panel: BarPanel, train_end: int, *, dates: int = DATES,
    seed: int = 0,
) -> list[Leak]:  # fmt: skip
    """Check what is fitted once (scaler, selection): bars after ``train_end`` (excluded) must not move it.

    Everything after the training, and everything after each of further random dates behind it, is changed.
    """
    rng, found = np.random.default_rng(seed), dict[str, Leak]()
    before, end = fit(panel), max(train_end - 1, 0)
    for last in _cuts_within(end, len(panel.times) - 2, dates, rng):
        after = fit(poisoned(panel, last, rng))
        for name in before.keys() - found.keys():
            value, now = before[name], after.get(name, math.nan)
            if not math.isclose(value, now, rel_tol=1e-9, abs_tol=1e-12) and not (
                math.isnan(value) and math.isnan(now)
            ):
                found[name] = Leak("scaler", name, "", "", _time(panel, last), value, now)
    return [found[name] for name in before if name in found]


def _cuts_within(low: int, high: int, dates: int, rng: np.random.Generator) -> list[int]:
    """Return up to ``dates`` different bars from ``low``, itself among them, to ``high``."""
    return sorted({low, *rng.permutation(np.arange(low + 1, max(high, low) + 1))[: dates - 1].tolist()})


def check_labels(
    labels: Compute, panel: BarPanel, stop: int, horizon: int, *, dates: int = DATES, seed: int = 0,
    on_step: Callable[[], None] = lambda: None,
) -> list[Leak]:  # fmt: skip
    """Check what is learned from: a label at row t may know bars up to ``t + horizon``, and none from ``stop`` on.

    ``labels(panel)`` gives those of the training part, time last, NaN where there are none. At random dates inside
    the part all later bars are changed: labels up to ``horizon`` bars before stay. Then all bars from ``stop`` on
    are: not one label of the part may move (``label_overlap``: it was not purged).
    """
    rng, found = np.random.default_rng(seed), dict[str, Leak]()
    whole = {name: np.asarray(values, np.float64) for name, values in labels(panel).items()}
    known = np.flatnonzero(
        np.any([np.isfinite(v).reshape(-1, v.shape[-1]).any(axis=0) for v in whole.values()], axis=0)
    )
    if not len(known):
        return []
    first = min(int(known[0]) + horizon, stop - 2)
    cuts = [(last, last - horizon, "label") for last in _cuts_within(first, stop - 2, dates, rng)]
    for last, until, code in [*cuts, (stop - 1, stop - 1, "label_overlap")]:
        again = labels(poisoned(panel, last, rng))
        for name in whole.keys() - found.keys():
            leak = _difference(code, name, whole[name], np.asarray(again[name]), panel, last, until=until)
            if leak is not None:
                found[name] = leak
        on_step()
    return list(found.values())


@dataclass(frozen=True)
class Part:
    """Rows ``start`` to ``stop`` (excluded) of one part of a split."""

    name: str
    start: int
    stop: int


def check_split(parts: Sequence[Part], horizon: int, embargo: int = 0) -> list[Leak]:
    """Check parts in order: a label at row t looks ``horizon`` bars ahead, so the next part may begin at
    ``stop + horizon`` only, and ``embargo`` bars later where features look back over the border."""
    found = []
    for left, right in pairwise(parts):
        name = f"{left.name} / {right.name}"
        if right.start < left.stop or left.start >= left.stop or right.start >= right.stop:
            found.append(Leak("order_of_parts", name, before=float(left.stop), after=float(right.start)))
        elif right.start < left.stop - 1 + horizon:
            found.append(Leak("label_overlap", name, before=float(left.stop - 1 + horizon), after=float(right.start)))
        elif right.start < left.stop - 1 + horizon + embargo:
            found.append(
                Leak("embargo", name, before=float(left.stop - 1 + horizon + embargo), after=float(right.start))
            )
    return found


#: What of a bar is known when it opens.
KNOWN_AT_OPEN = {"open", "prev_close", "limit_up", "limit_down", "suspended", "st"}


def check_fill_rule(rule: Mapping[str, Any]) -> list[Leak]:
    """Refuse fill rules that need later figures than their moment has.

    ``rule``: ``signal`` (close, open), ``fill`` (next_open, next_close, same_close, same_open, open, close)
    and ``tradable_by``, the figure that decides whether a bar can be traded (``change``, ``close``,
    ``volume``, ``limit_up``, …) of the bar that fills. The pair that Qlib allows, deals at the open with
    limits by the day's change, is one of them.
    """
    signal, fill = str(rule.get("signal", "close")), str(rule.get("fill", "next_open"))
    found = []
    if (signal == "close" and fill in {"same_open", "open", "same_close", "close"}) or (signal, fill) == (
        "open",
        "same_open",
    ):
        found.append(Leak("fill_known", f"signal {signal}, fill {fill}"))
    by = rule.get("tradable_by")
    if by and fill.endswith("open") and by not in KNOWN_AT_OPEN:
        found.append(Leak("tradability", f"fill {fill}, tradable by {by}"))
    return found


def check_tradable(
    orders: Compute, panel: BarPanel, *, known: frozenset[str] = frozenset(), rows: Sequence[str] | None = None,
    dates: int = DATES, first: int = 1, seed: int = 0, on_step: Callable[[], None] = lambda: None,
) -> list[Leak]:  # fmt: skip
    """Check orders executed at an open: what else happens on that bar must not change them.

    ``orders(panel)`` gives what is done at each bar's open, time last. High, low, close, volume
    and all later bars are changed from that bar on; orders up to and including it must stay. ``known`` names further
    figures of the bar that the execution itself follows: the volume, where an order takes a part of it.
    """
    rng, whole = np.random.default_rng(seed), dict(orders(panel))
    found: dict[str, Leak] = {}
    for last in random_cuts(len(panel.times), first, dates, rng):
        bar = last + 1
        other = poisoned(panel, last, rng)
        for name in (KNOWN_AT_OPEN | known) & other.fields.keys():
            other.fields[name][:, bar] = panel.fields[name][:, bar]
        again = orders(other)
        for name in whole.keys() - found.keys():
            before, after = np.asarray(whole[name]), np.asarray(again[name])
            leak = _difference("tradability", name, before, after, panel, last, rows, until=bar)
            if leak is not None:
                found[name] = leak
        on_step()
    return list(found.values())


Positions = Callable[[BarPanel], Floats]


def null_market(panel: BarPanel, rng: np.random.Generator, *, noise: bool) -> BarPanel:
    """Return bars of the same kind without memory or drift: real ones drawn at random, or Gaussian noise.

    Whole bars are drawn with replacement, the same for every instrument, and freed of their mean, so
    the next return cannot be foreseen from what came before.
    """
    close = np.asarray(panel.fields["close"], np.float64)
    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # an instrument without a single bar
        moved = np.log(close[:, 1:] / close[:, :-1])
        moved -= np.nan_to_num(np.nanmean(np.where(np.isfinite(moved), moved, np.nan), axis=1, keepdims=True))
    count = close.shape[1]
    drawn = rng.integers(0, count - 1, count - 1)
    steps = np.nan_to_num(moved[:, drawn], posinf=0.0, neginf=0.0)
    if noise:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            spread = np.nanstd(np.where(np.isfinite(moved), moved, np.nan), axis=1, keepdims=True)
        spread = np.nan_to_num(spread, nan=0.01)
        steps = rng.normal(0.0, np.maximum(spread, 1e-4), (close.shape[0], count - 1))
    path = 100.0 * np.exp(np.concatenate([np.zeros((close.shape[0], 1)), np.cumsum(steps, axis=1)], axis=1))
    path /= path.mean(axis=1, keepdims=True) / 100.0
    source = np.concatenate([[0], drawn + 1])
    fields: dict[str, Floats] = {}
    for name, array in panel.fields.items():
        values = np.asarray(array, np.float64)[:, source]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = values / close[:, source] if name in PRICES else values
        fields[name] = (
            np.where(np.isfinite(ratio), ratio, 1.0) * path if name in PRICES else np.nan_to_num(ratio, nan=1.0)
        )
    fields["close"] = path
    fields["high"] = np.maximum(fields.get("high", path), np.maximum(fields.get("open", path), path))
    fields["low"] = np.minimum(fields.get("low", path), np.minimum(fields.get("open", path), path))
    return replace(panel, fields=fields)


def null_score(positions: Positions, panel: BarPanel, *, noise: bool, shuffles: int = SHUFFLES, seed: int = 0) -> float:
    """Return how many standard errors decisions earn on null markets, next bar by next bar, without costs."""
    rng, total, squares = np.random.default_rng(seed), 0.0, 0.0
    for _ in range(shuffles):
        market = null_market(panel, rng, noise=noise)
        held = np.nan_to_num(np.asarray(positions(market), np.float64))
        close = market.fields["close"]
        moved = np.log(close[:, 1:] / close[:, :-1])
        earned = (held[:, :-1] * moved).sum(axis=0)
        total += float(earned.sum())
        squares += float((earned**2).sum())
    return total / math.sqrt(squares) if squares > 0 else 0.0


def check_null(
    positions: Positions, panel: BarPanel, *, noise: bool, shuffles: int = SHUFFLES, seed: int = 0,
    column: str = "decisions",
) -> list[Leak]:  # fmt: skip
    """Refuse decisions that earn where nothing can be foreseen: the time shuffle and the noise canary."""
    score = null_score(positions, panel, noise=noise, shuffles=shuffles, seed=seed)
    if score <= LIMIT:
        return []
    return [Leak("canary" if noise else "shuffled", column, before=0.0, after=score)]


def probe(inputs: Floats, train: int, seen: Floats) -> Floats:
    """Return what a linear model fitted on rows before ``train`` foresees of each later row, (S, T); 0 before.

    ``inputs`` (T, S, F) is what a strategy sees at each close, ``seen`` (S, T) the closes. It learns the next bar's
    log return by ridge regression, which an input that knows it gives away in a moment, whatever the strategy's own
    model makes of it. Rows with a gap are left out.
    """
    steps, symbols, width = inputs.shape
    wanted = np.zeros((steps, symbols))
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted[:-1] = np.log(seen[:, 1:] / seen[:, :-1]).T
    whole = np.isfinite(inputs).all(axis=-1) & np.isfinite(wanted)
    learned = whole & (np.arange(steps) < train - 1)[:, None]
    x, y = inputs[learned].astype(np.float64), wanted[learned]
    foreseen = np.zeros((symbols, steps))
    if len(x) > 2 * width:
        middle, spread = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-12)
        x = (x - middle) / spread
        weights = np.linalg.solve(x.T @ x + np.eye(width) * len(x) * RIDGE, x.T @ (y - y.mean()))
        later = whole & (np.arange(steps) >= train)[:, None]
        foreseen.T[later] = ((inputs[later] - middle) / spread) @ weights
    return foreseen
