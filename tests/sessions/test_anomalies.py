"""The watch over a run: each planted fault is flagged, twenty healthy runs are not."""

from __future__ import annotations

import math
import random

import pytest

from apps.sessions.engine.anomalies import MOST_SERIES, Divergence, ExplodingGradient, Plateau, Watch

GB = 2**30


def usage(at, rss):
    return {"at": at, "rss_bytes": rss}


def feed(watch, values, *, every=0.1, total=None, start=0, at=0.0):
    """Say ``values`` (one dict a step) and return every flag."""
    found, total = [], total or len(values)
    for i, row in enumerate(values, start + 1):
        found += watch.points([{"step": i, "values": row, "at": at + i * every}], i / total)
    return found


def codes(flags):
    return [flag["code"] for flag in flags]


def healthy(seed):
    """A run as they are: power-law or exponential descent, heavy-tailed noise, warm-up, spikes, a cosine's end."""
    r = random.Random(seed)
    steps, power, noise, floor = 2000, r.uniform(0.25, 0.9), r.uniform(0.02, 0.4), r.uniform(0.0, 0.05)
    entropy, norm = r.choice([1.1, 4.2]), r.uniform(0.2, 3.0)
    rows = []
    for step in range(1, steps + 1):
        fall = (1 + step / r.choice([20.0, 20.0])) ** -power + floor
        warm = 3.0 if step < 40 and seed % 2 else 1.0
        spike = r.uniform(5, 60) if r.random() < 0.004 else 1.0
        rows.append(
            {
                "loss": warm * fall * math.exp(r.gauss(0, noise)) * (spike if seed % 3 else 1.0),
                "gradient_norm": norm * math.exp(r.gauss(0, 0.6)) * spike,
                "entropy": entropy * (1 - 0.9 * step / steps) + r.gauss(0, 0.02),
                "reward": r.gauss(0, 5) + step / 400,
            }
        )
        if seed % 4 == 0:
            del rows[-1]["reward"]  # A supervised one: its loss is how well it does.
    return rows


