"""What a backtest trades: the bars as they were traded, and the rules of the market they were traded on.

Strategies decide on prices that compare over time (adjusted for splits and dividends); orders are filled
on the prices of the day, in whole lots, within the day's limits, and dividends are paid in cash.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.corporate import CorporateAction
from apps.marketdata.engine.tradability import reference_close, suspended
from apps.strategies.engine.config_base import StrategyConfig
from apps.trading.engine.backtest.bars import Bars
from apps.trading.engine.backtest.depth import Depth, asks, room_of, volatility
from apps.trading.engine.backtest.market import Event, Market
from apps.trading.engine.backtest.options import Options
from apps.trading.engine.costs import Costs
from apps.trading.engine.ledger import trades_of
from apps.trading.engine.rules import schedule
from apps.trading.engine.rules.boards import Board, board_of

Floats = NDArray[np.float64]
#: Boards of single symbols are told up to so many; beyond, how many each board has.
TOLD = 20
#: Hours between two funding times where a venue says nothing else (rule ``funding_hours``).
FUNDING_HOURS = int(schedule.rows_of(("CRYPTO", "perpetual"), "funding_hours")[0].value)


@dataclass(frozen=True)
class Traded:
    """Bars ``panel``, corporate actions ``events`` and the ``calendar`` that tells the market.

    ``as_traded`` False: the prices are a vendor's adjusted ones, so that price limits and lots, which are
    about prices and shares as traded, cannot be obeyed. ``obey`` False: no rule is, on the user's wish. ``owes``:
    holding costs something by the day, so that the days are told in any case.
    """

    panel: BarPanel
    events: tuple[CorporateAction, ...] = ()
    calendar: str = ""
    as_traded: bool = True
    obey: bool = True
    owes: bool = False
    _boards: dict[str, Board | None] = field(default_factory=dict, repr=False)

    def until(self, last: np.datetime64) -> Traded:
        """Return the same up to the day ``last``, included."""
        return replace(self, panel=self.panel.select(end=last))

    def board(self, row: int) -> Board | None:
        symbol = self.panel.symbols[row]
        if symbol not in self._boards:
            self._boards[symbol] = board_of(symbol, self.calendar) if self.obey else None
        return self._boards[symbol]

    def bars(self, row: int) -> Bars:
        """Return one instrument; a bar on which it was suspended is no bar."""
        prices = self._prices([row])
        return Bars.of(*(prices[name][0] for name in ("open", "close", "high", "low")))

    def weighed(self, rows: Sequence[int]) -> tuple[Floats, Floats]:
        """Return the opens and closes (S, T) of several instruments."""
        prices = self._prices(rows)
        return prices["open"], prices["close"]

    def _prices(self, rows: Sequence[int]) -> dict[str, Floats]:
        part = self._part(rows)
        prices = {name: part.fields[name] for name in ("open", "high", "low", "close")}
        if not self.obey:
            return prices
        idle = suspended(part)
        return {name: np.where(idle, np.nan, values) for name, values in prices.items()} if idle.any() else prices

    def _part(self, rows: Sequence[int]) -> BarPanel:
        index = list(rows)
        return replace(
            self.panel,
            symbols=tuple(self.panel.symbols[row] for row in index),
            fields={name: values[index] for name, values in self.panel.fields.items()},
        )

    def market(self, rows: Sequence[int]) -> Market | None:
        """Return the rules of ``rows``, or None where there is neither a board nor a corporate action."""
        boards = [self.board(row) for row in rows]
        part = self._part(rows)
        own = set(part.symbols)
        actions = [event for event in self.events if event.symbol in own]
        funded = funding_told(part) if self.obey else None
        if not any(boards) and not actions and not self.owes and funded is None:
            return None
        days = part.times.astype("datetime64[D]")
        limited = self.as_traded and any(board is not None and board[0] == "CN" for board in boards)
        reference = self._reference(part, actions, days) if limited else np.full(part.close.shape, np.nan)
        special = part.fields["st"] == 1 if "st" in part.fields else None
        made = Market.build(
            boards, days, reference, st=special, age=_age(part) if limited else None,
            events=_events(part, actions), limited=limited, lots=self.as_traded,
        )  # fmt: skip
        made = replace(made, stamps=funding_stamps(part.times, part.frequency), funded=funded)
        return self._told(made, part) if self.obey else made

    @staticmethod
    def _reference(part: BarPanel, actions: Sequence[CorporateAction], days: NDArray[np.datetime64]) -> Floats:
        """Return the price that a session's limits refer to, for each of its bars."""
        found = reference_close(part, actions)
        begins = np.concatenate([[True], days[1:] != days[:-1]])
        return found[:, np.flatnonzero(begins)[np.cumsum(begins) - 1]]

    @staticmethod
    def _told(made: Market, part: BarPanel) -> Market:
        """Return the rules with the limits that the data itself tells, where it does."""
        up, down = made.up, made.down
        if "limit_up" in part.fields:
            up = np.where(part.limit_up > 0, part.limit_up, up)
        if "limit_down" in part.fields:
            down = np.where(part.limit_down > 0, part.limit_down, down)
        return replace(made, up=up, down=down)

    def costs(self, given: Costs, rows: Sequence[int]) -> Costs:
        """Return the costs with the least commission of the market, where none is given."""
        found = [board for board in map(self.board, rows) if board is not None]
        if given.minimum or not given.rate or not found:
            return given
        days = self.panel.times[-1:].astype("datetime64[D]")
        return replace(given, minimum=max(float(schedule.latest(b, "commission", days, (0, 0))[1]) for b in set(found)))

    def charges_paid(self, rows: Sequence[int], ledger: NDArray[np.void], costs: Costs) -> dict[str, float]:
        """Return what the fills of ``rows`` paid, in money: ``commission``, then each charge of their markets."""
        market, fills = self.market(rows), trades_of(ledger)
        found = {"commission": float(fills["fee"].sum())}
        if market is None or not len(fills):
            return found
        days = self.panel.times.astype("datetime64[D]")
        value, is_sell = fills["quantity"] * fills["price"], fills["side"] < 0
        for what, column, board in self._charged(rows):
            mine = np.isin(fills["symbol"], [place for place, row in enumerate(rows) if self.board(row) == board])
            rate = schedule.rates(board, what, days)[fills["bar"]]
            if column == schedule.SHARE_SOLD:
                most = market.charges[market.board[fills["symbol"]], fills["bar"], schedule.MOST_SOLD]
                paid = np.minimum(fills["quantity"] * rate, most)
            else:
                paid = value * rate
            owed = float(np.where(mine & (is_sell | (column == schedule.BOTH)), paid, 0.0).sum() * costs.levies)
            name = schedule.SAME_CHARGE.get(what, what)
            found[name] = found.get(name, 0.0) + owed
            found["commission"] -= owed
        return found

    def _charged(self, rows: Sequence[int]) -> list[tuple[str, int, Board]]:
        boards = dict.fromkeys(board for board in map(self.board, rows) if board is not None)
        return [(what, column, board) for board in boards for what, column in schedule.CHARGES[board[0]]]

    def document(self, rows: Sequence[int], first: int) -> dict[str, Any]:
        """Return what a report says of it: boards, what was obeyed and what could not be, what nobody knows."""
        boards = {self.panel.symbols[row]: self.board(row) for row in rows}
        days = self.panel.times[first:].astype("datetime64[D]")
        found = list(dict.fromkeys(board for board in boards.values() if board is not None))
        chinese = any(market == "CN" for market, _ in found)
        gaps = {what: list(span) for board in found for what, span in schedule.uncharged(board, days).items()}
        own = set(boards)
        shown: dict[str, str] = {s: "" if b is None else b[1] for s, b in boards.items()} if len(boards) <= TOLD else {}
        return {
            "obeyed": self.obey,
            "as_traded": self.as_traded,
            "markets": list(dict.fromkeys(market for market, _ in found)),
            "boards": shown,
            "counts": dict(Counter("" if board is None else board[1] for board in boards.values())),
            "limits": bool(chinese and self.as_traded and self.obey),
            "lots": bool(found and self.as_traded),
            "st_known": "st" in self.panel.fields if chinese else None,
            "funding_told": self.obey and funding_told(self._part(rows)) is not None,
            "not_charged": gaps,
            "events": sum(bool(days[0] <= event.day <= days[-1]) for event in self.events if event.symbol in own),
        }


