"""What every run of one report shares: prices to decide on, bars that are traded, rules, costs and capital.

Runs in the process of a session: importing it loads numba.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.bars import BarPanel
from apps.strategies.engine.execution import Traded
from apps.trading.engine.backtest import Bars, Options, Result, run_rule, run_weights
from apps.trading.engine.backtest.depth import Depth, asks, volatility
from apps.trading.engine.backtest.market import Market
from apps.trading.engine.costs import Costs

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TradedMarket:
    """Prices to decide on, what is traded, the first bar, costs and capital: what every run of one report shares."""

    panel: BarPanel
    traded: Traded
    first: int
    costs: Costs
    capital: float
    _rules: dict[tuple[int, ...], Market | None] = field(default_factory=dict)
    _bars: dict[int, Bars] = field(default_factory=dict)
    _depths: dict[tuple[int, ...], Depth | None] = field(default_factory=dict)

    def upto(self, stop: int) -> TradedMarket:
        """Return the market on bars before ``stop``: what comes later is not even there."""
        bars = slice(0, stop)
        return TradedMarket(
            self.panel.bars(bars), replace(self.traded, panel=self.traded.panel.bars(bars)), self.first, self.costs,
            self.capital,
        )  # fmt: skip

    def since(self, first: int) -> TradedMarket:
        """Return the market traded from bar ``first`` on; what was looked up stays known."""
        return replace(self, first=first)

    def bars(self, row: int) -> Bars:
        """Return the bars of one instrument as they are traded."""
        if row not in self._bars:
            self._bars[row] = self.traded.bars(row)
        return self._bars[row]

    def seen(self, row: int) -> Bars:
        """Return the bars of one instrument as a strategy sees them."""
        return Bars.of(*(self.panel.fields[name][row] for name in ("open", "close", "high", "low")))

    def rules(self, rows: list[int]) -> Market | None:
        key = tuple(rows)
        if key not in self._rules:
            self._rules[key] = self.traded.market(rows)
        return self._rules[key]

    def depth(self, rows: list[int], costs: Costs, options: Options) -> Depth | None:
        """Return volumes as traded and the volatility of comparable prices, where costs or options ask for them."""
        if not asks(costs, options) or "volume" not in self.traded.panel.fields:
            return None
        key = tuple(rows)
        if key not in self._depths:
            volume = np.asarray(self.traded.panel.fields["volume"][rows], np.float64)
            self._depths[key] = Depth(volume, volatility(np.asarray(self.panel.close[rows])))
        return self._depths[key]

    def weigh(self, weights: Floats, rows: list[int], costs: Costs, options: Options) -> Result:
        opens, closes = self.traded.weighed(rows)
        depth = self.depth(rows, costs, options)
        return run_weights(
            weights, opens, closes, costs, options, first=self.first, market=self.rules(rows), depth=depth
        )  # fmt: skip

    def weigh_each(self, weights: Floats, rows: list[int], costs: Costs, options: Options) -> list[Result]:
        """Hold each of several (K, S, T) weights in an account of its own, in one call of the kernel."""
        from apps.trading.engine.backtest.accounts import AccountOf, weights_of_accounts

        opens, closes = self.traded.weighed(rows)
        accounts = [AccountOf(costs, options)] * len(weights)
        depth = self.depth(rows, costs, options)
        return weights_of_accounts(
            weights, opens, closes, accounts, first=self.first, market=self.rules(rows), depth=depth
        )  # fmt: skip

    def hold(self, rows: list[int]) -> Floats:
        """Return the equity of buying ``rows`` in equal parts and holding them, all money invested."""
        options = Options(capital=self.capital, fraction=1.0, cash_short="reduce")
        if len(rows) == 1:
            own, rules, depth = self.bars(rows[0]), self.rules(rows), self.depth(rows, self.costs, options)
            return run_rule(
                "buy_and_hold", {}, own, self.costs, options, first=self.first, market=rules, depth=depth
            ).equity  # fmt: skip
        weights = np.full((len(rows), len(self.panel.times)), np.nan)
        close = self.panel.close[rows]
        for i in range(len(rows)):
            listed = np.flatnonzero(np.isfinite(close[i, self.first :]))
            weights[i, self.first + listed[0]] = 1.0 / len(rows)
        return self.weigh(weights, rows, self.costs, options).equity

    def equal_members(self, universe: str, every: int, *, frozen: bool = False) -> Floats:
        """Return the equity of the members of the day in equal parts, restored every ``every`` bars.

        ``frozen``: of the members of the first day, whoever belongs later.
        """
        from apps.strategies.engine.allocation import equal_parts, members

        belongs = members(self.panel, universe)
        if frozen:
            belongs = np.broadcast_to(belongs[:, self.first : self.first + 1], belongs.shape)
        weights = equal_parts(belongs & (self.panel.close > 0), every, self.first)
        rows = np.flatnonzero(np.nan_to_num(weights).any(axis=1)).tolist()
        options = Options(capital=self.capital, cash_short="reduce")
        return self.weigh(weights[rows], rows, self.costs, options).equity

    def equal(self, rows: list[int], every: int) -> Floats:
        """Return the equity of equal weights, restored every ``every`` bars."""
        weights = np.full((len(rows), len(self.panel.times)), np.nan)
        weights[:, self.first :: every] = 1.0 / len(rows)
        options = Options(capital=self.capital, cash_short="reduce")
        return self.weigh(weights, rows, self.costs, options).equity
