"""Imports and checks: versions, owners, all or nothing, history."""

from __future__ import annotations

import numpy as np
import pytest
from django.db import IntegrityError
from django.http import Http404

from apps.accounts.models import AuditEntry
from apps.marketdata import selectors, services
from apps.marketdata.engine.assemble import Imported
from apps.marketdata.engine.readers import ReadOptions
from apps.marketdata.models import Dataset, DatasetSymbol, QualityCheck, QualityFinding
from apps.marketdata.services import imports
from apps.marketdata.times import as_datetime, as_datetime64
from apps.ui.engine.refusal import Refusal
from tests.marketdata.conftest import HEADER, bars, csv_lines

pytestmark = pytest.mark.django_db


def closes(count=40, shift=0.0):
    return 100 + np.sin(np.arange(count)) + shift


def put(name="mine", *, owner=None, panel=None, **options) -> Dataset:
    imported = Imported(panel or bars(closes()))
    return services.dataset_import(name=name, imported=imported, source="test", owner=owner, **options)


def refusal(call, *args, **options) -> Refusal:
    with pytest.raises(Refusal) as caught:
        call(*args, **options)
    return caught.value


def test_the_built_in_catalogue_loads_once_and_belongs_to_nobody(builtin):
    raw, adjusted = builtin
    assert (raw.verdict, adjusted.verdict) == ("blocked", "look")
    assert (raw.owner, raw.rows, raw.symbol_count, raw.calendar, raw.currency) == (None, 12_154, 5, "XNYS", "USD")
    assert "BSD-3" in raw.licence
    assert services.load_builtin_catalogue() == [raw, adjusted]
    assert Dataset.objects.count() == 2
    assert list(raw.symbols.values_list("symbol", "rows")) == [
        ("AAPL", 3270), ("FB", 196), ("GOOG", 2148), ("IBM", 3270), ("MSFT", 3270),
    ]  # fmt: skip


def test_lost_files_of_the_built_in_set_are_written_again(builtin):
    folder = selectors.dataset_folder(builtin[0])
    for path in folder.iterdir():
        path.unlink()
    services.load_builtin_catalogue()
    assert selectors.dataset_panel(builtin[0], verify=True).symbols[0] == "AAPL"


def test_an_import_is_stored_checked_and_audited(var_dir, alice):
    made = put(owner=alice, title="Mine", adjustment="adjusted", calendar="", lineage={"kind": "test"})
    assert (str(made), made.verdict, made.columns) == ("mine@1", "clean", ["open", "high", "low", "close", "volume"])
    assert (made.start, made.rows) == (as_datetime(np.datetime64("2024-01-01", "ns")), 40)
    assert made.size_bytes > 0
    assert selectors.dataset_panel(made).name == "mine@1"
    assert QualityCheck.objects.get(dataset=made).checks_passed > 10
    assert AuditEntry.objects.get(action="dataset.import").actor == alice


def test_changed_content_is_a_new_version_and_equal_content_is_not(var_dir, alice):
    first = put(owner=alice)
    assert put(owner=alice) == first
    second = put(owner=alice, panel=bars(closes(shift=1.0)))
    assert (second.version, second.parent) == (2, first)
    assert put(owner=alice, panel=bars(closes(shift=1.0)), adjustment="adjusted").version == 3


def test_an_archived_version_is_followed_by_a_new_one(var_dir, alice):
    first = services.dataset_archive(put(owner=alice), actor=alice)
    assert put(owner=alice).version == 2
    assert list(selectors.dataset_list(alice)) != [first]


@pytest.mark.parametrize("name", ["", "Upper", "with space", "../up", "a" * 65, "-x"])
def test_a_name_that_is_none_is_refused_at_its_field(var_dir, name):
    caught = refusal(put, name)
    assert (caught.code, caught.field) == ("bad_dataset_name", "name")
    assert not Dataset.objects.exists()


def test_a_name_of_somebody_else_is_refused(var_dir, alice, bob):
    put(owner=alice)
    assert refusal(put, owner=bob).code == "dataset_name_taken"
    assert refusal(put).code == "dataset_name_taken"


