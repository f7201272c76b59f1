"""Reference cases of kind ``backtest``: their vocabulary in the engine's own options."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.trading.engine.backtest import (
    FLAT,
    HOLD,
    LONG,
    SHORT,
    Bars,
    Depth,
    Options,
    Result,
    rule_targets,
    run_rule,
    run_targets,
    run_weights,
)  # fmt: skip
from apps.trading.engine.costs import Costs
from apps.trading.engine.metrics import max_drawdown, returns_of
from apps.trading.engine.trades import match_trades
from quant_platform.reference.bars import Prices, load_prices
from quant_platform.reference.files import Files, Skip

Floats = NDArray[np.float64]
RULES = {
    "sma_cross": "sma_cross",
    "rsi_reversal": "rsi_reversal",
    "buy_hold": "buy_and_hold",
    "buy_and_hold": "buy_and_hold",
}
SAME_MEANING = {"signal": ("close",), "fill": ("next_open",)}


def _backtrader_sma_cross(case: Mapping[str, Any], files: Files) -> Mapping[str, Any]:
    """Close across its average of 15, one share without costs; Sharpe-like figures of its futures variant.

    The variant trades one contract of ten times the price on margin, 2 a side: ten shares at 0.2
    each with cash enough not to matter, its return counted on the 10,000 of the account.
    """
    stock = {
        **case, "cash": 10_000.0, "strategy": {"type": "sma_cross", "fast": 1, "slow": 15, "on": "cross"},
        "sizing": {"type": "fixed_shares", "shares": 1},
    }  # fmt: skip
    futures = run_options(
        {**stock, "cash": 1e6, "sizing": {"type": "fixed_shares", "shares": 10}, "costs": {"per_share": 0.2}}, files
    )
    earned = futures["final_value"] - 1e6
    return {**run_options(stock, files), "sqn": futures["sqn"], "annual_return_2006": earned / 10_000.0}


#: Cases whose rules are words only, said in the vocabulary of the others.
IN_WORDS: dict[str, Callable[[Mapping[str, Any], Files], Mapping[str, Any]]] = {
    "backtrader-sma-cross-stock": _backtrader_sma_cross
}


def run(case: Mapping[str, Any], files: Files) -> Mapping[str, Any]:
    """Return the figures of the run under every name a case may ask for."""
    if "strategy" in case:
        return run_options(case, files)
    if case.get("id") not in IN_WORDS:
        raise Skip("the rules are words we do not know")
    return IN_WORDS[case["id"]](case, files)


def run_options(case: Mapping[str, Any], files: Files) -> Mapping[str, Any]:
    """Run a case that is said in options."""
    for name, covered in SAME_MEANING.items():
        if case.get(name, covered[0]) not in covered:
            raise Skip(f"{name} {case[name]} is not covered")
    prices = load_prices(case, files).until(case.get("end"))
    first = prices.first(case.get("start"))
    if first >= len(prices.dates):
        raise Skip("there are no bars between start and end")
    costs, options = _costs(case.get("costs") or {}, case), _options(case)
    many = case["strategy"]["type"] in ("top_k", "hold", "equal_weight", "weights")
    result = (_run_many if many else _run_one)(case, prices, first, costs, options)
    return {**figures(result, prices, float(case["cash"])), "sharpe_lean": _lean_sharpe(case, result, prices, first)}


#: The Federal Reserve's primary credit rate from each day on, which LEAN takes as free of risk.
PRIMARY_CREDIT = (
    ("2010-02-19", 0.0075), ("2015-12-17", 0.01), ("2016-12-15", 0.0125), ("2017-03-16", 0.015),
    ("2017-06-15", 0.0175), ("2017-12-14", 0.02), ("2018-03-22", 0.0225), ("2018-06-14", 0.025),
    ("2018-09-27", 0.0275), ("2018-12-20", 0.03), ("2019-08-01", 0.0275), ("2019-09-19", 0.025),
    ("2019-10-31", 0.0225), ("2020-03-04", 0.0175), ("2020-03-16", 0.0025),
)  # fmt: skip


def _lean_sharpe(case: Mapping[str, Any], result: Result, prices: Prices, first: int) -> float | None:
    """Return LEAN's Sharpe ratio: the mean compounded over 252 days; two samples lie before the first day's end."""
    day = prices.dates[first]
    free = float(case.get("risk_free", next((r for since, r in reversed(PRIMARY_CREDIT) if since <= day), 0.0)))
    returns = returns_of(np.concatenate([[result.capital] * 2, result.equity]))
    deviation = float(returns.std(ddof=1)) if len(returns) > 1 else 0.0
    if not deviation:
        return None
    with np.errstate(over="ignore"):
        yearly = float(np.float64(1.0 + returns.mean()) ** 252) - 1.0
    return (yearly - free) / (deviation * math.sqrt(252))


def _costs(costs: Mapping[str, Any], case: Mapping[str, Any]) -> Costs:
    names = {
        "commission": "rate",
        "tax": "sell_tax",
        "stamp_duty": "sell_tax",
        "min": "minimum",
        "minimum_fee": "minimum",
        "min_fee": "minimum",
        "minimum_commission": "minimum",
        "commission_rate": "rate",
    }
    given = {names.get(key, key): value for key, value in costs.items()}
    lot = given.pop("lot", case.get("lot", (case.get("sizing") or {}).get("lot", 1)))
    if isinstance(given.get("slippage"), Mapping):
        given |= _slippage(dict(given.pop("slippage")))
    unknown = set(given) - {
        "rate", "per_share", "minimum", "sell_tax", "slippage", "spread", "volume_impact", "root_impact"
    }  # fmt: skip
    if unknown:
        raise Skip(f"costs by {', '.join(sorted(unknown))} are not covered")
    return Costs(lot=int(lot), **{key: float(value) for key, value in given.items()})


#: Models of slippage and the number that each takes, under the names that cases may give it.
SLIPPAGE = {
    "fixed": ("slippage", ("rate", "slippage", "fraction")), "spread": ("spread", ("spread",)),
    "volume_share": ("volume_impact", ("impact", "volume_impact", "price_impact")),
    "square_root": ("root_impact", ("factor", "root_impact")),
}  # fmt: skip


def _slippage(said: dict[str, Any]) -> dict[str, float]:
    """Return the number of a model of slippage by its name in ``Costs``."""
    kind = str(said.pop("type", said.pop("model", "fixed")))
    if kind not in SLIPPAGE:
        raise Skip(f"slippage by {kind} is not covered")
    name, keys = SLIPPAGE[kind]
    found = [float(said.pop(key)) for key in keys if key in said]
    if len(found) != 1 or said:
        raise Skip(f"slippage by {kind} with {', '.join(said) or 'no number'} is not covered")
    return {name: found[0]}


def _depth(prices: Prices) -> Depth | None:
    return Depth.of(prices.fields["volume"], prices.field("close")) if "volume" in prices.fields else None


def _options(case: Mapping[str, Any]) -> Options:
    sizing = dict(case.get("sizing") or {"type": "equity_fraction", "fraction": 1.0})
    if sizing.get("priced_at", "signal_close") != "signal_close" or not sizing.get("whole_shares", True):
        raise Skip("only whole shares priced at the close of the signal are covered")
    chosen: dict[str, Any] = {"capital": float(case["cash"]), "participation": float(case.get("participation", 0.0))}
    kind = sizing["type"]
    if kind == "fixed_shares":
        chosen |= {"sizing": kind, "shares": float(sizing["shares"])}
    elif kind == "equity_fraction":
        chosen |= {"fraction": float(sizing.get("fraction", 1.0))}
    elif kind != "target_weights":
        raise Skip(f"sizing by {kind} is not covered")
    if "buffer" in sizing or case.get("cash_short") == "reduce":
        chosen["cash_short"] = "reduce"
    protection = case.get("protection") or {}
    if not protection.get("stop_first", True) or protection.get("gap_fills_at", "open") != "open":
        raise Skip("only stop first, with gaps filled at the open, is covered")
    if protection.get("of", "entry price") not in ("entry price", "entry_price", "entry"):
        raise Skip(f"protection by {protection['of']} is not covered")
    if protection.get("armed", "at_once") not in ("at_once", "next_bar"):
        raise Skip(f"protection armed {protection['armed']} is not covered")
    if protection:
        chosen |= {"stop_loss": protection.get("stop_loss"), "take_profit": protection.get("take_profit")}
        chosen["armed"] = protection.get("armed", "at_once")
    chosen["allow_short"] = not case["strategy"].get("long_only", True)
    return Options(**chosen)


def _run_one(case: Mapping[str, Any], prices: Prices, first: int, costs: Costs, options: Options) -> Result:
    strategy = dict(case["strategy"])
    if strategy["type"] not in RULES:
        raise Skip(f"the strategy {strategy['type']} is not covered")
    if len(prices.symbols) > 1:
        raise Skip("a rule on several instruments is not covered")
    bars = Bars.of(
        *(prices.fields[name][0] if name in prices.fields else None for name in ("open", "close", "high", "low"))
    )
    rule = RULES[strategy["type"]]
    params = {key: float(v) for key, v in strategy.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}
    if not options.allow_short and strategy.get("on") != "cross":
        return run_rule(rule, params, bars, costs, options, first=first, depth=_depth(prices))
    targets = rule_targets(rule, params, bars)
    if strategy.get("on") == "cross":
        targets = crossings(targets)
    if options.allow_short:
        targets = np.where(targets == FLAT, SHORT, targets).astype(np.int8)
    return run_targets(targets, bars, costs, options, first=first, depth=_depth(prices))


def crossings(targets: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return only the changes of side: the first side found is where it stands, not a crossing."""
    out = np.full(len(targets), HOLD, np.int8)
    before = HOLD
    for t, want in enumerate(targets.tolist()):
        if want not in (HOLD, before):
            out[t] = HOLD if before == HOLD else want
            before = want
    return out


