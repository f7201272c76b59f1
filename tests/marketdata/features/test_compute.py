"""Rolling operators against pandas on series with gaps, and the proof that nothing looks ahead."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.features.alpha import LABEL, alpha158, alpha360
from apps.marketdata.engine.features.compute import BLOCK, compute, stream
from apps.marketdata.engine.features.indicators import indicator, indicator_columns
from apps.marketdata.engine.features.vocabulary import OPERATORS
from apps.ui.engine.refusal import Refusal


def panel(symbols=3, days=90, seed=0, gaps=0.1) -> BarPanel:
    rng = np.random.default_rng(seed)
    close = 20 * np.exp(np.cumsum(rng.normal(0, 0.02, (symbols, days)), axis=1))
    fields = {
        "open": close * 1.001, "high": close * 1.01, "low": close * 0.99, "close": close,
        "volume": np.round(np.exp(rng.normal(10, 1, close.shape))), "vwap": close * 1.0005,
    }  # fmt: skip
    halted = rng.random(close.shape) < gaps
    for values in fields.values():
        values[halted] = np.nan
    times = (np.datetime64("2020-01-01", "D") + np.arange(days)).astype("datetime64[ns]")
    return BarPanel(symbols=tuple(f"S{i}" for i in range(symbols)), times=times, fields=fields)


def one(values, text, **options):
    data = np.asarray(values, float)[None]
    times = np.arange(data.shape[1]).astype("datetime64[D]").astype("datetime64[ns]")
    return compute(BarPanel(("A",), times, {"close": data}), [text], dtype=np.float64, **options)[0, 0]


PANDAS = {
    "Mean": lambda r: r.mean(), "Sum": lambda r: r.sum(), "Std": lambda r: r.std(), "Var": lambda r: r.var(),
    "Max": lambda r: r.max(), "Min": lambda r: r.min(), "Med": lambda r: r.median(), "Skew": lambda r: r.skew(),
    "Kurt": lambda r: r.kurt(), "Rank": lambda r: r.rank(pct=True), "Count": lambda r: r.count(),
}  # fmt: skip
PRICES = st.lists(
    st.one_of(st.just(float("nan")), st.sampled_from([10.0, 10.5, 11.0]), st.floats(1, 1000, allow_subnormal=False)),
    min_size=1, max_size=40,
)  # fmt: skip


@pytest.mark.parametrize("name", PANDAS)
@settings(max_examples=25, deadline=None)
@given(values=PRICES, window=st.integers(1, 12))
def test_a_rolling_operator_leaves_suspended_bars_out_as_pandas_does(name, values, window):
    wanted = PANDAS[name](pd.Series(values).rolling(window, min_periods=1)).to_numpy(float)
    found = one(values, f"{name}($close, {window})")
    if name in ("Skew", "Kurt"):  # pandas' own running sums lose digits on nearly flat windows
        flat = pd.Series(values).rolling(window, min_periods=1).std().to_numpy() < 0.1
        wanted, found = np.where(flat, 0, wanted), np.where(flat, 0, found)
    if name == "Count":
        assert found.tolist() == [
            float(np.isfinite(values[max(0, t - window + 1) : t + 1]).sum()) for t in range(len(values))
        ]
        return
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(values=PRICES, window=st.integers(2, 12), share=st.floats(0, 1))
def test_a_quantile_is_interpolated_over_the_known_values(values, window, share):
    wanted = pd.Series(values).rolling(window, min_periods=1).quantile(share).to_numpy()
    np.testing.assert_allclose(one(values, f"Quantile($close, {window}, {share!r})"), wanted, rtol=1e-9)


def test_windows_longer_than_the_resynchronisation_stay_exact():
    values = np.random.default_rng(3).normal(1e4, 1.0, 1200)
    for name in ("Mean", "Std", "Var"):
        wanted = PANDAS[name](pd.Series(values).rolling(300, min_periods=1)).to_numpy()
        np.testing.assert_allclose(one(values, f"{name}($close, 300)"), wanted, rtol=1e-8)


def test_regression_counts_places_by_rows_and_leaves_gaps_out():
    values = [1.0, np.nan, 3.0, 4.5, 5.0, np.nan, 8.0]
    x, y = np.array([0, 2, 3, 4, 6.0]), np.array([1, 3, 4.5, 5, 8.0])
    slope, level = np.polyfit(x, y, 1)
    assert one(values, "Slope($close, 7)")[-1] == pytest.approx(slope)
    assert one(values, "Resi($close, 7)")[-1] == pytest.approx(8.0 - (level + slope * 6))
    assert one(values, "Rsquare($close, 7)")[-1] == pytest.approx(np.corrcoef(x, y)[0, 1] ** 2)
    assert np.isnan(one([2.0, 2.0, 2.0], "Rsquare($close, 3)")[-1])


def test_correlation_uses_bars_where_both_sides_are_known():
    p = panel(1, 60, seed=4, gaps=0.2)
    found = compute(p, ["Corr($close, Log($volume), 20)", "Cov($close, $volume, 20)"], dtype=np.float64)[:, 0]
    close, volume = pd.Series(p.close[0]), pd.Series(p.volume[0])
    np.testing.assert_allclose(found[0], close.rolling(20, min_periods=1).corr(np.log(volume)), rtol=1e-6)
    np.testing.assert_allclose(found[1], close.rolling(20, min_periods=1).cov(volume), rtol=1e-6)


def test_the_place_of_an_extreme_is_the_oldest_among_equals_and_never_a_suspended_bar():
    values = [1.0, 5.0, np.nan, 5.0, 2.0]
    assert one(values, "IdxMax($close, 4)")[-1] == 1
    assert one(values, "IdxMin($close, 4)")[-1] == 4
    assert one(values, "IdxMax($close, 4)", qlib=True)[-1] == 2  # pyqlib's argmax stops at the gap


@pytest.mark.parametrize("adjust", [True, False])
def test_exponential_means_fade_over_gaps_as_pandas_has_it(adjust):
    values = np.random.default_rng(5).normal(10, 1, 50)
    values[[0, 7, 8, 20]] = np.nan
    wanted = pd.Series(values).ewm(span=9, adjust=adjust, min_periods=1).mean()
    np.testing.assert_allclose(one(values, f"{'EMA' if adjust else 'EWMA'}($close, 9)"), wanted, rtol=1e-12)


def test_weighted_means_are_means_and_pyqlibs_scale_on_demand():
    assert one([1.0, 2.0, 4.0], "WMA($close, 3)")[-1] == pytest.approx((1 + 4 + 12) / 6)
    assert one([1.0, 2.0, 4.0], "WMA($close, 3)", qlib=True)[-1] == pytest.approx((1 + 4 + 12) / 6 / 3)


def test_window_zero_covers_everything_so_far():
    values = np.arange(1.0, 300.0)
    np.testing.assert_allclose(one(values, "Mean($close, 0)"), pd.Series(values).expanding().mean())
    np.testing.assert_allclose(one(values, "Slope($close, 0)")[1:], 1.0)
    assert one(values, "Ref($close, 0)")[-1] == 1.0


def test_comparisons_with_the_unknown_are_no():
    assert one([1.0, np.nan, 2.0], "$close > 0").tolist() == [1, 0, 1]
    assert one([1.0, 2.0, 3.0], "If(($close > 1) & ($close < 3), $close, -$close)").tolist() == [-1, 2, -3]


EVERY = [
    *alpha158().values(), *alpha360().values(), *indicator_columns().values(),
    "CSRank($close)", "CSZScore(Mean($close, 5))", "Mean(CSDemean($volume), 5)", "Kurt($close, 20)", "Skew($close, 20)",
    "EMA($close, 0.2)", "WMA($close, 10)", "Mad($close, 10)", "Med($close, 0)", "Cov($high, $volume, 9)", "Var($low, 7)",
]  # fmt: skip


def test_cutting_the_future_off_changes_no_past_value():
    whole = panel(4, 220, seed=1)
    full = compute(whole, EVERY, dtype=np.float64)
    for days in (1, 2, 61, 150):
        cut = BarPanel(whole.symbols, whole.times[:days], {n: v[:, :days] for n, v in whole.fields.items()})
        np.testing.assert_array_equal(compute(cut, EVERY, dtype=np.float64), full[:, :, :days])


def test_changing_the_future_changes_no_past_value():
    whole, other = panel(4, 160, seed=1), panel(4, 160, seed=2)
    mixed = {n: np.concatenate([v[:, :100], other.fields[n][:, 100:]], axis=1) for n, v in whole.fields.items()}
    a = compute(whole, EVERY, dtype=np.float64)[:, :, :100]
    b = compute(BarPanel(whole.symbols, whole.times, mixed), EVERY, dtype=np.float64)[:, :, :100]
    np.testing.assert_array_equal(a, b)


def test_a_label_may_look_ahead_and_a_feature_may_not():
    p = panel(1, 10, gaps=0)
    label = compute(p, [LABEL], dtype=np.float64, future=True)[0, 0]
    assert label[0] == pytest.approx(p.close[0, 2] / p.close[0, 1] - 1)
    with pytest.raises(Refusal) as refused:
        compute(p, [LABEL])
    assert refused.value.code == "looks_ahead"


def test_symbols_do_not_touch_each_other_whatever_the_block_and_the_threads():
    p = panel(BLOCK + 5, 80, seed=6)
    texts = list(alpha158().values())
    together = compute(p, texts, dtype=np.float64, threads=3)
    alone = compute(p.select([p.symbols[BLOCK + 1]]), texts, dtype=np.float64, threads=1)
    np.testing.assert_array_equal(together[:, BLOCK + 1], alone[:, 0])
    streamed = np.concatenate([block for _, block in stream(p, texts)], axis=1)
    np.testing.assert_array_equal(streamed, together.astype(np.float32))


def test_a_cross_section_compares_the_symbols_of_a_bar():
    fields = {"close": np.array([[1.0, 5.0], [2.0, np.nan], [2.0, 3.0]])}
    p = BarPanel(("A", "B", "C"), np.array(["2020-01-01", "2020-01-02"], "datetime64[ns]"), fields)
    rank, score = compute(p, ["CSRank($close)", "CSZScore($close)"], dtype=np.float64)
    np.testing.assert_allclose(rank[:, 0], [1 / 3, 2.5 / 3, 2.5 / 3])
    np.testing.assert_allclose(rank[:, 1], [1.0, np.nan, 0.5])
    np.testing.assert_allclose(score[:, 1], [2**-0.5, np.nan, -(2**-0.5)])


def test_vwap_comes_from_amount_and_volume_where_it_is_missing():
    fields = {"amount": np.array([[30.0, 0.0]]), "volume": np.array([[10.0, 0.0]])}
    p = BarPanel(("A",), np.array(["2020-01-01", "2020-01-02"], "datetime64[ns]"), fields)
    np.testing.assert_array_equal(compute(p, ["$vwap"])[0, 0], [3.0, np.nan])


def test_an_unknown_field_is_named_with_those_there_are():
    with pytest.raises(Refusal) as refused:
        compute(panel(1, 5), ["$clsoe"])
    assert refused.value.code == "unknown_field"
    assert "close" in refused.value.params["known"]


def test_progress_is_told_and_may_stop_the_work():
    seen = []
    compute(panel(2 * BLOCK, 20), ["$close"], threads=1, on_progress=seen.append)
    assert seen == [0.5, 1.0]

    def stop(share):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        compute(panel(2 * BLOCK, 20), ["$close"], threads=2, on_progress=stop)


def test_every_operator_can_be_computed():
    p = panel(2, 40)
    for operator in OPERATORS.values():
        inside = ", ".join(
            ["$close", "$open", "$high"][: operator.series]
            + ["0.5" if q.name == "share" else "5" for q in operator.params]
        )
        assert np.isfinite(compute(p, [f"{operator.name}({inside})"])).any(), operator.name


def test_indicators_follow_their_definitions():
    p = panel(1, 60, gaps=0)
    close = pd.Series(p.close[0])
    macd = indicator(p, "macd")
    wanted = close.ewm(span=12, adjust=False).mean() - close.ewm(span=26, adjust=False).mean()
    np.testing.assert_allclose(macd["macd"][0], wanted, rtol=1e-9, atol=1e-12)
    assert np.isnan(indicator(p, "ma", 7)["ma7"][0, :6]).all()
    bands = indicator(p, "bollinger")
    np.testing.assert_allclose(bands["bb_upper"][0], close.rolling(20).mean() + 2 * close.rolling(20).std(), rtol=1e-9)
    rsi = indicator(p, "rsi")["rsi_sma"][0]
    gain = close.diff().clip(lower=0).rolling(14).mean()
    loss = (-close.diff()).clip(lower=0).rolling(14).mean()
    np.testing.assert_allclose(rsi, 100 - 100 / (1 + gain / loss), rtol=1e-9)
