"""Every remedy that is offered does away with its finding; what has none is known and said why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.findings import Finding
from apps.marketdata.engine.fixes import REMEDIES, apply_fixes, fixes_for
from apps.marketdata.engine.quality import CHECKS, check_panel
from apps.ui.engine.refusal import Refusal
from tests.marketdata.conftest import bars

COUNT, AT = 60, 40
#: No remedy, and docs/data.md says why.
WITHOUT = {
    "refused_file", "truncated_file", "duplicate_bar", "unsorted_time", "constant_volume", "flat_bars",
    "mixed_time_zones", "survivorship", "large_move",
}  # fmt: skip


def walk_of(count=COUNT, *, symbol="AAA", **fields) -> BarPanel:
    """Prices that move a little each day, with a range and a volume that moves."""
    close = np.round(100 + np.cumsum(np.where(np.arange(count) % 3, 0.4, -0.7)), 2)
    panel = bars(close, symbol=symbol, volume=1000.0 + 37 * (np.arange(count) % 7), **fields)
    return replace(panel, frequency="1d")


def changed(panel: BarPanel, **values) -> BarPanel:
    """Return the panel with one bar's fields set."""
    fields = {name: array.copy() for name, array in panel.fields.items()}
    for name, value in values.items():
        fields[name][0, AT] = value
    return replace(panel, fields=fields)


def scaled(panel: BarPanel, factor: float) -> BarPanel:
    """Return the panel with prices from one bar on multiplied, as a split that was left out does."""
    fields = {name: array.copy() for name, array in panel.fields.items()}
    for name in ("open", "high", "low", "close"):
        fields[name][:, AT:] *= factor
    return replace(panel, fields=fields)


def minutes() -> BarPanel:
    """Thirty days of minutes with a hole of three in one of them."""
    times = np.concatenate([
        np.datetime64("2024-01-01T10:00") + np.timedelta64(day, "D") + np.arange(40).astype("timedelta64[m]")
        for day in range(30)
    ]).astype("datetime64[ns]")  # fmt: skip
    keep = np.ones(len(times), dtype=bool)
    keep[210:213] = False
    close = 100 + np.sin(np.arange(len(times)))[None, keep]
    fields = {"open": close, "high": close + 1, "low": close - 1, "close": close, "volume": np.full(close.shape, 9.0)}
    fields["volume"][0, ::2] = 8.0
    return BarPanel(("AAA",), times[keep], fields, frequency="1min")


def with_amount(panel: BarPanel) -> BarPanel:
    return replace(panel, fields={**panel.fields, "amount": panel.close * panel.volume})


def adjusted_close(panel: BarPanel, factor: float) -> BarPanel:
    """Return the panel with a vendor's adjusted close that knows an event before the bar."""
    told = panel.close.copy()
    told[:, :AT] *= factor
    return replace(panel, fields={**panel.fields, "adj_close": told})


def without_day(panel: BarPanel) -> BarPanel:
    keep = np.arange(len(panel.times)) != AT
    return replace(panel, times=panel.times[keep], fields={k: v[:, keep] for k, v in panel.fields.items()})


def on_sunday(panel: BarPanel) -> BarPanel:
    times = panel.times.copy()
    times[-1] = times[-1].astype("datetime64[W]").astype("datetime64[D]") + np.timedelta64(10, "D")
    return replace(panel, times=times)


def other_unit(panel: BarPanel) -> BarPanel:
    volume = panel.volume.copy()
    volume[:, :30] /= 100
    return replace(panel, fields={**panel.fields, "volume": volume})


def stuck(panel: BarPanel) -> BarPanel:
    fields = {name: array.copy() for name, array in panel.fields.items()}
    for name in ("open", "high", "low", "close"):
        fields[name][0, 20:35] = fields[name][0, 20]
    return replace(panel, fields=fields)


