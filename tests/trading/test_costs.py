"""What a trade costs: to the cent, on paper and in the database."""

from __future__ import annotations

import pytest

from apps.trading.engine.costs import Costs
from apps.ui.engine.refusal import Refusal


def test_a_buy_pays_commission_and_no_tax():
    assert Costs(rate=0.001, sell_tax=0.0005).fee(1000, 20.0, sell=False) == pytest.approx(20.0)


def test_a_sale_pays_the_tax_on_top():
    assert Costs(rate=0.001, sell_tax=0.0005).fee(1000, 20.0, sell=True) == pytest.approx(30.0)


def test_a_small_order_pays_the_minimum_and_the_tax_is_not_part_of_it():
    assert Costs(rate=0.00025, minimum=5.0, sell_tax=0.0005).fee(100, 10.0, sell=True) == pytest.approx(5.5)


def test_a_fee_by_share_adds_to_the_rate():
    assert Costs(rate=0.001, per_share=0.005).fee(100, 10.0, sell=False) == pytest.approx(1.5)


def test_scaling_keeps_the_lot_and_multiplies_everything_else():
    twice = Costs(rate=0.001, minimum=5, sell_tax=0.0005, slippage=0.01, per_share=0.1, lot=100).scaled(2)
    assert twice == Costs(rate=0.002, minimum=10, sell_tax=0.001, slippage=0.02, per_share=0.2, lot=100, levies=2)
    assert Costs(slippage=0.6).scaled(2).slippage == 0.99


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate": -0.1},
        {"minimum": float("nan")},
        {"lot": 0},
        {"lot": 1.5},
        {"slippage": 1.0},
        {"sell_tax": float("inf")},
    ],
)
def test_costs_that_make_no_sense_are_refused(wrong):
    with pytest.raises(Refusal) as refused:
        Costs(**wrong)
    assert refused.value.code == "bad_costs"
    assert next(iter(wrong)) in str(refused.value)


def test_costs_are_written_whole():
    costs = Costs(rate=0.00026, minimum=5, sell_tax=0.0005, slippage=0.0001, lot=100)
    assert costs.document() == pytest.approx(
        {
            "rate": 0.00026,
            "per_share": 0.0,
            "minimum": 5,
            "sell_tax": 0.0005,
            "slippage": 0.0001,
            "lot": 100,
            "levies": 1,
            "borrow": 0,
            "funding": 0,
            "spread": 0,
            "volume_impact": 0,
            "root_impact": 0,
        }
    )


def test_what_holding_costs_is_scaled_too_and_only_funding_may_be_received():
    twice = Costs(borrow=0.03, funding=-0.0001).scaled(2)
    assert (twice.borrow, twice.funding) == (0.06, -0.0002)
    with pytest.raises(Refusal, match="not negative"):
        Costs(borrow=-0.01)
