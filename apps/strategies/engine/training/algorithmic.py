"""Trains a DQN on one asset of a panel, and decides with it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from apps.marketdata.engine.bars import BarPanel
from apps.strategies.engine.agents import dqn
from apps.strategies.engine.config import AlgorithmicTradingConfig
from apps.strategies.engine.envs.algorithmic import AlgorithmicTradingEnv
from apps.strategies.engine.envs.base import Prices
from apps.strategies.engine.features import FEATURES, Scaler, compute
from apps.strategies.engine.networks import Params
from apps.strategies.engine.ports import Policy, Resume, Sink, Stopped, TargetPositions, TrainResult
from apps.strategies.engine.training import common
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

if TYPE_CHECKING:
    from apps.strategies.engine.envs.ruled_trading import RuledTradingEnv
    from apps.strategies.engine.execution import Ruled, Venue

#: A point of the fine curves each so many environment steps.
POINT_EVERY = 100
#: A validation at most each so many episodes; at least 20 of them in a training.
VALIDATE_EVERY = 5
BP = 10_000.0


class Market:
    """The asset's arrays, split and scaled: nothing after the training period shapes the scale."""

    def __init__(self, config: AlgorithmicTradingConfig, panel: BarPanel, venue: Venue | None = None) -> None:
        self.row = panel.index_of(config.symbol)
        part = panel.select([config.symbol])
        self.open = np.array(part.fields["open"][0], np.float64)
        self.close = np.array(part.fields["close"][0], np.float64)
        usable = np.isfinite(np.stack([part.fields[n][0] for n in ("open", "high", "low", "close")])).all(0) & (
            self.close > 0
        )
        self.split = common.split(config, panel, usable)
        features = compute(part)[:, 0]
        self.scaler = Scaler.fit(features[self.split.first : self.split.valid])
        self.scaled = scaled_or_zero(self.scaler, features)
        self.cost, self.allow_short = config.side_bp / BP, config.allow_short
        self.ruled = None if venue is None else venue.ruled([self.row], config, panel)
        self.bars_per_year = panel.bars_per_year

    def env(self, config: AlgorithmicTradingConfig, copies: int) -> AlgorithmicTradingEnv:
        """Return the training environment."""
        period = slice(self.split.first, self.split.valid)
        prices = Prices(self.open[period, None], self.close[period, None], self.scaled[period, None].numpy())
        if self.ruled is not None:
            from apps.strategies.engine.envs.ruled_trading import RuledTradingEnv

            return RuledTradingEnv(
                prices, ruled=self.ruled.bars(self.split.first, self.split.valid), window=config.window, copies=copies,
                allow_short=config.allow_short,
            )  # fmt: skip
        return AlgorithmicTradingEnv(
            prices, window=config.window, copies=copies, cost_rate=self.cost, allow_short=config.allow_short
        )

    def flat_windows(self, window: int) -> Tensor:
        """Return (T, W * F): the window that ends at each bar; bars before the first full one repeat it."""
        return flat_windows(self.scaled, window)

    def returns(self, targets: np.ndarray, start: int, end: int) -> np.ndarray:  # type: ignore[type-arg]
        if self.ruled is not None:
            return common.ruled_returns(self.ruled.bars(start, end), targets, allow_short=self.allow_short)
        return common.position_returns(self.open[start:end], self.close[start:end], targets, self.cost)


def walking(ruled: Ruled, copies: int, allow_short: bool) -> RuledTradingEnv:
    """Return an environment of whole prices to walk a policy through; what it sees comes from elsewhere."""
    from apps.strategies.engine.envs.ruled_trading import RuledTradingEnv

    none = np.ones((ruled.open.shape[1], 1))
    prices = Prices(none, none, np.zeros((len(none), 1, 1), np.float32))
    return RuledTradingEnv(prices, ruled=ruled, copies=copies, allow_short=allow_short)


def scaled_or_zero(scaler: Scaler, features: common.Array) -> Tensor:
    """Return scaled features; what is not known yet is the mean, 0."""
    return torch.from_numpy(np.nan_to_num(scaler.apply(features)))


