"""Cases of kind overfitting: read from keys or from a sentence."""

from __future__ import annotations

import pytest

from quant_platform.reference import overfitting
from quant_platform.reference.files import Files, Skip

SENTENCE = (
    "annualised Sharpe 2.5 from 1250 daily returns (250 a year), skewness -3, kurtosis 10, "
    "100 independent trials whose annualised Sharpe ratios have variance 0.5"
)
EXPECT = {"expected_max_sharpe_daily": 0.1132, "deflated_sharpe": 0.9004}


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path, tmp_path)


def test_a_sentence_gives_the_inputs(files):
    found = overfitting.run({"rules": SENTENCE, "expect": EXPECT}, files)
    assert found == pytest.approx(EXPECT, abs=1e-4)


def test_keys_say_the_same(files):
    inputs = {
        "sharpe_annual": 2.5,
        "n_obs": 1250,
        "periods_per_year": 250,
        "skew": -3,
        "kurt": 10,
        "n_trials": 100,
        "annual_variance": 0.5,
    }
    assert overfitting.run({"inputs": inputs, "expect": EXPECT}, files) == pytest.approx(EXPECT, abs=1e-4)


def test_other_values_give_other_answers(files):
    other = overfitting.run({"rules": SENTENCE.replace("100 independent", "10 independent"), "expect": EXPECT}, files)
    assert other["deflated_sharpe"] > 0.97


def test_every_column_of_a_table_is_a_trial(files, tmp_path):
    lines = ["a,b,c", *(f"{0.01 * (-1) ** i + 0.001},{0.01 * (-1) ** i},{0.01 * (-1) ** i - 0.001}" for i in range(64))]
    (tmp_path / "trials.csv").write_text("\n".join(lines), encoding="utf-8")
    found = overfitting.run({"data": "trials.csv", "rules": "8 blocks", "expect": {"pbo": 0}}, files)
    assert found == {"pbo": 0.0}


def test_what_it_does_not_know_is_left_out(files):
    with pytest.raises(Skip, match="omens"):
        overfitting.run({"rules": "", "expect": {"omens": 1}}, files)