def paid() -> BarPanel:
    """Six percent fall out of the price on a day on which the adjusted close says that money was paid."""
    return adjusted_close(scaled(walk_of(), 0.94), 0.94)


BROKEN = {
    "missing_value": lambda: changed(walk_of(), open=np.nan),
    "ohlc_inconsistent": lambda: changed(walk_of(), high=90.0),
    "non_positive_price": lambda: changed(walk_of(), low=0.0),
    "negative_volume": lambda: changed(walk_of(), volume=-5.0),
    "missing_session": lambda: without_day(walk_of()),
    "extra_session": lambda: on_sunday(walk_of()),
    "missing_bars": minutes,
    "split_like_jump": lambda: scaled(walk_of(), 0.5),
    "dividend_not_applied": paid,
    "impossible_move": lambda: changed(walk_of(symbol="SH600000"), open=115.0, high=116.0, close=115.0),
    "price_move_without_volume": lambda: changed(walk_of(), volume=0.0, close=140.0, high=141.0),
    "stale_price": lambda: stuck(walk_of()),
    "outlier": lambda: changed(walk_of(), open=200.0, high=202.0, low=198.0, close=200.0),
    "outlier_wick": lambda: changed(walk_of(), high=300.0),
    "volume_unit_change": lambda: other_unit(walk_of()),
    "amount_mismatch": lambda: changed(with_amount(walk_of()), amount=1.0),
}


def found_in(panel: BarPanel, check: str) -> list[Finding]:
    calendar = "XNYS" if check in ("missing_session", "extra_session") else ""
    return [finding for finding in check_panel(panel, calendar=calendar).findings if finding.check == check]


def test_every_check_has_a_remedy_or_a_reason_why_none():
    assert set(BROKEN) == set(REMEDIES)
    assert set(CHECKS) - set(REMEDIES) == WITHOUT
    text = Path("docs/data.md").read_text(encoding="utf-8")
    assert [check for check in (*WITHOUT, *REMEDIES) if f"`{check}`" not in text] == []


@pytest.mark.parametrize(("check", "kind"), [(check, kind) for check in BROKEN for kind in REMEDIES[check]])
def test_a_remedy_does_away_with_its_finding(check, kind):
    panel = BROKEN[check]()
    found = found_in(panel, check)
    assert found, "the bars are not broken as the test means"
    mended, _ = apply_fixes(panel, fixes_for(found[0], panel, kind))
    left = {(finding.symbol, finding.time) for finding in found_in(mended, check)}
    assert (found[0].symbol, found[0].time) not in left


def test_a_hole_is_filled_with_every_bar_of_it_and_a_run_marked_from_its_second_bar_on():
    panel = minutes()
    made, _ = apply_fixes(panel, fixes_for(found_in(panel, "missing_bars")[0], panel))
    assert (len(made.times) - len(panel.times), made.volume[0, 210:213].tolist()) == (3, [0, 0, 0])
    assert made.close[0, 210:213].tolist() == [panel.close[0, 209]] * 3
    panel = stuck(walk_of())
    made, _ = apply_fixes(panel, fixes_for(found_in(panel, "stale_price")[0], panel))
    assert np.flatnonzero(made.suspended[0] == 1).tolist() == list(range(21, 35))


def test_a_hole_whose_bars_nobody_can_place_is_refused():
    panel = minutes()
    uneven = replace(found_in(panel, "missing_bars")[0], params={"count": 6, "before": ""})
    with pytest.raises(Refusal) as caught:
        fixes_for(uneven, panel)
    assert caught.value.code == "cannot_fix"


def test_a_payout_is_taken_out_of_the_prices_by_what_the_finding_says_where_no_factor_does():
    panel = walk_of()
    told = {"amount": "6.00", "share": "6%", "before": "100", "after": "94"}
    (fix,) = fixes_for(Finding("dividend_not_applied", "error", "AAA", panel.times[AT], params=told), panel)
    assert fix.factor == pytest.approx(0.94)
