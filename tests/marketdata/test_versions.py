"""Mended, adjusted, compared, exported: every change is a new version with its lineage."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
import pytest
from django.core.management import call_command

from apps.accounts.models import AuditEntry
from apps.marketdata import services
from apps.marketdata.engine.diff import diff
from apps.marketdata.engine.findings import Finding
from apps.marketdata.engine.fixes import Fix, apply_fixes, fix_for
from apps.marketdata.exports import export_bytes, export_table
from apps.marketdata.models import Dataset
from apps.marketdata.selectors import dataset_comparable, dataset_events, dataset_panel
from apps.ui.engine.refusal import Refusal
from tests.marketdata.conftest import bars

pytestmark = pytest.mark.django_db


def fixed(panel, kind, at, **params):
    return apply_fixes(panel, [Fix(kind, "AAA", panel.times[at], **params)])[0]


def test_drop_clip_fill_suspend_and_adjust_do_what_they_say():
    panel = bars([10, 11, 12], high=[10, 9, 12], low=[10, 11, 12])
    assert np.isnan(fixed(panel, "drop", 1).close[0]).tolist() == [False, True, False]
    assert fixed(panel, "clip", 1).high.tolist() == [[10, 11, 12]]
    flat = fixed(panel, "suspend", 1)
    assert (flat.close[0, 1], flat.volume[0, 1], flat.suspended[0, 1]) == (10, 0, 1)
    half = fixed(panel, "adjust", 2, factor=0.5)
    assert (half.close.tolist(), half.volume[0, 0]) == ([[5, 5.5, 12]], 2000)
    holes = bars([10, 11, 12], open=[10, np.nan, 12])
    assert fixed(holes, "fill", 1).open[0, 1] == 11
    assert panel.close.tolist() == [[10, 11, 12]]


def test_a_missing_session_gets_a_bar():
    panel = bars([10, 11])
    day = panel.times[-1] + np.timedelta64(1, "D")
    made, _ = apply_fixes(panel, [Fix("suspend", "AAA", day)])
    assert (made.close.tolist(), made.volume[0, 2]) == ([[10, 11, 11]], 0)


@pytest.mark.parametrize(("way", "volume"), [("×", 100_000.0), ("÷", 10.0)])
def test_another_unit_of_the_volume_is_brought_to_the_one_after(way, volume):
    panel = bars([10, 11, 12], amount=[1.0, 1.0, 1.0])
    found = Finding("volume_unit_change", "warning", "AAA", panel.times[1], params={"times": "100", "way": way})
    fix = fix_for(found, panel)
    made, _ = apply_fixes(panel, [fix])
    assert (made.volume[0, 0], made.volume[0, 1], made.amount[0, 0]) == (volume, panel.volume[0, 1], 1.0)
    assert (made.close.tolist(), fix.as_dict()["fix"]) == (panel.close.tolist(), "rescale")


@pytest.mark.parametrize("check", ["flat_bars", "constant_volume", "survivorship"])
def test_what_nothing_mends_is_refused(check):
    with pytest.raises(Refusal) as caught:
        fix_for(Finding(check, "warning", "AAA", np.datetime64("2024-01-02")), bars([1]))
    assert caught.value.code == "cannot_fix"


def test_every_blocking_finding_is_mended_in_one_new_version(builtin, root):
    raw = builtin[0]
    assert raw.verdict == "blocked"
    made = services.dataset_fix(raw, actor=root)
    assert (made.name, made.version, made.parent, made.verdict) == ("us-daily-raw", 2, raw, "look")
    assert {fix["check"] for fix in made.lineage["fixes"]} == {"split_like_jump", "dividend_not_applied"}
    panel = dataset_panel(made)
    row, at = panel.index_of("AAPL"), int(np.searchsorted(panel.times, np.datetime64("2005-02-25")))
    assert panel.close[row, at] == pytest.approx(88.99 / 2)
    assert not [e for e in dataset_events(made, "AAPL") if str(e.day) == "2005-02-28"]
    assert AuditEntry.objects.filter(action="dataset.fix").exists()
    with pytest.raises(Refusal) as caught:
        services.dataset_fix(made, actor=root)
    assert caught.value.code == "nothing_to_fix"


def test_a_bar_taken_out_leaves_no_empty_row_behind(var_dir, tmp_path, root):
    """The source's line of a dropped bar is forgotten; of two symbols, for one of which the day stays."""
    rows = [f"{symbol},2024-01-{day:02},10,11,9,10,{1000 + day}" for symbol in ("AAA", "BBB") for day in range(2, 31)
            if np.is_busday(f"2024-01-{day:02}")]  # fmt: skip
    rows[3] = rows[3].replace(",10,11,9,10,", ",,,,10,")
    path = tmp_path / "two.csv"
    path.write_text("symbol,date,open,high,low,close,volume\n" + "\n".join(rows), encoding="utf-8")
    call_command("import_bars", str(path), dataset="two", verbosity=0)
    first = Dataset.objects.get(name="two", version=1)
    assert first.verdict == "blocked"
    made = services.dataset_fix(first, actor=root)
    assert {fix["fix"] for fix in made.lineage["fixes"]} == {"drop"}
    assert made.rows == first.rows - 1
    assert made.verdict != "blocked"


def test_one_finding_is_mended_and_somebody_else_gets_a_copy_of_their_own(builtin, alice):
    finding = builtin[0].checks.first().findings.filter(check_name="split_like_jump", symbol="AAPL").last()
    made = services.dataset_fix(builtin[0], actor=alice, choices={finding.pk: ""})
    assert (made.name, made.owner, made.parent) == ("us-daily-raw-alice", alice, builtin[0])
    assert made.checks.first().errors == builtin[0].checks.first().errors - 1


