"""Portfolio construction: optimality by its conditions, online methods by hand, top-k dropout."""

from __future__ import annotations

import numpy as np
import pytest

from apps.trading.engine.portfolio import (
    ONLINE,
    OPTIMISERS,
    TopkOptions,
    inverse_volatility,
    max_sharpe,
    min_variance,
    online_weights,
    portfolio_weights,
    risk_parity,
    topk_dropout,
    wealth,
)
from apps.trading.engine.portfolio.online import best_constant, project
from apps.ui.engine.refusal import Refusal

RNG = np.random.Generator(np.random.PCG64(3))
RETURNS = RNG.normal(0.0005, 0.01, (500, 8)) @ (np.eye(8) + 0.3 * RNG.random((8, 8)))
COVARIANCE, MEAN = np.cov(RETURNS.T), RETURNS.mean(axis=0)


def test_min_variance_meets_its_optimality_conditions():
    w = min_variance(COVARIANCE)
    gradient, variance = COVARIANCE @ w, w @ COVARIANCE @ w
    assert w.sum() == pytest.approx(1)
    assert (w >= 0).all()
    assert gradient[w > 1e-9] == pytest.approx(variance, rel=1e-9)
    assert (gradient >= variance * (1 - 1e-9)).all()


def test_max_sharpe_beats_random_portfolios():
    w = max_sharpe(COVARIANCE, MEAN)
    best = (MEAN @ w) / np.sqrt(w @ COVARIANCE @ w)
    others = RNG.dirichlet(np.ones(8), 2000)
    assert ((others @ MEAN) / np.sqrt(np.einsum("ij,jk,ik->i", others, COVARIANCE, others)) <= best + 1e-12).all()


def test_max_sharpe_needs_expected_returns():
    with pytest.raises(Refusal):
        max_sharpe(COVARIANCE)


def test_risk_parity_gives_equal_contributions():
    w = risk_parity(COVARIANCE)
    parts = w * (COVARIANCE @ w)
    assert parts == pytest.approx(parts.mean(), rel=1e-8)


def test_inverse_volatility_without_correlation_is_risk_parity():
    diagonal = np.diag([0.01, 0.04, 0.09])
    assert inverse_volatility(diagonal) == pytest.approx(risk_parity(diagonal), rel=1e-9)
    assert inverse_volatility(diagonal) == pytest.approx(np.array([6, 3, 2]) / 11)


def test_projection_is_the_identity_on_the_simplex():
    assert project(np.array([0.2, 0.3, 0.5])) == pytest.approx([0.2, 0.3, 0.5])
    assert project(np.array([2.0, 0.0])) == pytest.approx([1, 0])


@pytest.mark.parametrize("name", sorted(ONLINE))
def test_online_weights_are_portfolios_that_know_only_the_past(name):
    relatives = 1 + RETURNS[:60, :4]
    weights = online_weights(name, relatives)
    assert weights.sum(axis=1) == pytest.approx(1)
    assert (weights >= 0).all()
    changed = relatives.copy()
    changed[30:] *= 1.5
    changed[30:, 0] *= 0.5
    assert (online_weights(name, changed)[:31] == weights[:31]).all()


def test_universal_of_two_assets_is_the_mean_of_constant_portfolios():
    relatives = np.array([[1.0, 2.0], [1.0, 0.5]] * 3)
    share = np.linspace(0, 1, 21)
    grown = ((share + 2 * (1 - share)) * (share + 0.5 * (1 - share))) ** 3
    assert wealth(relatives, online_weights("universal", relatives)) == pytest.approx(grown.mean())


def test_best_constant_of_a_seesaw_is_half_and_half():
    assert best_constant(np.array([[1.0, 2.0], [1.0, 0.5]] * 10)) == pytest.approx([0.5, 0.5], abs=1e-5)


@pytest.mark.parametrize("name", [*OPTIMISERS, *ONLINE])
def test_named_strategies_give_weights_that_know_only_the_past(name):
    close = 100 * np.cumprod(1 + RETURNS[:200, :4].T, axis=1)
    weights = portfolio_weights(name, close)
    changed = close.copy()
    changed[:, 150:] *= 2
    changed[0, 150:] *= 3
    assert np.array_equal(portfolio_weights(name, changed)[:, :150], weights[:, :150], equal_nan=True)
    given = weights[:, ~np.isnan(weights).any(axis=0)]
    assert given.size
    assert given.sum(axis=0) == pytest.approx(1)


def test_unknown_methods_are_refused():
    for call in (lambda: portfolio_weights("magic", np.ones((2, 3))), lambda: online_weights("magic", np.ones((3, 2)))):
        with pytest.raises(Refusal):
            call()


class TestTopk:
    OPTIONS = TopkOptions(topk=1, n_drop=1, open_cost=0.0, close_cost=0.0, min_cost=0.0, account=100.0, risk_degree=1.0)
    SCORES = np.array([[2.0, 1.0], [1.0, 2.0], [1.0, 2.0]])
    PRICE = np.array([[10.0, 10.0], [10.0, 10.0], [20.0, 10.0]])

    def test_yesterdays_best_is_bought_today_and_swapped_when_it_falls_behind(self):
        found = topk_dropout(self.SCORES, self.PRICE, self.PRICE, self.OPTIONS)
        assert found.account.tolist() == [100, 100, 200]
        assert found.traded.tolist() == [0, 100, 400]

    def test_a_suspended_name_keeps_its_last_value(self):
        close = self.PRICE.copy()
        close[2, 0] = np.nan
        found = topk_dropout(self.SCORES, close, close, self.OPTIONS)
        assert found.account[-1] == 100
        assert found.traded[-1] == 0

    def test_a_name_at_its_limit_is_not_bought(self):
        options = TopkOptions(topk=1, n_drop=1, limit_threshold=0.095, account=100.0)
        change = np.array([[0.0, 0.0], [0.1, 0.0], [0.0, 0.0]])
        assert topk_dropout(self.SCORES, self.PRICE, self.PRICE, options, change=change).traded[1] == 0

    def test_none_to_drop_are_all_as_pyqlib_cuts_its_list(self):
        options = TopkOptions(topk=1, n_drop=0, open_cost=0.0, close_cost=0.0, min_cost=0.0, account=100.0)
        scores, price = np.tile([2.0, 1.0], (4, 1)), np.full((4, 2), 10.0)
        assert topk_dropout(scores, price, price, options).traded.tolist() == [0, 95, 95, 95]

    def test_costs_leave_the_account(self):
        options = TopkOptions(topk=1, n_drop=1, open_cost=0.001, close_cost=0.002, min_cost=0.0, account=100.0)
        found = topk_dropout(self.SCORES, self.PRICE, self.PRICE, options)
        assert found.paid[1] == pytest.approx(0.095)
        assert found.account == pytest.approx(found.value + found.cash)
