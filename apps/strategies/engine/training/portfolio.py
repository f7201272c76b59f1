"""Trains PPO weights over several assets of a panel, and decides with them; equal weight beside it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from apps.marketdata.engine.bars import BarPanel
from apps.strategies.engine.agents import ppo
from apps.strategies.engine.config import PortfolioConfig
from apps.strategies.engine.envs.base import Prices
from apps.strategies.engine.envs.portfolio import PortfolioEnv
from apps.strategies.engine.features import Scaler, compute
from apps.strategies.engine.ports import Policy, Resume, Sink, Stopped, TargetWeights, TrainResult
from apps.strategies.engine.training import common
from apps.strategies.engine.training.algorithmic import BP, scaled_or_zero
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

if TYPE_CHECKING:
    from apps.strategies.engine.execution import Ruled, Venue

Flags = NDArray[np.bool_]
VALIDATE_EVERY = 5


def symbols_of(config: PortfolioConfig, panel: BarPanel) -> list[str]:
    """Return the symbols asked for, or those with bars on every day of the periods."""
    if config.symbols:
        for symbol in config.symbols:
            panel.index_of(symbol)
        return list(config.symbols)
    part = panel.select(start=config.train_start, end=config.test_end)
    whole: Flags = np.asarray(np.isfinite(part.fields["close"]).all(axis=1))
    return [symbol for symbol, full in zip(panel.symbols, whole, strict=True) if full]


class Market:
    """The assets' arrays (T, N), split and scaled: nothing after the training period shapes the scale."""

    def __init__(self, config: PortfolioConfig, panel: BarPanel, venue: Venue | None = None) -> None:
        self.symbols = symbols_of(config, panel)
        if not self.symbols:
            raise Refusal(
                "no_symbols",
                N_("No symbol has bars over all periods; name the symbols or start later."),
                field="symbols",
            )
        part = panel.select(self.symbols)
        prices = np.stack([np.asarray(part.fields[name], np.float64) for name in ("open", "high", "low", "close")])
        usable: Flags = np.asarray((np.isfinite(prices) & (prices > 0)).all(axis=(0, 1)))
        self.open, self.close = prices[0].T.copy(), prices[3].T.copy()
        self.split = common.split(config, panel, usable)
        features = compute(part)
        self.scaler = Scaler.fit(features[self.split.first : self.split.valid])
        self.scaled = scaled_or_zero(self.scaler, features)
        self.cost, self.bars_per_year = config.side_bp / BP, panel.bars_per_year
        rows = [panel.index_of(symbol) for symbol in self.symbols]
        self.ruled = None if venue is None else venue.ruled(rows, config, panel)

    def env(self, config: PortfolioConfig, start: int, end: int, **options: Any) -> PortfolioEnv:
        """Return an environment over bars [start, end)."""
        prices = Prices(self.open[start:end], self.close[start:end], self.scaled[start:end].numpy())
        if self.ruled is not None:
            return ruled_env(prices, self.ruled.bars(start, end), window=config.window, **options)
        return PortfolioEnv(prices, window=config.window, cost_rate=self.cost, **options)

    def score(self, weights: NDArray[np.float64], start: int, end: int) -> dict[str, float | None]:
        """Return metrics of weights decided at the closes of bars [start, end - 1) and held until ``end``."""
        if self.ruled is not None:
            ruled = common.ruled_returns(self.ruled.bars(start, end), weights)
            return common.score(ruled[1:], self.bars_per_year)
        returns = common.weight_returns(self.open[start:end], self.close[start:end], weights, self.cost)
        return common.score(returns[1:], self.bars_per_year)


def ruled_env(prices: Prices, ruled: Ruled, **options: Any) -> PortfolioEnv:
    """Return the environment that keeps the rules; importing it loads the backtester."""
    from apps.strategies.engine.envs.ruled_portfolio import RuledPortfolioEnv

    return RuledPortfolioEnv(prices, ruled=ruled, **options)


def train(
    config: PortfolioConfig, panel: BarPanel, sink: Sink, resume: Resume | None = None, venue: Venue | None = None
) -> TrainResult:
    """Train PPO; one point an epoch, a validation each few, the best checkpoint kept.

    ``venue`` is where orders are filled, under the rules of its market; None: anything can be traded.
    """
    if config.compat:
        raise Refusal(
            "compat_not_trained",
            N_("TradeMaster's accounting is there to compare numbers; train with correct accounting."),
            field="compat",
        )
    return _Training(config, panel, sink, venue).run(resume)