def test_an_adjusted_dataset_is_a_child_of_the_raw_one(builtin, root):
    made = services.dataset_adjust(builtin[0], mode="backward", actor=root)
    assert (made.name, made.adjustment, made.parent, made.event_count) == (
        "us-daily-raw-backward", "adjusted", builtin[0], 0,
    )  # fmt: skip
    forward = services.dataset_adjust(builtin[0], mode="forward", actor=root)
    ours, theirs = dataset_panel(forward), dataset_panel(builtin[1])
    # The vendor adjusted for later splits as well: the same shape, another constant.
    ratio = ours.close[0] / theirs.close[0]
    np.testing.assert_allclose(ratio, ratio[-1], rtol=0.01)
    with pytest.raises(Refusal):
        services.dataset_adjust(forward, mode="forward", actor=root)


def test_the_difference_of_two_versions_names_every_change(builtin, root):
    assert services.dataset_diff(builtin[0], builtin[0]).equal
    made = services.dataset_fix(builtin[0], actor=root)
    found = services.dataset_diff(builtin[0], made)
    assert set(found.fields) == {"open", "high", "low", "close", "volume"}
    assert found.events_removed
    assert found.changes[0].symbol == "AAPL"


def test_symbols_and_bars_that_came_or_went_are_counted():
    found = diff(bars([1, 2, 3]), bars([1, 2], symbol="BBB"))
    assert (found.symbols_added, found.symbols_removed, found.bars_added, found.bars_removed) == (
        ("BBB",), ("AAA",), 2, 3,
    )  # fmt: skip
    found = diff(bars([1, 2, 3]), bars([1, np.nan, 4]))
    assert (found.fields, len(found.changes)) == ({"open": 2, "high": 2, "low": 2, "close": 2}, 8)


@pytest.mark.parametrize("kind", ["csv", "parquet", "arrow"])
def test_an_export_reads_back_as_it_was(builtin, kind):
    data = io.BytesIO(export_bytes(export_table(builtin[0], symbol="IBM"), kind))
    reader = {"csv": pd.read_csv, "parquet": pd.read_parquet, "arrow": pd.read_feather}[kind]
    frame = reader(data)
    panel = dataset_panel(builtin[0])
    np.testing.assert_array_equal(frame["close"], panel.close[panel.index_of("IBM")])
    assert str(frame["time"].iloc[0])[:10] == "2000-03-01"


def test_commands_mend_adjust_compare_and_export(builtin, capsys, tmp_path):
    call_command("fix_data", "us-daily-raw", "--json")
    assert json.loads(capsys.readouterr().out)["version"] == 2
    call_command("diff_data", "us-daily-raw@1", "us-daily-raw@2", "--json")
    assert json.loads(capsys.readouterr().out)["fields"]["close"] > 0
    call_command("adjust_data", "us-daily-raw@1", "--mode", "forward", "--json")
    assert json.loads(capsys.readouterr().out)["name"] == "us-daily-raw-forward"
    call_command("export_data", "us-daily-raw", str(tmp_path / "a.parquet"), "--format", "parquet", "--json")
    assert json.loads(capsys.readouterr().out)["rows"] == builtin[0].rows


def test_the_page_offers_fixes_events_and_downloads(client, builtin, root):
    client.force_login(root)
    raw = builtin[0]
    address = f"/data/{raw.pk}/"
    text = client.get(address, {"symbol": "AAPL", "span": "all"}).content.decode()
    assert "Apply 4 fixes as @2" in text
    assert "Divide by 2 before" in text
    assert "Corporate actions" in text
    assert client.get(address, {"symbol": "AAPL", "prices": "backward"}).status_code == 200
    made = client.post(f"{address}fix/", follow=True)
    assert made.context["dataset"].version == 2
    assert "us-daily-raw@2 was made from us-daily-raw@1." in made.content.decode()
    for kind in ("csv", "parquet", "arrow"):
        assert client.get(f"{address}bars.csv", {"format": kind, "prices": "forward"}).status_code == 200
    assert client.get(f"{address}bars.csv", {"format": "exe"}).status_code == 422
    assert client.post(f"{address}adjust/", {"mode": "sideways"}).status_code == 422


def test_the_difference_page_compares_with_the_version_before(client, builtin, root, django_assert_num_queries):
    made = services.dataset_fix(builtin[0], actor=root)
    client.force_login(root)
    text = client.get(f"/data/{made.pk}/diff/").content.decode()
    assert "against us-daily-raw@1" in text
    assert "AAPL" in text
    assert client.get(f"/data/{builtin[1].pk}/diff/").status_code == 200
    assert client.get(f"/data/{made.pk}/diff/", {"with": "99999"}).status_code == 404


def test_strangers_see_and_make_nothing(client, builtin, alice, bob):
    mine = services.dataset_fix(builtin[0], actor=alice)
    client.force_login(bob)
    for address in (f"/data/{mine.pk}/diff/", f"/data/{mine.pk}/bars.csv"):
        assert client.get(address).status_code == 404
    for address in (f"/data/{mine.pk}/fix/", f"/data/{mine.pk}/adjust/"):
        assert client.post(address).status_code == 404


def test_what_a_run_reads_has_no_false_jump_and_is_never_adjusted_twice(builtin, root):
    raw = builtin[0]
    made = services.dataset_adjust(raw, mode="forward", actor=root)
    ours, theirs = dataset_comparable(raw), dataset_panel(made)
    assert len(dataset_events(raw)) > 0
    np.testing.assert_array_equal(ours.close, theirs.close)
    np.testing.assert_array_equal(dataset_comparable(made).close, theirs.close)
    assert np.nanmin(ours.close[:, 1:] / ours.close[:, :-1]) > 0.4