def test_two_imports_at_one_moment_leave_one_version(var_dir, alice, monkeypatch):
    def raced(*args, **options):
        raise IntegrityError

    monkeypatch.setattr(Dataset, "save", raced)
    assert refusal(put, owner=alice).code == "dataset_name_taken"
    assert not DatasetSymbol.objects.exists()


def test_a_symbol_longer_than_the_catalogue_can_hold_is_refused(var_dir):
    assert refusal(put, panel=bars(closes(), symbol="S" * 33)).code == "bad_symbol"


def test_an_unknown_calendar_leaves_nothing_behind(var_dir):
    assert refusal(put, calendar="XXXX").code == "unknown_calendar"
    assert not Dataset.objects.exists()
    assert not (var_dir / "datasets").exists()


def test_a_path_is_read_recognised_and_imported(var_dir, alice, write):
    heard = []
    made = services.dataset_import_path(
        write("SPY.csv", csv_lines(40)), name="spy", options=ReadOptions(currency="USD"), owner=alice,
        on_progress=lambda share, what, rows=0: heard.append(share),
    )  # fmt: skip
    assert (made.source, made.currency, made.calendar, made.lineage["files"]) == ("SPY.csv", "USD", "", ["SPY.csv"])
    assert heard[-1] == 1.0
    assert made.symbols.get().symbol == "SPY"


def test_half_a_file_is_not_imported(var_dir, write):
    path = write("SPY.csv", csv_lines(40) + "2025-01-01,x,1,1,1,1\n")
    assert refusal(services.dataset_import_path, path, name="spy", options=ReadOptions()).code == "bad_number"
    assert not Dataset.objects.exists()


def test_a_bad_name_is_refused_before_the_file_is_read(var_dir, tmp_path):
    missing = tmp_path / "none.csv"
    assert refusal(services.dataset_import_path, missing, name="No", options=ReadOptions()).code == "bad_dataset_name"


def test_what_the_import_saw_is_said_again_by_every_check(var_dir, write):
    path = write("SPY.csv", csv_lines(40) + "2025-01-01,1,1")
    made = services.dataset_import_path(path, name="spy", options=ReadOptions(lenient=True))
    again = services.dataset_check(made)
    for check in made.checks.all():
        assert set(check.findings.values_list("check_name", "line")) >= {("truncated_file", 42), ("missing_value", 42)}
    assert (again.verdict, made.checks.count()) == ("blocked", 2)


def test_order_and_duplicates_survive_the_journey_through_the_database(var_dir, write):
    rows = csv_lines(40).splitlines(keepends=True)
    path = write("SPY.csv", rows[0] + "".join([rows[2], rows[1], *rows[3:]]))
    made = services.dataset_import_path(path, name="spy", options=ReadOptions())
    finding = QualityFinding.objects.get(check_run=services.dataset_check(made), check_name="unsorted_time")
    assert (finding.symbol, finding.line, finding.time) == ("SPY", 3, made.start)


def test_gaps_of_a_symbol_follow_the_newest_check(builtin):
    raw, _ = builtin
    DatasetSymbol.objects.filter(dataset=raw, symbol="IBM").update(gaps=7)
    services.dataset_check(raw)
    assert raw.symbols.get(symbol="IBM").gaps == 0


def test_a_check_reads_every_byte(builtin):
    raw, _ = builtin
    path = selectors.dataset_folder(raw) / "close.npy"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(bytes(data))
    assert refusal(services.dataset_check, raw).code == "dataset_changed"
    path.unlink()
    assert refusal(services.dataset_check, raw).code == "dataset_missing"
    raw.refresh_from_db()
    assert (raw.verdict, raw.checks.count()) == ("blocked", 1)


def test_findings_speak_the_readers_language_and_survive_an_unknown_check(builtin):
    finding = QualityFinding.objects.filter(check_name="split_like_jump").first()
    assert finding.message == "Split 2:1 not applied, 101.25 → 55.63, true +9.9%."
    assert QualityFinding(check_name="of_tomorrow").message == "of_tomorrow"
    assert str(finding) == "split_like_jump AAPL"
    assert str(finding.check_run) == "us-daily-raw@1: blocked"
    assert (finding.check_run.others, str(builtin[0].symbols.first())) == (1, "AAPL")


