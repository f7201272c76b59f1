"""Strategies whose leaks are known: one of each kind that knows the future, and clean ones of every type."""

from __future__ import annotations

import numpy as np

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.universe import Membership
from apps.strategies.engine.allocation import members
from apps.strategies.engine.ports import TargetPositions, TargetWeights
from apps.trading.engine.backtest import Bars, Options, run_on_bar
from apps.trading.engine.costs import Costs
from tests.strategies.learning_markets import panel

BARS, SYMBOLS = 240, 4


def market() -> BarPanel:
    """Four instruments; one enters the universe late, one leaves it and is delisted."""
    made = panel(BARS, SYMBOLS)
    day = made.times.astype("datetime64[D]")
    spans = (
        Membership("U", "S0", day[0], day[-1]), Membership("U", "S1", day[0], day[-1]),
        Membership("U", "S2", day[150], day[-1]), Membership("U", "S3", day[0], day[190]),
    )  # fmt: skip
    fields = {name: values.copy() for name, values in made.fields.items()}
    for values in fields.values():
        values[3, 200:] = np.nan
    return BarPanel(made.symbols, made.times, fields, name="gallery", meta={"membership": spans})


def mean(values, window):
    out = np.full(values.shape, np.nan)
    if values.shape[-1] >= window:
        view = np.lib.stride_tricks.sliding_window_view(values, window, axis=-1)
        out[..., window - 1 :] = view.mean(axis=-1)
    return out


def back(values, by):
    """What was ``by`` bars before (after, below zero)."""
    out = np.full(values.shape, np.nan)
    if abs(by) < values.shape[-1]:
        if by > 0:
            out[..., by:] = values[..., :-by]
        else:
            out[..., :by] = values[..., -by:]
    return out


def sides(wanted):
    """A strategy on the first instrument that is long where ``wanted(close (T,))`` says so."""
    return lambda config, p, policy=None: TargetPositions(
        np.nan_to_num(np.asarray(wanted(p.close[0]), float)).astype(np.int8)[None]
    )


def weights(wanted):
    """A strategy of weights (S, T) by ``wanted(panel)``."""
    return lambda config, p, policy=None: TargetWeights(np.asarray(wanted(p), np.float64))


def every_bar(row, p):
    return np.repeat(np.asarray(row, np.float64)[:, None], len(p.times), axis=1)


def best_window(close):
    """The moving average that earned most over all bars."""
    moved = np.diff(np.log(close), append=np.log(close[-1]))
    earned = {n: np.nansum(np.where(close > mean(close, n), moved, 0.0)) for n in range(2, 40)}
    return close > mean(close, max(earned, key=lambda n: earned[n]))


def filled_from_behind(close):
    gap = np.where(np.arange(len(close)) % 7 < 4, np.nan, close)
    for t in range(len(gap) - 2, -1, -1):
        gap[t] = gap[t + 1] if np.isnan(gap[t]) else gap[t]
    return close < gap


def week_labelled_by_its_first_day(close):
    """The last close of each week, told on all its days."""
    ends = np.minimum(np.arange(len(close)) // 5 * 5 + 4, len(close) - 1)
    return close[ends] > close


def smooth(close):
    wave = np.fft.rfft(close)
    wave[12:] = 0
    return close < np.fft.irfft(wave, len(close))


def line_through_all(close):
    time = np.arange(len(close))
    return close < np.polyval(np.polyfit(time, close, 1), time) if len(close) > 2 else close * 0


def by_later_volume(p):
    """Sides of the first instrument from a figure that is corrected later."""
    return TargetPositions((p.close[0] > p.volume[0, -1] / 100.0).astype(np.int8)[None])


#: Kind of leak -> decide(config, panel, policy).
PLANTED = {
    "next close (shift by -1)": sides(lambda c: back(c, -1) > c),
    "centred rolling mean": sides(lambda c: c < back(mean(c, 5), -2)),
    "scaled by mean and deviation of the whole column": sides(lambda c: (c - c.mean()) / c.std() < 0),
    "quantile of the whole column": sides(lambda c: c < np.quantile(c, 0.4)),
    "rank in the whole column": sides(lambda c: np.argsort(np.argsort(c)) < len(c) * 0.4),
    "gaps filled from behind": sides(filled_from_behind),
    "week labelled by its first day": sides(week_labelled_by_its_first_day),
    "low-pass filter over the whole column": sides(smooth),
    "trend line through all bars": sides(line_through_all),
    "adjusted to the last price": sides(lambda c: c / c[-1] < 1.0),
    "highest price still to come": sides(lambda c: c < 0.9 * np.maximum.accumulate(c[::-1])[::-1]),
    "parameter chosen on all bars": sides(best_window),
    "time left": sides(lambda c: np.arange(len(c)) > len(c) - 40),
    "figures corrected later": lambda config, p, policy=None: by_later_volume(p),
    "best instrument of the whole time": weights(
        lambda p: every_bar(np.nan_to_num(p.close[:, -1]) == np.nanmax(p.close[:, -1]), p)
    ),
    "survivors": weights(lambda p: every_bar(np.isfinite(p.close[:, -1]) / 4.0, p)),
    "future members": weights(
        lambda p: every_bar([s in {m.symbol for m in p.meta["membership"]} for s in p.symbols], p) / 4.0
    ),
    "members that stay": weights(
        lambda p: every_bar(
            [any(m.symbol == s and m.end >= market().times[-1] for m in p.meta["membership"]) for s in p.symbols], p
        ) / 4.0
    ),
}  # fmt: skip


def by_orders(config, p, policy=None):
    """An ``on_bar`` strategy with a pre-computed indicator; what it held after each bar is what it decided."""
    bars = Bars.of(*(p.fields[name][0] for name in ("open", "close", "high", "low")))

    def on_bar(ctx, bar):
        if bar.close > ctx.indicator("mean"):
            ctx.order_target(10)
        elif ctx.position() > 0:
            ctx.order_target(0)

    run = run_on_bar(on_bar, bars, Costs(), Options(capital=1e5), indicators={"mean": mean(p.close[0], 7)})
    return TargetPositions((run.result.position[0] > 0).astype(np.int8)[None])


#: Clean strategies written as functions: signals, weights and ``on_bar``.
CLEAN = {
    "signal: momentum": sides(lambda c: c > back(c, 20)),
    "signal: reversal": sides(lambda c: c < back(c, 3)),
    "signal: above its mean": sides(lambda c: c > mean(c, 10)),
    "signal: highest so far": sides(lambda c: c >= np.maximum.accumulate(c)),
    "signal: calendar": sides(lambda c: np.arange(len(c)) % 5 == 0),
    "signal: always": sides(lambda c: np.ones(len(c))),
    "weights: of the members of the day": weights(lambda p: members(p, "U") / 4.0),
    "weights: the strongest of the day": weights(
        lambda p: (np.nan_to_num(p.close / back(p.close, 10)) == np.nanmax(np.nan_to_num(p.close / back(p.close, 10)), axis=0)) / 2.0
    ),
    "on_bar": by_orders,
}  # fmt: skip