def _run_many(case: Mapping[str, Any], prices: Prices, first: int, costs: Costs, options: Options) -> Result:
    sizing = case.get("sizing") or {}
    invest = float(sizing["invest"]) if "invest" in sizing else 1.0 - float(sizing.get("buffer", 0.0))
    weights = _weights(case, prices, first)
    every = int(case["strategy"].get("rebalance", case.get("rebalance", 1)))
    if every > 1:
        weights[:, [t for t in range(first, weights.shape[1]) if (t - first) % every]] = math.nan
    return run_weights(
        weights, prices.field("open"), prices.field("close"), costs, options, invest=invest, first=first,
        depth=_depth(prices),
    )  # fmt: skip


def _weights(case: Mapping[str, Any], prices: Prices, first: int) -> Floats:
    strategy, close = case["strategy"], prices.field("close")
    if strategy["type"] == "top_k":
        return top_k(prices.field((case.get("bars") or {}).get("score", "score")), int(strategy["k"]))
    if strategy["type"] == "equal_weight":
        return np.full(close.shape, 1.0 / len(prices.symbols))
    strange = set(strategy["weights"]) - set(prices.symbols)
    if strange:
        raise Skip(f"the bars have no {', '.join(sorted(strange))}")
    # Bought once and held: the shares stay, whatever the prices do.
    weights = np.full(close.shape, math.nan)
    weights[:, first] = [float(strategy["weights"].get(symbol, 0.0)) for symbol in prices.symbols]
    return weights