def test_two_datasets_of_equal_content_share_files_and_keep_their_labels(var_dir, alice, bob):
    hers = put("hers", owner=alice, panel=bars(closes()))
    his = put("his", owner=bob, panel=bars(closes()))
    Dataset.objects.filter(pk=his.pk).update(currency="CNY")
    his.refresh_from_db()
    assert selectors.dataset_folder(hers) == selectors.dataset_folder(his)
    assert (selectors.dataset_panel(hers).currency, selectors.dataset_panel(his).currency) == ("", "CNY")


def test_names_find_the_newest_version_the_reader_may_see(var_dir, alice, bob, root):
    put(owner=alice)
    second = put(owner=alice, panel=bars(closes(shift=1)))
    assert selectors.dataset_by_name(alice, "mine") == second
    assert selectors.dataset_by_name(alice, "mine@1").version == 1
    assert selectors.dataset_by_name(root, "mine@2") == selectors.dataset_by_name(None, "mine") == second
    assert str(refusal(selectors.dataset_by_name, alice, "mine@9")) == "mine has no version 9. It has mine@2, mine@1."
    assert refusal(selectors.dataset_by_name, alice, "mine@x").status == 404
    stranger = refusal(selectors.dataset_by_name, bob, "mine")
    assert (stranger.code, stranger.status) == ("unknown_dataset", 404)
    assert "mine@" not in str(stranger)


def test_a_stranger_sees_neither_the_dataset_nor_its_symbols(builtin, alice, bob):
    hers = put(owner=alice, panel=bars(closes(), symbol="HERS"))
    assert selectors.dataset_for_user(alice, hers.pk) == hers
    with pytest.raises(Http404):
        selectors.dataset_for_user(bob, hers.pk)
    assert hers not in selectors.dataset_list(bob)
    caught = refusal(selectors.dataset_with_symbol, bob, "HERS")
    assert (caught.code, caught.status, caught.params["known"]) == ("unknown_symbol", 404, "AAPL, FB, GOOG, IBM, MSFT")
    assert selectors.dataset_with_symbol(alice, "HERS") == hers


def test_only_owner_and_administrator_may_change(builtin, alice, bob, root):
    hers = put(owner=alice)
    assert selectors.dataset_for_user(alice, hers.pk, write=True) == hers
    assert selectors.dataset_for_user(root, builtin[0].pk, write=True) == builtin[0]
    for user, dataset in ((bob, hers), (alice, builtin[0])):
        with pytest.raises(Http404):
            selectors.dataset_for_user(user, dataset.pk, write=True)


def test_adjusted_prices_are_taken_where_only_a_symbol_is_named(builtin, alice):
    assert selectors.dataset_with_symbol(alice, "AAPL") == builtin[1]


def test_the_list_is_searched_filtered_and_sorted(builtin, alice):
    put("zeta", owner=alice)
    put("zeta", owner=alice, panel=bars(closes(shift=1)))

    def names(**options):
        return [str(dataset) for dataset in selectors.dataset_list(alice, **options)]

    assert names() == ["us-daily-adjusted@1", "us-daily-raw@1", "zeta@2"]
    assert names(newest_only=False)[-2:] == ["zeta@2", "zeta@1"]
    assert names(search="goog") == names(search="bokeh") == names()[:2]
    assert names(verdict="clean") == ["zeta@2"]
    assert names(frequency="1min") == []
    assert names(sort="-rows")[-1] == "zeta@2"


def test_times_keep_their_microsecond_through_both_conversions():
    moment = np.datetime64("2024-01-02T09:30:00.123456", "ns")
    assert as_datetime64(as_datetime(moment)) == moment


def test_an_import_of_nothing_but_a_header_is_refused(var_dir, write):
    path = write("A.csv", HEADER)
    assert refusal(imports.dataset_import_path, path, name="a", options=ReadOptions()).code == "no_bars"