@pytest.mark.parametrize("seed", range(20))
def test_a_healthy_run_raises_no_flag(seed):
    watch, r, rss = Watch(8 * GB), random.Random(seed), 0.4 * GB
    rows, found = healthy(seed), []
    for second in range(200):
        # Buffers fill, then memory goes up and down; every 40 s the run is silent to look at its validation data.
        rss += 8e6 if second < 40 else r.gauss(0, 4e6)
        part = rows[10 * second : 10 * second + 10]
        base = float(second + 6 * (second // 40))
        found += feed(watch, part, start=10 * second, total=2000, at=base - second)
        found += watch.usage(usage(base, rss)) + watch.tick(base + 0.5)
    assert found == []


def test_a_reward_learner_whose_loss_rests_is_no_plateau():
    r = random.Random(1)
    assert feed(Watch(), [{"loss": 0.7 + r.gauss(0, 0.01), "reward": 1.0} for _ in range(2000)]) == []


def test_continuous_actions_pass_zero_entropy_on_their_way():
    assert feed(Watch(), [{"entropy": 5.6 - 12.0 * i / 2000} for i in range(2000)]) == []


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_a_value_that_is_no_number(value):
    (flag,) = feed(Watch(), [{"loss": 1.0}, {"loss": value}, {"loss": value}])
    assert (flag["code"], flag["level"], flag["step"]) == ("not_finite", "error", 2)


@pytest.mark.parametrize("seed", range(3))
def test_a_loss_that_runs_away(seed):
    r = random.Random(seed)
    rows = [{"loss": math.exp(-i / 80 + r.gauss(0, 0.2))} for i in range(200)]
    rows += [{"loss": 0.08 * math.exp(i / 15 + r.gauss(0, 0.2))} for i in range(300)]
    (flag,) = feed(Watch(), rows, total=5000)
    assert (flag["code"], flag["level"]) == ("divergence", "error")
    assert 200 < flag["step"] < 340
    found = flag["params"]
    assert found["measured"] == found["level"] > found["threshold"] >= 100 * found["best"]
    assert found["threshold"] >= 10 * found["first"]
    assert 180 <= found["since_step"] < flag["step"] - 2 * Divergence.WINDOW
    assert found["since_at"] == pytest.approx(0.1 * found["since_step"])


def test_gradients_that_explode():
    r = random.Random(3)
    rows = [{"gradient_norm": math.exp(r.gauss(0, 0.5)) * (1 if i < 300 else 400)} for i in range(340)]
    (flag,) = feed(Watch(), rows)
    assert (flag["code"], flag["level"]) == ("exploding_gradient", "warning")
    assert 300 < flag["step"] <= 320
    found = flag["params"]
    assert found["measured"] > found["threshold"] == pytest.approx(max(10.0, 50 * found["usual"]))
    assert found["since_step"] == flag["step"] - ExplodingGradient.SHORT + 1


def test_a_loss_that_stays_where_it_was():
    r = random.Random(4)
    rows = [{"valid_loss": 0.693 + 0.3 * math.exp(-i / 40) + r.gauss(0, 0.0002)} for i in range(1500)]
    (flag,) = feed(Watch(), rows)
    assert flag["code"] == "plateau"
    assert flag["step"] < 1350
    found = flag["params"]
    assert abs(found["measured"]) < found["threshold"] == 1.0
    assert found["since_step"] == pytest.approx(flag["step"] - 0.4 * 1500, abs=2 * Plateau.BLOCK)


def test_a_policy_that_stops_choosing():
    flags = feed(Watch(), [{"entropy": 1.0 if i < 100 else 0.001} for i in range(300)])
    assert codes(flags) == ["dead_policy"]
    assert flags[0]["params"] == {
        "name": "entropy", "measured": 0.001, "threshold": pytest.approx(0.02), "entropy": 0.001, "start": 1.0,
        "points": 60, "since_step": 101, "since_at": pytest.approx(10.1),
    }  # fmt: skip
    assert codes(feed(Watch(), [{"entropy": 3.0 if i < 100 else -20.0} for i in range(300)])) == ["dead_policy"]


def test_a_run_that_falls_silent_or_slow():
    watch = Watch()
    feed(watch, [{"x": 1.0}] * 500, total=5000)
    assert watch.tick(75.0) == []
    (flag,) = watch.tick(85.0)
    assert (flag["code"], flag["params"]["seconds"]) == ("stalled", 35)
    assert (flag["params"]["measured"], flag["params"]["threshold"]) == (35.0, 30.0)
    assert (flag["params"]["since_step"], flag["params"]["since_at"]) == (500, 50.0)
    slow = Watch()
    feed(slow, [{"x": 1.0}] * 1000, total=5000)
    feed(slow, [{"x": 1.0}] * 20, start=1000, total=5000, every=2.0, at=100.0 - 2000.0)
    (flag,) = slow.tick(140.5)
    assert flag["code"] == "stalled"
    assert flag["params"]["measured"] == pytest.approx(0.5)
    assert flag["params"]["threshold"] < 0.1 * 10.01
    assert flag["params"]["since_step"] > 1000


def test_a_run_that_works_out_its_result_is_not_silent():
    watch = Watch()
    feed(watch, [{"x": 1.0}] * 500)
    assert watch.tick(500.0) == [], "the points said that all is done"
    late = Watch()
    feed(late, [{"x": 1.0}] * 500, total=501)
    assert late.tick(500.0, 1.0) == [], "progress was said after the last point"
    assert codes(late.tick(500.0, 0.99)) == ["stalled"]


def test_pauses_as_long_as_before_are_no_stall():
    watch = Watch()
    feed(watch, [{"x": 1.0}] * 30, every=40.0, total=300)
    assert watch.tick(30 * 40.0 + 100) == []


def test_memory_on_its_way_to_the_limit():
    watch, found = Watch(2 * GB), []
    for second in range(120):
        found += watch.usage(usage(float(second), 0.5 * GB + second * 4e6))
    (flag,) = found
    assert flag["code"] == "memory_growth"
    assert flag["params"]["limit_mb"] == 2048
    found = flag["params"]
    assert 0 < found["seconds"] == found["measured"] <= found["threshold"] == 600
    assert found["mb_a_minute"] == pytest.approx(60 * 4e6 / 2**20)
    assert 0.0 <= found["since_at"] < flag["at"]
    assert "since_step" not in found
    assert [f for s in range(120) for f in Watch(0).usage(usage(s, s * 1e9))] == []


def test_each_flag_is_raised_once_and_many_seeds_cost_no_more():
    watch = Watch()
    rows = [{"entropy": 1.0 if i < 100 else 0.0} for i in range(500)]
    assert codes(feed(watch, rows)) == ["dead_policy"]
    many = Watch()
    for seed in range(MOST_SERIES + 20):
        many.points([{"step": 1, "values": {"loss": 1.0}, "at": 0.0, "seed": seed}])
    assert sum(bool(detectors) for detectors in many._series.values()) == MOST_SERIES