@dataclass(frozen=True)
class Ruled:
    """What agents train under: prices of orders ``open`` and ``close`` (S, T), NaN where suspended, the rules of
    their market, costs and the money an account begins with."""

    open: Floats
    close: Floats
    market: Market
    costs: Costs
    capital: float
    #: What is above an order maximum is refused; else it is split.
    refuse: bool = False
    #: Volumes and volatility, where costs depend on the size of an order.
    depth: Depth | None = None

    def bars(self, start: int, stop: int) -> Ruled:
        """Return bars ``start`` to ``stop`` (excluded)."""
        part, index = slice(start, stop), np.arange(start, stop)
        return replace(
            self, open=self.open[:, part], close=self.close[:, part], market=self.market.at(index),
            depth=None if self.depth is None else self.depth.at(index),
        )  # fmt: skip


@dataclass(frozen=True)
class Venue:
    """Where an agent's orders are filled while it learns: the same as in its backtest, with as much ``capital``."""

    traded: Traded
    capital: float

    def ruled(self, rows: Sequence[int], config: StrategyConfig, panel: BarPanel) -> Ruled | None:
        """Return the rules of ``rows`` and what ``config`` says that trading costs; None where none is to be obeyed.

        ``panel`` are the prices that compare over time, whose volatility the slippage of an order follows. Refuses
        a slippage by volume where the data tells none.
        """
        if not self.traded.obey:
            return None
        costs = costs_of(config)
        market = replace(self.traded, owes=bool(costs.borrow or costs.funding)).market(rows)
        if market is None:
            return None
        opens, closes = self.traded.weighed(rows)
        refuse = config.order_maximum == "refuse"
        return Ruled(
            opens, closes, market, self.traded.costs(costs, rows), self.capital, refuse,
            self._depth(list(rows), costs, panel),
        )  # fmt: skip

    def _depth(self, rows: list[int], costs: Costs, panel: BarPanel) -> Depth | None:
        """Return the depth of ``rows`` where ``costs`` ask for it, as a backtest has it."""
        if not asks(costs, Options()):
            return None
        fields = self.traded.panel.fields
        depth = None
        if "volume" in fields:
            volume = np.asarray(fields["volume"][rows], np.float64)
            depth = Depth(volume, volatility(np.asarray(panel.close[rows], np.float64)))
        room_of(depth, costs, Options(), (len(rows), len(panel.times)))
        return depth


