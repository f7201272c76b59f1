"""TradeMaster's accounting is repeated to the digit, its errors included."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from apps.strategies.engine.envs import Prices, TradeMasterAlgorithmicEnv, TradeMasterPortfolioEnv
from quant_platform.reference import trademaster
from quant_platform.reference.files import Files, Skip, read_case
from quant_platform.reference.runner import run_case
from tests.strategies.env_markets import market

CASES = ("at_BTC_*", "pm_base_*", "pm_eiie_*", "pm_deeptrader_*")


@pytest.mark.data
@pytest.mark.parametrize("pattern", CASES)
def test_reference_series_agree_to_1e9(reference, market_data, pattern):
    paths = sorted((reference / "trademaster").glob(f"{pattern}.json"))
    assert paths
    for path in paths:
        result = run_case(read_case(path), Files(path.parent, market_data))
        assert result["passed"], result
        assert result["worst"]["error"] <= 1e-9


def test_a_short_is_paid_for_and_subtracted_again():
    close = np.array([[100.0]] * 12)
    env = TradeMasterAlgorithmicEnv(Prices(close, close, close[..., None].astype(np.float32)), dtype=torch.float64)
    env.reset()
    env.step(torch.tensor([0]))
    assert env.side.item() == -1.0
    assert env.equity.item() == pytest.approx(100_000 - 100 / 0.999 - 100)


def test_a_purchase_beyond_the_cash_is_cut_to_whole_units():
    close = np.array([[300.0]] * 12)
    prices = Prices(close, close, close[..., None].astype(np.float32))
    env = TradeMasterAlgorithmicEnv(prices, initial=1000.0, max_volume=5, dtype=torch.float64)
    env.reset()
    env.step(torch.tensor([10]))
    assert env.volume.item() == 3.0


def test_the_last_reward_comes_twice():
    env = TradeMasterAlgorithmicEnv(market(20), dtype=torch.float64, window=5)
    env.reset()
    for _ in range(env.horizon):
        last = env.step(torch.tensor([2]))
    assert last.truncated.item()
    kept = last.reward.item()
    assert env.step(torch.tensor([0])).reward.item() == kept
    assert env.view.account.shape == (1, 2)


@pytest.mark.parametrize("variant", ["portfolio", "eiie", "deeptrader"])
def test_an_interrupted_episode_goes_on(variant):
    env, other = (TradeMasterPortfolioEnv(market(20, 3), copies=2, variant=variant) for _ in range(2))
    env.reset()
    action = torch.softmax(torch.rand(2, env.slots), 1)
    env.step(action)
    other.load_state_dict(env.state_dict())
    assert torch.equal(env.step(action).reward, other.step(action).reward)
    assert torch.equal(env.view.account, other.view.account)


def test_rows_cut_the_data_and_lists_are_held():
    frame = trademaster.pd.DataFrame({"close": range(10)})
    assert len(trademaster._rows(frame, 4)) == 4
    assert trademaster._rows(frame, [2, 5])["close"].tolist() == [2, 3, 4]
    assert trademaster._rows(frame, "7:")["close"].tolist() == [7, 8, 9]
    assert trademaster._rows(frame, ":2")["close"].tolist() == [0, 1]
    assert trademaster._actions([1, 2])(5) == 2


@pytest.mark.parametrize("actions", ["oracle", {"rule": "none"}])
def test_other_rules_and_environments_are_left_out_with_a_reason(tmp_path, actions):
    with pytest.raises(Skip, match="rule of actions"):
        trademaster._actions(actions)
    with pytest.raises(Skip, match="hft comes with its engine"):
        trademaster.run({"env": "hft"}, Files(tmp_path, tmp_path))