def flat_windows(scaled: Tensor, window: int) -> Tensor:
    """Return (T, W * F) of ``scaled`` (T, F): the window that ends at each bar, the first full one before that."""
    full = scaled.unfold(0, window, 1).reshape(len(scaled) - window + 1, -1)
    return torch.cat([full[:1].expand(window - 1, -1), full]).contiguous()


def sides(allow_short: bool) -> Tensor:
    """Return the sides the actions stand for."""
    return torch.tensor([-1.0, 0.0, 1.0] if allow_short else [0.0, 1.0])


def settings_of(config: AlgorithmicTradingConfig, episode_steps: int) -> dqn.Settings:
    return dqn.Settings(
        window=config.window, features=len(FEATURES), actions=3 if config.allow_short else 2, hidden=config.hidden,
        double=config.double, duelling=config.duelling, learning_rate=config.learning_rate, gamma=config.gamma,
        batch=config.batch, buffer=config.buffer, target_update=config.target_update,
        epsilon_start=config.epsilon_start, epsilon_end=config.epsilon_end,
        epsilon_steps=max(1, config.episodes * episode_steps // 2),
        seeds=tuple(range(config.seed, config.seed + config.seeds)),
    )  # fmt: skip


def train(
    config: AlgorithmicTradingConfig, panel: BarPanel, sink: Sink, resume: Resume | None = None,
    venue: Venue | None = None,
) -> TrainResult:  # fmt: skip
    """Train, report every ``POINT_EVERY`` steps, keep the checkpoint validation likes best.

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
    """One run: the market, the agent and where it stands."""

    def __init__(self, config: AlgorithmicTradingConfig, panel: BarPanel, sink: Sink, venue: Venue | None) -> None:
        self.config, self.sink = config, sink
        self.market = Market(config, panel, venue)
        self.env = self.market.env(config, config.seeds)
        self.targets = sides(config.allow_short)
        self.agent = dqn.Agent(settings_of(config, self.env.horizon))
        first, valid = self.market.split.first, self.market.split.valid
        self.windows = self.market.flat_windows(config.window)
        self.train_windows = self.windows[first:valid]
        self.walk = dqn.Walk()
        self.rewards = torch.zeros(config.seeds, dtype=torch.float64)
        self.sums: dict[str, Tensor] = {}
        self.updates, self.said = 0, -1
        self.best_policy: dict[str, Tensor] = {}
        self.best_seed = 0

    def run(self, resume: Resume | None) -> TrainResult:
        config = self.config
        if resume is None:
            self.sink.log(
                f"DQN on {config.symbol}: {config.episodes} episodes of {self.env.horizon} bars, "
                f"{common.seeds(config.seeds)}{common.under(self.market.ruled)}."
            )
            self.env.reset()
        else:
            self._restore(resume)
        while self.walk.episode < config.episodes and not self._patience_over():
            self._episode()
        return self._result()

    def _patience_over(self) -> bool:
        return self.config.patience > 0 and self.walk.without_better >= self.config.patience

    def _episode(self) -> None:
        over = False
        while not over:
            reward, over = dqn.episode_step(self.agent, self.env, self.train_windows)
            self.rewards += reward.double()
            if self.agent.steps % dqn.UPDATE_EVERY == 0 and self.agent.memory.count >= self.config.batch:
                self._learn()
            if over:
                self._episode_over()
            if self.agent.steps % POINT_EVERY == 0 or over:
                self._report()

    @property
    def _done(self) -> float:
        """Episodes done, with the part of the one that runs."""
        return self.walk.episode + self.env.done_steps / self.env.horizon

    @property
    def _learning_rate(self) -> float:
        return common.scheduled(self.config, self._done / self.config.episodes)

    def _learn(self) -> None:
        self.agent.optimizer.learning_rate = self._learning_rate
        for name, value in self.agent.learn(self.train_windows).items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.updates += 1

    def _episode_over(self) -> None:
        config, walk, steps = self.config, self.walk, self.agent.steps
        self._say_updates()  # before a checkpoint: what follows it must not owe a point
        walk.episode += 1
        mean = (self.rewards / self.env.horizon * BP).tolist()
        self._points({"reward": mean})
        self.sink.log(
            f"episode {walk.episode}: reward {np.median(mean):+.2f} bp a step, exploration {self.agent.epsilon:.3f}"
        )
        self.rewards.zero_()
        self.env.reset()
        every = max(1, min(VALIDATE_EVERY, config.episodes // 20))
        if walk.episode % every == 0 or walk.episode == config.episodes:
            self._validate(steps)
        self.sink.progress(walk.episode, config.episodes, "episode")

    def _validate(self, step: int) -> None:
        s = self.market.split
        scores = self._scores(dict(self.agent.online), s.valid, s.test)
        sharpes = [float(x["sharpe"] or 0.0) for x in scores]
        self._points(
            {"valid_sharpe": sharpes, "valid_return": [100.0 * float(x["total_return"] or 0.0) for x in scores]}
        )
        median = float(np.median(sharpes))
        walk = self.walk
        if walk.best_score is None or median > walk.best_score:
            walk.best_score, walk.without_better = median, 0
            self.best_seed = int(np.argmax(sharpes))
            self.best_policy = {f"policy.{n}": t.clone() for n, t in dict(self.agent.online).items()}
            self.best_policy = {n: t.detach() for n, t in self.best_policy.items()}
            self._save(step, best=True, score=median)
            self.sink.log(f"validation Sharpe {median:.2f}: best so far, kept")
        else:
            walk.without_better += 1

    def _scores(self, params: Params, start: int, end: int) -> list[dict[str, float | None]]:
        """Return each seed's metrics over bars [start, end), decided greedily from the close before."""
        year, ruled = self.market.bars_per_year, self.market.ruled
        if ruled is not None:
            env = walking(ruled.bars(start - 1, end), self.config.seeds, self.config.allow_short)
            _, equity = dqn.walked(params, env, self.windows[start - 1 : end], self.targets)
            return [common.score(common.growth_of(row)[1:], year) for row in equity]
        paths = dqn.best_path(params, self.windows[start - 1 : end], self.targets).numpy()
        targets = self.targets.numpy()
        found = []
        for path in paths:
            returns = self.market.returns(targets[path].astype(np.float64), start - 1, end)
            found.append(common.score(returns[1:], year))
        return found

    def _report(self) -> None:
        """Say what happened since the last point, then look whether to save or stop."""
        self._say_updates()
        self.sink.progress(round(self._done, 3), self.config.episodes, "episode")
        stop = self.sink.stop_requested()
        if stop or self.sink.checkpoint_due():
            self._save(self.agent.steps)
        if stop:
            raise Stopped

    def _say_updates(self) -> None:
        """Say what the updates since the last point did; once a step."""
        if self.said == self.agent.steps:
            return
        self.said = self.agent.steps
        if self.updates:
            self._points({name: (value / self.updates).tolist() for name, value in self.sums.items()})
            self.sums, self.updates = {}, 0
        self._points({"epsilon": [self.agent.epsilon], "learning_rate": [self._learning_rate]})

    def _points(self, values: dict[str, list[float]]) -> None:
        step, episode, seeds = self.agent.steps, self.walk.episode, self.agent.settings.seeds
        for name, column in values.items():
            for value in column:
                common.finite(value, name, step)
        one = {name: column[0] for name, column in values.items() if len(column) == 1}
        if one:
            self.sink.point(step, one, epoch=episode)
        many = {name: column for name, column in values.items() if len(column) > 1}
        for i, seed in enumerate(seeds):
            if many:
                self.sink.point(step, {name: column[i] for name, column in many.items()}, epoch=episode, seed=seed)

    def _save(self, step: int, *, best: bool = False, score: float | None = None) -> None:
        tensors = self.agent.tensors() | self.best_policy
        tensors |= {f"env.{name}": value for name, value in self.env.state_dict().items()} | {"rewards": self.rewards}
        state: dict[str, Any] = {
            "walk": self.walk.state(),
            "counters": self.agent.counters(),
            "best_seed": self.best_seed,
        }
        self.sink.save(step, tensors, state, epoch=self.walk.episode, score=score, best=best)

    def _restore(self, resume: Resume) -> None:
        state, tensors = resume.state, resume.tensors
        self.agent.load(tensors, state["counters"])
        self.walk = dqn.Walk(**state["walk"])
        self.env.load_state_dict({n.removeprefix("env."): t for n, t in tensors.items() if n.startswith("env.")})
        self.rewards.copy_(tensors["rewards"])
        self.best_policy = {name: t for name, t in tensors.items() if name.startswith("policy.")}
        self.best_seed = int(state["best_seed"])

    def _result(self) -> TrainResult:
        s = self.market.split
        best = {name.removeprefix("policy."): tensor for name, tensor in self.best_policy.items()}
        params = best or {name: value.detach() for name, value in self.agent.online.items()}
        valid, test = self._scores(params, s.valid, s.test), self._scores(params, s.test, s.end)
        chosen = self.best_seed
        spec = {
            "kind": "dqn",
            "settings": asdict(self.agent.settings),
            "seed_index": chosen,
            "targets": self.targets.tolist(),
            "scaler": self.market.scaler.to_state(),
            "rules": self.market.ruled is not None,
            "seeds": {name: common.over_seeds([x[name] for x in test]) for name in ("total_return", "sharpe")},
        }
        weights = common.weights_digest(dict(self.agent.online) | self.best_policy)
        return TrainResult(valid[chosen], test[chosen], self._baselines(), spec, weights)

    def _baselines(self) -> dict[str, dict[str, float | None]]:
        s = self.market.split
        ones = np.ones(s.end - s.test + 1)
        random = np.random.default_rng(self.config.seed).choice(self.targets.numpy(), len(ones)).astype(np.float64)
        named = {"buy_and_hold": ones, "do_nothing": ones * 0.0, "random_policy": random}
        return {
            name: common.score(self.market.returns(targets, s.test - 1, s.end)[1:], self.market.bars_per_year)
            for name, targets in named.items()
        }


def decide(
    config: AlgorithmicTradingConfig, panel: BarPanel, policy: Policy | None, venue: Venue | None = None
) -> TargetPositions:
    """Return the wanted side (S, T) after each close; other assets, and bars without a full window, are flat.

    With ``venue`` the policy is told what it would hold under the rules of its market, as it was while it learned.
    """
    if policy is None or policy.spec.get("kind") != "dqn":
        raise Refusal(
            "no_checkpoint",
            N_("There is no finished training of this strategy whose checkpoint could decide. Train it first."),
        )
    from safetensors.torch import load_file

    spec = policy.spec
    index = int(spec["seed_index"])
    stored = load_file(policy.weights)
    named = {n.removeprefix("policy."): t for n, t in stored.items() if n.startswith("policy.")}
    params = {name: tensor[index : index + 1] for name, tensor in named.items()}
    row, window = panel.index_of(config.symbol), int(spec["settings"]["window"])
    part = panel.select([config.symbol])
    close = np.asarray(part.fields["close"][0], np.float64)
    targets = np.zeros((len(panel.symbols), len(close)), np.int8)
    first = int(np.argmax(np.isfinite(close)))
    scaled = scaled_or_zero(Scaler.from_state(spec["scaler"]), compute(part.select(start=panel.times[first]))[:, 0])
    if len(scaled) >= window:
        windows, wanted = flat_windows(scaled, window)[window - 1 :], torch.tensor(spec["targets"])
        begin = first + window - 1
        ruled = None if venue is None else venue.ruled([row], config, panel)
        if ruled is not None and len(windows) > 1:
            env = walking(ruled.bars(begin, len(close)), 1, config.allow_short)
            path = dqn.walked(params, env, windows, wanted)[0][0].numpy()
        else:
            path = dqn.best_path(params, windows, wanted)[0].numpy()
        targets[row, begin:] = np.asarray(spec["targets"])[path].astype(np.int8)
    return TargetPositions(targets)
