"""The figures of what a run held and traded, and what that cost."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from apps.trading.engine.metrics import Metric
from apps.trading.engine.report.setting import Floats, Run, Setting

#: The part of a bar's volume up to which an order is taken not to move the price.
CAPACITY = 0.10


def invested(run: Run) -> Floats:
    """Return the share of equity that is not cash, (T,)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(1.0 - run.cash / run.equity, np.float64)


def activity(setting: Setting, run: Run) -> dict[str, Metric]:
    """Return the figures of what was held and traded, by glossary name."""
    traded = float((run.fills["quantity"] * run.fills["price"]).sum())
    years, mean = len(run.equity) / setting.bars_per_year, float(run.equity.mean())
    held = (run.position != 0.0).any(axis=0)
    largest, tax = _largest_share(setting, run), _tax(setting, run)
    days = np.unique(setting.times.astype("datetime64[D]"))
    return {
        "exposure": float(np.mean(held)),
        "turnover": traded / mean / years if mean > 0 else None,
        "fees": run.fees,
        **_carried(setting, run),
        "max_leverage": _leverage(run),
        "largest_fill_share": largest,
        "cost_drag": (run.fees + run.borrow + run.funding) / mean / years if mean > 0 else None,
        "idle_cash": _idle(run),
        "average_holdings": float((run.position != 0.0).sum(axis=0).mean()),
        "tax_drag": None if tax is None or mean <= 0 else tax / mean / years,
        "lot_residual": lot_residual(setting, run),
        "capacity": CAPACITY * setting.capital / largest if largest else None,
        "market_change": setting.market_change,
        "fills_per_day": len(run.fills) / len(days),
        "runtime_days": float((days[-1] - days[0]).astype(np.int64)) + 1.0,
    }


def _carried(setting: Setting, run: Run) -> dict[str, Metric]:
    """Return what holding cost, where it costs anything."""
    owed = {"borrow": setting.costs.borrow, "funding": setting.costs.funding}
    paid = {"borrow": run.borrow, "funding": run.funding}
    return {name: paid[name] for name, rate in owed.items() if rate or paid[name]}


def _idle(run: Run) -> Metric:
    """Return the mean share of equity that is cash, over the bars on which anything is held."""
    held = (run.position != 0.0).any(axis=0)
    known = 1.0 - invested(run)[held]
    known = known[np.isfinite(known)]
    return float(known.mean()) if len(known) else None


def _leverage(run: Run) -> Metric:
    known = invested(run)
    known = known[np.isfinite(known)]
    return float(np.abs(known).max()) if len(known) else None


def _largest_share(setting: Setting, run: Run) -> Metric:
    """Return the largest quantity of a fill by the volume of its bar; None where no volume is known."""
    fills = run.fills
    if setting.volume is None or not len(fills):
        return None
    seen = np.asarray(setting.volume)[fills["symbol"], fills["bar"]]
    known = np.isfinite(seen) & (seen > 0)
    return float((fills["quantity"][known] / seen[known]).max()) if known.any() else None


def _tax(setting: Setting, run: Run) -> Metric:
    """Return the tax on sales in money: the stamp duty of the market and the rate of the costs; None: there is none."""
    charges: Mapping[str, float] = (setting.market or {}).get("charges", {})
    if "stamp_duty" not in charges and not setting.costs.sell_tax:
        return None
    sold = run.fills[run.fills["side"] < 0]
    return charges.get("stamp_duty", 0.0) + float((sold["quantity"] * sold["price"]).sum()) * setting.costs.sell_tax


def lot_residual(setting: Setting, run: Run) -> Metric:
    """Return the mean part of the equity that whole lots leave in cash, over the decisions that want anything.

    Each wanted part of the equity at a close, less the shares it buys at that close in whole lots; None where nobody
    tells what was wanted.
    """
    if setting.aims is None or setting.closes is None:
        return None
    aims, close = np.abs(setting.aims[:, run.first :]), setting.closes[:, run.first :]
    lots = np.full((len(aims), 2), float(setting.costs.lot)) if setting.lots is None else setting.lots
    least, step = lots[:, :1], lots[:, 1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted = aims * np.maximum(run.equity, 0.0) / close
        whole = np.where(wanted >= least, least + np.floor((wanted - least) / step) * step, 0.0)
        left = np.where(np.isfinite(wanted), (wanted - whole) * close, 0.0).sum(axis=0)
    decided = (np.isfinite(wanted) & (wanted > 0)).any(axis=0) & (run.equity > 0)
    return float(np.mean(left[decided] / run.equity[decided])) if decided.any() else None


def active(run: Run) -> NDArray[np.bool_]:
    """Return whether anything was held at the close or done since the close before, (T,)."""
    found = np.asarray((run.position != 0.0).any(axis=0))
    found[run.ledger["bar"] - run.first] = True
    return found
