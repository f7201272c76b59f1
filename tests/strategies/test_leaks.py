"""The leak detector: every planted leak is caught, clean strategies never raise an alarm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from apps.marketdata.engine.universe import Membership
from apps.strategies.engine import features as f
from apps.strategies.engine import leaks
from apps.strategies.engine.allocation import members
from apps.strategies.engine.leaks import Part
from apps.strategies.engine.words import MEND
from apps.trading.engine.backtest import Bars, rule_targets
from tests.strategies.learning_markets import panel as make_panel


@pytest.fixture(scope="module")
def panel():
    """Five instruments of a made-up market."""
    one, rng = make_panel(400), np.random.default_rng(2)
    parts = [
        one.fields,
        *({n: a * np.exp(rng.normal(0, 0.01, a.shape[1]).cumsum()) for n, a in one.fields.items()} for _ in range(4)),
    ]
    fields = {n: np.concatenate([part[n] for part in parts]) for n in one.fields}
    return replace(one, symbols=("A", "B", "C", "D", "E"), fields=fields)


def close(panel):
    return np.asarray(panel.fields["close"], np.float64)


def shift(values, by):
    out = np.full(values.shape, np.nan)
    if by >= 0:
        out[..., by:] = values[..., : values.shape[-1] - by]
    else:
        out[..., :by] = values[..., -by:]
    return out


def rolling(values, window, how=np.mean):
    out = np.full(values.shape, np.nan)
    view = np.lib.stride_tricks.sliding_window_view(values, window, axis=-1)
    out[..., window - 1 :] = how(view, axis=-1)
    return out


def back_filled(values):
    gap = values.copy()
    gap[:, ::7] = np.nan
    for t in range(gap.shape[1] - 2, -1, -1):
        gap[:, t] = np.where(np.isnan(gap[:, t]), gap[:, t + 1], gap[:, t])
    return gap


def interpolated(values):
    out = values.copy()
    out[:, 1:-1:5] = (values[:, :-2:5] + values[:, 2::5])[:, : out[:, 1:-1:5].shape[1]] / 2
    return out


def spectrum(values):
    wave = np.fft.rfft(values, axis=1)
    wave[:, 10:] = 0
    return np.fft.irfft(wave, values.shape[1], axis=1)


def trend_line(values):
    time = np.arange(values.shape[1])
    return np.stack([np.polyval(np.polyfit(time, row, 1), time) for row in values])


PLANTED = {
    "next close": lambda c: shift(c, -1),
    "return of the bar after": lambda c: shift(c, -1) / c - 1,
    "centred mean": lambda c: shift(rolling(c, 5), -2),
    "z-score over the whole column": lambda c: (c - c.mean(axis=1, keepdims=True)) / c.std(axis=1, keepdims=True),
    "min-max over the whole column": lambda c: (c - c.min(axis=1, keepdims=True)) / np.ptp(c, axis=1, keepdims=True),
    "rank within the whole column": lambda c: np.argsort(np.argsort(c, axis=1), axis=1) / c.shape[1],
    "filled from behind": back_filled,
    "interpolated": interpolated,
    "low-pass over the whole column": spectrum,
    "trend line through all": trend_line,
    "by the last close": lambda c: c / c[:, -1:],
    "mean from behind": lambda c: np.cumsum(c[:, ::-1], axis=1)[:, ::-1] / np.arange(c.shape[1], 0, -1),
    "highest still to come": lambda c: np.maximum.accumulate(c[:, ::-1], axis=1)[:, ::-1],
    "symbols chosen by the whole return": lambda c: np.repeat(
        (c[:, -1:] > np.median(c[:, -1])).astype(float), c.shape[1], 1
    ),
    "perfect position": lambda c: np.sign(np.nan_to_num(shift(c, -1) - c)),
    "number of bars": lambda c: np.full(c.shape, float(c.shape[1])),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_leak_is_caught_with_its_column_row_and_mend(panel, name):
    found = leaks.cut_and_compare(lambda p: {name: PLANTED[name](close(p))}, panel)
    assert [leak.column for leak in found] == [name]
    assert found[0].row in panel.symbols
    assert found[0].time <= found[0].cut
    assert found[0].before != found[0].after
    assert MEND[found[0].code]


CLEAN = {
    **{f"return {n}": (lambda c, n=n: c / shift(c, n) - 1) for n in (1, 2, 5, 10, 20)},
    **{f"mean {n}": (lambda c, n=n: rolling(c, n)) for n in (3, 5, 10, 20, 60)},
    **{f"spread {n}": (lambda c, n=n: rolling(c, n, np.std)) for n in (5, 20, 60)},
    **{f"highest {n}": (lambda c, n=n: rolling(c, n, np.max)) for n in (5, 20)},
    **{f"lowest {n}": (lambda c, n=n: rolling(c, n, np.min)) for n in (5, 20)},
    **{
        f"cross {a}/{b}": (lambda c, a=a, b=b: np.sign(rolling(c, a) - rolling(c, b)))
        for a, b in ((2, 5), (5, 20), (10, 50))
    },
    "expanding mean": lambda c: np.cumsum(c, axis=1) / np.arange(1, c.shape[1] + 1),
    "expanding high": lambda c: np.maximum.accumulate(c, axis=1),
    "by the first close": lambda c: c / c[:, :1],
    "rank across": lambda c: np.argsort(np.argsort(c, axis=0), axis=0),
    "z-score across": lambda c: (c - c.mean(axis=0)) / c.std(axis=0),
    "constant": lambda c: np.ones(c.shape),
    "calendar": lambda c: np.broadcast_to(np.arange(c.shape[1]) % 5, c.shape),
    "rolling z-score": lambda c: (c - rolling(c, 20)) / rolling(c, 20, np.std),
    "reversal": lambda c: -np.sign(np.nan_to_num(c - shift(c, 3))),
    "yesterday": lambda c: shift(c, 1),
    "squared": lambda c: c**2,
    "nothing known": lambda c: np.full(c.shape, np.nan),
}


@pytest.mark.parametrize("name", CLEAN)
def test_a_clean_column_raises_no_alarm(panel, name):
    assert leaks.cut_and_compare(lambda p: {name: CLEAN[name](close(p))}, panel) == []


def test_our_own_features_and_rules_are_clean(panel):
    def compute(p):
        bars = Bars.of(*(p.fields[n][0] for n in ("open", "close", "high", "low")))
        rules = {
            "sma_cross": {"fast": 3, "slow": 9},
            "rsi_reversal": {"window": 7, "low": 30, "high": 70},
            "buy_and_hold": {},
        }
        return {
            "features": f.compute(p).transpose(1, 2, 0),
            **{name: rule_targets(name, params, bars) for name, params in rules.items()},
        }

    assert leaks.cut_and_compare(compute, panel) == []


def test_output_of_another_length_is_named(panel):
    assert leaks.cut_and_compare(lambda p: {"short": close(p)[:, 1:]}, panel)[0].code == "length"


def test_a_feature_that_reads_later_corrections_is_caught_by_other_futures(panel):
    """It keeps its length rule but reads a fixed later bar where there is one."""
    found = leaks.cut_and_compare(
        lambda p: {"revised": close(p) + close(p)[:, -1:] * 0 + p.fields["volume"][:, -1:]}, panel
    )
    assert found


def test_a_scaler_fitted_on_all_bars_is_caught_and_one_fitted_on_training_is_not(panel):
    everything = leaks.check_fitted(lambda p: {"mean": float(close(p).mean())}, panel, 200)
    assert (everything[0].code, everything[0].column) == ("scaler", "mean")
    assert leaks.check_fitted(lambda p: {"mean": float(close(p)[:, :200].mean())}, panel, 200) == []


@pytest.mark.parametrize(
    ("parts", "horizon", "embargo", "code"),
    [
        ([Part("train", 0, 100), Part("test", 100, 200)], 5, 0, "label_overlap"),
        ([Part("train", 0, 100), Part("test", 104, 200)], 5, 3, "embargo"),
        ([Part("train", 0, 100), Part("test", 90, 200)], 1, 0, "order_of_parts"),
        ([Part("train", 0, 100), Part("valid", 110, 110), Part("test", 120, 200)], 1, 0, "order_of_parts"),
        ([Part("train", 0, 100), Part("test", 107, 200)], 5, 3, None),
        ([Part("train", 0, 100), Part("test", 100, 200)], 1, 0, None),
    ],
)
def test_labels_may_not_reach_into_the_next_part(parts, horizon, embargo, code):
    found = leaks.check_split(parts, horizon, embargo)
    assert [leak.code for leak in found][:1] == ([code] if code else [])


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ({"fill": "next_open", "tradable_by": "change"}, "tradability"),
        ({"fill": "next_open", "tradable_by": "volume"}, "tradability"),
        ({"fill": "same_open"}, "fill_known"),
        ({"fill": "same_close"}, "fill_known"),
        ({"fill": "next_open", "tradable_by": "limit_up"}, None),
        ({"fill": "next_close", "tradable_by": "change"}, None),
        ({"fill": "next_open"}, None),
    ],
)
def test_tradability_must_be_known_when_it_is_used(rule, code):
    assert [leak.code for leak in leaks.check_fill_rule(rule)] == ([code] if code else [])


def test_orders_that_look_at_the_rest_of_their_bar_are_caught(panel):
    def by_change(p):
        return {"orders": np.nan_to_num(np.abs(close(p) / shift(close(p), 1) - 1) < 0.01)}

    def by_gap(p):
        return {"orders": np.nan_to_num(np.abs(p.fields["open"] / shift(close(p), 1) - 1) < 0.01)}

    assert leaks.check_tradable(by_change, panel)[0].code == "tradability"
    assert leaks.check_tradable(by_gap, panel) == []


@pytest.mark.parametrize("noise", [True, False])
def test_who_earns_on_bars_without_memory_has_seen_them(panel, noise):
    oracle = leaks.check_null(lambda p: np.sign(np.nan_to_num(shift(close(p), -1) - close(p))), panel, noise=noise)
    assert oracle[0].code == ("canary" if noise else "shuffled")
    assert oracle[0].after > leaks.LIMIT
    for clean in ("reversal", "cross 5/20", "constant"):
        assert leaks.check_null(lambda p, clean=clean: np.nan_to_num(CLEAN[clean](close(p))), panel, noise=noise) == []


@pytest.mark.parametrize("noise", [True, False])
def test_an_input_that_holds_the_answer_foretells_on_bars_without_memory_and_honest_ones_do_not(panel, noise):
    def foresight(compute):
        def positions(p):
            inputs = compute(p)
            return leaks.probe(inputs, 200, close(p))

        return positions

    def answering(p):
        found = f.compute(p)
        found[..., 3] = (shift(close(p), -1) / close(p)).T
        return found

    assert leaks.check_null(foresight(f.compute), panel, noise=noise, column="inputs") == []
    (leak,) = leaks.check_null(foresight(answering), panel, noise=noise, column="inputs")
    assert (leak.code, leak.column) == ("canary" if noise else "shuffled", "inputs")


def test_the_probe_of_inputs_foretells_nothing_where_there_is_too_little_to_learn_from():
    assert not leaks.probe(np.ones((9, 1, 5)), 4, np.ones((1, 9))).any()


def forward(p, horizon, stop, purge):
    """Labels of rows before ``stop``: the return over ``horizon`` bars, the last ``purge`` of them left out."""
    out = shift(close(p), -horizon) / close(p) - 1
    out[:, stop - purge :] = np.nan
    return out


def test_labels_may_look_their_horizon_ahead_and_never_beyond_their_part(panel):
    def found(horizon, purge, says):
        return leaks.check_labels(lambda p: {"label": forward(p, horizon, 250, purge)}, panel, 250, says)

    assert found(5, 5, 5) == []
    assert [leak.code for leak in found(5, 0, 5)] == ["label_overlap"]
    (leak,) = found(9, 9, 5)
    assert (leak.code, leak.column, leak.row in panel.symbols, leak.time <= leak.cut) == ("label", "label", True, True)
    assert leaks.check_labels(lambda p: {"none": np.full(close(p).shape, np.nan)}, panel, 250, 5) == []


def test_who_enters_or_leaves_a_universe_later_is_not_known_before(panel):
    day = panel.times.astype("datetime64[D]")
    spans = (Membership("U", "A", day[0], day[-1]), Membership("U", "B", day[300], day[-1]),
             Membership("U", "C", day[0], day[350]))  # fmt: skip
    told = replace(panel, meta={"membership": spans})

    def ever(p):
        names = {span.symbol for span in p.meta["membership"]}
        return {"ever": np.repeat([[float(s in names)] for s in p.symbols], len(p.times), axis=1)}

    def leaving(p):
        ends = {span.symbol: span.end for span in p.meta["membership"]}
        stays = [[float(ends.get(s, day[0]) >= day[-1])] for s in p.symbols]
        return {"stays": np.repeat(stays, len(p.times), axis=1)}

    assert leaks.cut_and_compare(lambda p: {"members": members(p, "U")}, told) == []
    assert leaks.cut_and_compare(ever, told)[0].row == "B"
    assert leaks.cut_and_compare(leaving, told) != []
    late = replace(panel, meta={"membership": (Membership("U", "A", day[390], day[-1]),)})
    assert leaks.cut_and_compare(lambda p: {"members": members(p, "U")}, late) == []


def test_too_few_bars_have_nothing_to_cut():
    assert leaks.random_cuts(2, 0, 20, np.random.default_rng(0)) == []


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("count", "first"), [(22, 0), (40, 39), (400, 50), (400, 398), (160, 150)])
def test_the_future_is_cut_off_at_twenty_dates_wherever_a_run_begins(count, first, seed):
    found = leaks.random_cuts(count, first, 20, np.random.default_rng(seed))
    assert len(set(found)) == 20
    assert (min(found) >= 0, max(found)) == (True, count - 2)