def costs_of(config: StrategyConfig) -> Costs:
    """Return what the configuration says that trading and holding cost."""
    models: dict[str, dict[str, Any]] = {
        "fixed": {"slippage": config.slippage_bp * 1e-4}, "spread": {"spread": config.spread},
        "volume_share": {"volume_impact": config.volume_impact}, "square_root": {"root_impact": config.root_impact},
    }  # fmt: skip
    return Costs(
        rate=config.commission_bp * 1e-4, borrow=config.borrow_pct / 100.0, funding=config.funding_bp * 1e-4,
        **models.get(config.slippage, {}),
    )  # fmt: skip


def funding_stamps(times: NDArray[np.datetime64], frequency: str) -> NDArray[np.int64]:
    """Return the funding times (every 8 hours of UTC) up to the start of each bar, (T,).

    ``times`` are the midnights of daily bars and the ends of shorter ones.
    """
    starts = times.astype("datetime64[s]").astype(np.int64)
    if frequency != "1d" and len(starts) > 1:
        starts = starts - np.diff(starts).min()
    return starts // (FUNDING_HOURS * 3600)


def funding_told(part: BarPanel) -> Floats | None:
    """Return the funding rates (S, T) that the data tells, added up to the start of each bar; None where it tells none.

    NaN for an instrument without any. A bar up to as long as the time between two fundings carries the rate of the
    moment at which it begins; a longer one the sum of what falls into it, owed when the next one begins.
    """
    if "funding" not in part.fields:
        return None
    rates = np.asarray(part.fields["funding"], np.float64)
    known = np.isfinite(rates)
    if not known.any():
        return None
    added = np.cumsum(np.where(known, rates, 0.0), axis=1)
    length = np.diff(part.times).min() if len(part.times) > 1 else np.timedelta64(1, "D")
    if part.frequency == "1d" or length > np.timedelta64(FUNDING_HOURS, "h"):
        added = np.concatenate([np.zeros((len(added), 1)), added[:, :-1]], axis=1)
    return np.where(np.any(known, axis=1, keepdims=True), added, np.nan)


def _age(part: BarPanel) -> NDArray[np.int64]:
    """Return the session since listing (1 is the first), 0 for what was listed before the data begins.

    Who has no price at the start of the data is taken as listed with its first one.
    """
    known = np.isfinite(np.asarray(part.close))
    sessions = np.cumsum(known, axis=1)
    fresh = known & ~known[:, :1]
    return np.where(fresh, sessions, 0).astype(np.int64)


def _events(part: BarPanel, actions: Sequence[CorporateAction]) -> list[Event]:
    """Return the actions as an account feels them.

    A dividend is paid for the shares held before a split of the same day. Of a vendor's factor nobody tells the
    parts: it changes the number of shares, so that nothing is lost (as if a dividend were invested at once).
    """
    rows = {symbol: row for row, symbol in enumerate(part.symbols)}
    days = part.times.astype("datetime64[D]")
    found = []
    for action in actions:
        bar = int(np.searchsorted(days, action.day))
        if bar >= len(days):
            continue
        if action.kind == "dividend":
            found.append(Event(bar, rows[action.symbol], payout=action.cash))
        elif action.kind == "split":
            found.append(Event(bar, rows[action.symbol], ratio=action.ratio))
        elif action.factor > 0:
            found.append(Event(bar, rows[action.symbol], ratio=1.0 / action.factor))
    return found