class _Training:
    """One run: the market, the agents and where they stand."""

    def __init__(self, config: PortfolioConfig, panel: BarPanel, sink: Sink, venue: Venue | None) -> None:
        self.config, self.sink = config, sink
        self.market = Market(config, panel, venue)
        s = self.market.split
        horizon = min(config.horizon, (s.valid - s.first - config.window) // config.rebalance)
        options = {"copies": config.copies, "horizon": horizon, "random_start": True, "rebalance": config.rebalance}
        self.envs = [self.market.env(config, s.first, s.valid, **options) for _ in range(config.seeds)]
        size, actions = ppo.flat(self.envs[0].reset(0)).shape[1], len(self.market.symbols) + 1
        self.agent = ppo.Agent(
            ppo.Settings(
                size,
                actions,
                config.hidden,
                config.learning_rate,
                config.gamma,
                config.clip,
                config.entropy,
                config.copies,
                tuple(range(config.seed, config.seed + config.seeds)),
                config.invest / 100.0,
            )
        )
        self.epoch = 0
        self.best_score: float | None = None
        self.without_better = 0
        self.best_policy: dict[str, Tensor] = {}
        self.best_seed = 0

    @property
    def step(self) -> int:
        """Environment steps of one seed so far."""
        return self.epoch * self.envs[0].horizon * self.config.copies

    def run(self, resume: Resume | None) -> TrainResult:
        config = self.config
        if resume is not None:
            self._restore(resume)
        else:
            names = ", ".join(self.market.symbols[:8])
            self.sink.log(
                f"PPO over {len(self.market.symbols)} symbols ({names}): {config.epochs} epochs, "
                f"{common.seeds(config.seeds)}{common.under(self.market.ruled)}."
            )
        while self.epoch < config.epochs and not (config.patience and self.without_better >= config.patience):
            self._epoch()
        return self._result()

    def _epoch(self) -> None:
        data = self.agent.rollout(self.envs)
        self.agent.optimizer.learning_rate = common.scheduled(self.config, self.epoch / self.config.epochs)
        seen = self.agent.learn(data)
        self.epoch += 1
        self._points({"reward": data.reward * BP, **seen})
        self.sink.point(self.step, {"learning_rate": self.agent.optimizer.learning_rate}, epoch=self.epoch)
        every = max(1, min(VALIDATE_EVERY, self.config.epochs // 20))
        if self.epoch % every == 0 or self.epoch == self.config.epochs:
            self._validate()
        self.sink.progress(self.epoch, self.config.epochs, "epoch")
        stop = self.sink.stop_requested()
        if stop or self.sink.checkpoint_due():
            self._save()
        if stop:
            raise Stopped

    def _validate(self) -> None:
        s = self.market.split
        scores = [self._score(self._params(i), s.valid, s.test) for i in range(self.config.seeds)]
        sharpes = [float(x["sharpe"] or 0.0) for x in scores]
        returns = [100.0 * float(x["total_return"] or 0.0) for x in scores]
        self._points(
            {
                "valid_sharpe": torch.tensor(sharpes, dtype=torch.float64),
                "valid_return": torch.tensor(returns, dtype=torch.float64),
            }
        )
        median = float(np.median(sharpes))
        if self.best_score is None or median > self.best_score:
            self.best_score, self.without_better = median, 0
            self.best_seed = int(np.argmax(sharpes))
            self.best_policy = {f"policy.{n}": t.detach().clone() for n, t in self.agent.params.items()}
            self._save(best=True, score=median)
            self.sink.log(f"epoch {self.epoch}: validation Sharpe {median:.2f}, best so far, kept")
        else:
            self.without_better += 1
            self.sink.log(f"epoch {self.epoch}: validation Sharpe {median:.2f}")

    def _params(self, seed: int) -> dict[str, Tensor]:
        return {name: value.detach()[seed : seed + 1] for name, value in self.agent.params.items()}

    def _score(self, params: dict[str, Tensor], start: int, end: int) -> dict[str, float | None]:
        """Walk the policy over bars [start, end); the window before them is known to it."""
        config = self.config
        env = self.market.env(config, start - config.window, end, rebalance=config.rebalance)
        weights = np.full((end - start + 1, len(self.market.symbols) + 1), np.nan)
        wanted = ppo.mean_weights(params, env, config.invest / 100.0).double().numpy()
        weights[: len(wanted)] = wanted
        return self.market.score(weights, start - 1, end)

    def _points(self, values: dict[str, Tensor]) -> None:
        for name, column in values.items():
            for value in column.tolist():
                common.finite(value, name, self.step)
        seeds = self.agent.settings.seeds
        for i, seed in enumerate(seeds):
            row = {name: float(column[i]) for name, column in values.items()}
            self.sink.point(self.step, row, epoch=self.epoch, **({"seed": seed} if len(seeds) > 1 else {}))

    def _save(self, *, best: bool = False, score: float | None = None) -> None:
        state = {
            "epoch": self.epoch, "updates": self.agent.optimizer.count, "best_score": self.best_score,
            "without_better": self.without_better, "best_seed": self.best_seed,
        }  # fmt: skip
        self.sink.save(
            self.step, self.agent.tensors() | self.best_policy, state, epoch=self.epoch, score=score, best=best
        )

    def _restore(self, resume: Resume) -> None:
        state = resume.state
        self.agent.load(resume.tensors, state["updates"])
        self.epoch, self.best_score = state["epoch"], state["best_score"]
        self.without_better, self.best_seed = state["without_better"], state["best_seed"]
        self.best_policy = {name: t for name, t in resume.tensors.items() if name.startswith("policy.")}

    def _result(self) -> TrainResult:
        s, config = self.market.split, self.config
        seeds = range(config.seeds)
        best = [
            {n.removeprefix("policy."): t[i : i + 1] for n, t in self.best_policy.items()} or self._params(i)
            for i in seeds
        ]
        tests = [self._score(params, s.test, s.end) for params in best]
        spec = {
            "kind": "ppo",
            "settings": asdict(self.agent.settings),
            "seed_index": self.best_seed,
            "symbols": self.market.symbols,
            "scaler": self.market.scaler.to_state(),
            "rules": self.market.ruled is not None,
            "seeds": {name: common.over_seeds([x[name] for x in tests]) for name in ("total_return", "sharpe")},
        }
        chosen = self.best_seed
        weights = common.weights_digest(dict(self.agent.params) | self.best_policy)
        return TrainResult(self._score(best[chosen], s.valid, s.test), tests[chosen], self._baselines(), spec, weights)

    def _baselines(self) -> dict[str, dict[str, float | None]]:
        s, n, config = self.market.split, len(self.market.symbols), self.config
        bars = s.end - s.test + 1
        equal = np.r_[1.0 - config.invest / 100.0, np.full(n, config.invest / 100.0 / n)]
        often = np.where((np.arange(bars) % config.rebalance == 0)[:, None], equal, np.nan)
        once = np.full((bars, n + 1), np.nan)
        once[0] = equal
        cash = np.tile(np.r_[1.0, np.zeros(n)], (bars, 1))
        draws = np.random.default_rng(config.seed).dirichlet(np.ones(n + 1), bars)
        named = {"equal_weight": often, "buy_and_hold": once, "do_nothing": cash, "random_policy": draws}
        return {name: self.market.score(weights, s.test - 1, s.end) for name, weights in named.items()}


def decide(
    config: PortfolioConfig, panel: BarPanel, policy: Policy | None, venue: Venue | None = None
) -> TargetWeights:
    """Return the wanted weights (S, T) after each close; a NaN column keeps the shares held.

    With ``venue`` the policy is told what it would hold under the rules of its market, as it was while it learned.
    """
    weights = np.full((len(panel.symbols), len(panel.times)), np.nan)
    if config.method == "equal_weight":
        return TargetWeights(_equal(config, panel, weights))
    if policy is None or policy.spec.get("kind") != "ppo":
        raise Refusal(
            "no_checkpoint",
            N_("There is no finished training of this strategy whose checkpoint could decide. Train it first."),
        )
    from safetensors.torch import load_file

    spec, index = policy.spec, int(policy.spec["seed_index"])
    params = {
        n.removeprefix("policy."): t[index : index + 1]
        for n, t in load_file(policy.weights).items()
        if n.startswith("policy.")
    }
    part = panel.select(spec["symbols"])
    whole: Flags = np.asarray(np.isfinite(part.fields["close"]).all(axis=0))
    first = int(np.argmax(whole))
    if not whole.any() or len(whole) - first <= config.window:
        return TargetWeights(weights)
    later = part.select(start=panel.times[first])
    scaled = scaled_or_zero(Scaler.from_state(spec["scaler"]), compute(later))
    prices = Prices(later.fields["open"].T, later.fields["close"].T, scaled.numpy())
    cost, options = config.side_bp / BP, {"window": config.window, "rebalance": config.rebalance}
    rows = [panel.index_of(symbol) for symbol in spec["symbols"]]
    ruled = None if venue is None else venue.ruled(rows, config, panel)
    env = (
        PortfolioEnv(prices, cost_rate=cost, **options)
        if ruled is None
        else ruled_env(prices, ruled.bars(first, len(panel.times)), **options)
    )
    wanted = ppo.mean_weights(params, env, config.invest / 100.0).double().numpy()[:, 1:]
    begin = first + config.window - 1
    for column, symbol in enumerate(spec["symbols"]):
        weights[panel.index_of(symbol), begin : begin + len(wanted)] = wanted[:, column]
    others = np.array([symbol not in spec["symbols"] for symbol in panel.symbols])
    traded = np.isfinite(weights).any(axis=0)
    weights[others[:, None] & traded] = 0.0
    return TargetWeights(weights)


def _equal(config: PortfolioConfig, panel: BarPanel, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Equal shares of the symbols listed at each rebalance, counted from the first bar all of them have."""
    rows = [panel.index_of(symbol) for symbol in symbols_of(config, panel)]
    whole: Flags = np.asarray(np.isfinite(panel.fields["close"][rows]).all(axis=0))
    if not whole.any():
        return weights
    days = np.arange(int(np.argmax(whole)), len(panel.times), config.rebalance)
    weights[:, days] = 0.0
    for row in rows:
        weights[row, days] = config.invest / 100.0 / len(rows)
    return weights