def top_k(score: Floats, k: int) -> Floats:
    """Return weights 1/k of the ``k`` highest scores (S, T) of each column; ties go to the earlier row."""
    known = np.where(np.isnan(score), -math.inf, score)
    order = np.argsort(-known, axis=0, kind="stable")[:k]
    weights = np.zeros_like(known)
    np.put_along_axis(weights, order, 1.0 / k, axis=0)
    weights[np.isnan(score)] = 0.0
    return weights


def figures(result: Result, prices: Prices, capital: float) -> dict[str, Any]:
    """Return every figure of a run that a case may name."""
    closed, _ = match_trades(result.ledger)
    final = float(result.equity[-1])
    pnl = np.array([t.pnl for t in closed])
    ledger, dates = result.ledger, prices.dates
    worst = max_drawdown(returns_of(result.equity, capital)) or 0.0
    return {
        "final_equity": final, "end_equity": final, "final_value": final, "final_cash": float(result.cash[-1]),
        "fills": len(ledger), "orders": len(ledger), "fees": result.fees,
        "round_trips": len(closed), "trades": len(closed), "sqn_trades": len(closed),
        "refused": sum(result.refused.values()),
        "net_profit_pct": (final / capital - 1.0) * 100.0, "total_return": final / capital - 1.0,
        "max_drawdown": worst, "drawdown_pct": -100.0 * worst,
        "sqn": math.sqrt(len(pnl)) * float(pnl.mean() / pnl.std()) if len(pnl) > 1 and pnl.std() > 0 else None,
        "ledger": {
            "date": [dates[b] for b in ledger["bar"]],
            "symbol": [prices.symbols[s] for s in ledger["symbol"]],
            "side": ["BUY" if side == LONG else "SELL" for side in ledger["side"]],
            "qty": ledger["quantity"], "quantity": ledger["quantity"], "price": ledger["price"], "fee": ledger["fee"],
        },
        "equity": {"date": dates[result.first :], "equity": result.equity},
    }  # fmt: skip
