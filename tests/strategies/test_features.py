"""Features know nothing of the future, and their scale nothing of what comes after training."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from apps.strategies.engine.features import FEATURES, LIMIT, WARMUP, Scaler, compute
from tests.strategies.learning_markets import panel


@pytest.mark.parametrize("bar", [40, 77])
def test_cutting_the_future_off_changes_no_feature(bar):
    whole = panel(120, 3)
    short = whole.select(end=whole.times[bar])
    np.testing.assert_array_equal(compute(short), compute(whole)[: bar + 1])


def test_another_future_changes_no_feature():
    whole = panel(120, 2)
    fields = {name: values.copy() for name, values in whole.fields.items()}
    for values in fields.values():
        values[:, 61:] *= 3.0
    np.testing.assert_array_equal(compute(dataclasses.replace(whole, fields=fields))[:61], compute(whole)[:61])


def test_features_are_what_their_names_say():
    bars = panel(60)
    values = dict(zip(FEATURES, compute(bars)[50, 0], strict=True))
    close, open_, volume = bars.close[0], bars.open[0], bars.volume[0]
    assert values["return_5"] == pytest.approx(np.log(close[50] / close[45]))
    assert values["gap"] == pytest.approx(np.log(open_[50] / close[49]))
    assert values["ma_distance_10"] == pytest.approx(close[50] / close[41:51].mean() - 1)
    assert values["volume_ratio_20"] == pytest.approx(np.log1p(volume[50]) - np.log1p(volume[31:51].mean()))
    assert values["volatility_20"] == pytest.approx(np.diff(np.log(close[30:51])).std())


def test_the_first_complete_row_comes_after_the_warm_up():
    complete = np.isfinite(compute(panel(60))[:, 0]).all(axis=1)
    assert not complete[:WARMUP].any()
    assert complete[WARMUP:].all()


def test_a_market_shorter_than_the_windows_has_no_complete_row():
    assert not np.isfinite(compute(panel(12))).all(axis=-1).any()


def test_a_bar_without_range_or_volume_still_has_features():
    bars = panel(60)
    for name in ("open", "high", "low"):
        bars.fields[name][0, 50] = bars.close[0, 50]
    bars.fields["volume"][0, 50] = 0.0
    assert np.isfinite(compute(bars)[50]).all()


def test_the_scaler_is_fitted_on_what_it_is_given_and_cuts_wild_values():
    values = compute(panel(200))
    scaler = Scaler.fit(values[:100])
    scaled = scaler.apply(values[:100])
    inside = scaled[WARMUP:]
    assert inside.dtype == np.float32
    np.testing.assert_allclose(np.clip(inside, -3, 3).mean(axis=0), 0.0, atol=0.1)
    assert np.isnan(scaled[0]).any()
    wild = values[150] * 1e6
    assert np.abs(scaler.apply(wild)).max() == LIMIT


def test_a_constant_feature_is_left_at_zero():
    assert (Scaler.fit(np.ones((5, 2))).apply(np.ones((1, 2))) == 0).all()


def test_a_scaler_survives_its_state():
    scaler = Scaler.fit(compute(panel(100)))
    again = Scaler.from_state(scaler.to_state())
    np.testing.assert_array_equal(scaler.mean, again.mean)
    np.testing.assert_array_equal(scaler.std, again.std)
