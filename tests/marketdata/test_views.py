"""The pages: what they show, to whom, with how many queries, and what they say to nonsense."""

from __future__ import annotations

import csv
import io
import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from apps.marketdata import forms, views
from apps.marketdata.engine.assemble import Imported
from apps.marketdata.engine.readers import ReadOptions
from apps.marketdata.models import Dataset, DatasetSymbol, QualityCheck, QualityFinding
from apps.marketdata.selectors import dataset_folder
from apps.marketdata.services import dataset_import, dataset_import_path
from tests.marketdata.conftest import bars, csv_lines
from tests.marketdata.importing import work

pytestmark = pytest.mark.django_db


@pytest.fixture
def hers(var_dir, alice):
    panel = bars([100 + n % 3 for n in range(40)], symbol="HERS")
    return dataset_import(name="hers", imported=Imported(panel), source="test", owner=alice)


def page(client, name, *args, **query):
    return client.get(reverse(f"marketdata:{name}", args=args), query)


ADDRESSES = [("detail", "get"), ("bars", "get"), ("download", "get"), ("check", "post")]


@pytest.mark.parametrize(("name", "method"), ADDRESSES)
def test_a_stranger_finds_nothing(client, hers, bob, name, method):
    client.force_login(bob)
    assert getattr(client, method)(reverse(f"marketdata:{name}", args=[hers.pk])).status_code == 404
    assert QualityCheck.objects.count() == 1


@pytest.mark.parametrize(("name", "method"), [*ADDRESSES, ("list", "get"), ("import", "get")])
def test_everybody_else_is_sent_to_the_log_in(client, hers, name, method):
    args = [hers.pk] if (name, method) in ADDRESSES else []
    answer = getattr(client, method)(reverse(f"marketdata:{name}", args=args))
    assert answer.status_code == 302
    assert answer.url.startswith(reverse("accounts:login"))


def test_the_list_shows_verdict_span_and_freshness_of_what_one_may_see(client, builtin, hers, bob):
    client.force_login(bob)
    text = page(client, "list").content.decode()
    assert "us-daily-raw" in text
    assert "Blocks runs" in text
    assert "1 Mar 2013" in text
    assert "hers" not in text


def test_the_list_keeps_search_filter_and_sort_in_the_url(client, builtin, alice):
    client.force_login(alice)
    assert "us-daily-adjusted" not in page(client, "list", verdict="blocked").content.decode()
    empty = page(client, "list", search="nothing like it").content.decode()
    assert "No dataset matches." in empty
    ordered = page(client, "list", sort="-verdict").content.decode()
    assert ordered.index("us-daily-adjusted") < ordered.index("us-daily-raw")
    assert page(client, "list", sort="password", page="x", verdict="none").status_code == 200


def test_an_empty_catalogue_says_what_to_do(client, db, var_dir, alice):
    client.force_login(alice)
    assert "There is no data yet." in page(client, "list").content.decode()


def test_the_list_is_a_file_of_what_one_sees_and_filters(client, builtin, hers, alice, bob):
    client.force_login(alice)
    text = page(client, "list", format="csv", search="hers").content.decode()
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert (row["name"], row["rows"], row["symbols"], row["owner"]) == ("hers", "40", "1", "alice")
    assert row["content_hash"] == hers.content_hash
    client.force_login(bob)
    assert "hers" not in page(client, "list", format="csv").content.decode()


def test_the_list_shows_gaps_and_the_hash_of_the_content_and_sorts_by_gaps(client, builtin, hers, alice):
    client.force_login(alice)
    DatasetSymbol.objects.filter(dataset=hers).update(gaps=1200)
    Dataset.objects.filter(pk=hers.pk).update(checked_at=hers.created)
    text = page(client, "list").content.decode()
    assert '<td class="ph">1,200</td>' in text
    assert "1,200 gaps" in text
    assert f'title="sha256 {hers.content_hash}">{hers.content_hash[:12]}<' in text
    for sort, place in (("-gaps", 0), ("gaps", len(builtin))):
        assert list(page(client, "list", sort=sort).context["page"])[place] == hers
    rows = {
        row["name"]: row["gaps"]
        for row in csv.DictReader(io.StringIO(page(client, "list", format="csv").content.decode()))
    }
    assert rows[hers.name] == "1200"


def test_the_list_costs_the_same_queries_however_long(client, builtin, alice, django_assert_max_num_queries):
    client.force_login(alice)
    with django_assert_max_num_queries(8):
        page(client, "list")
    for number in range(30):
        panel = bars([100 + number, 101, 102], symbol="X")
        dataset_import(name=f"set-{number}", imported=Imported(panel), source="test", owner=alice)
    with django_assert_max_num_queries(8):
        text = page(client, "list").content.decode()
    assert "page 1 of 2" in text


def test_the_dataset_page_leads_with_verdict_finding_and_row_at_fault(client, builtin, alice):
    client.force_login(alice)
    answer = page(client, "detail", builtin[0].pk)
    text = answer.content.decode()
    assert "A 2:1 split that was not applied looks like a fall of 45.1%" in text
    assert "Split 2:1 not applied, 101.25 → 55.63, true +9.9%." in text
    assert "<svg" in text
    assert answer.context["span"] == "event"
    rows = answer.context["fault"]
    assert [row.hit for row in rows] == [False, False, True, False, False]
    assert (rows[2].row, rows[2].cells[3]["text"], round(rows[2].change, 3)) == (79, "55.63", -0.451)
    assert "BSD-3-Clause" in text
    assert "21 checks passed" in text


def test_any_finding_can_be_chosen_and_foreign_ones_are_ignored(client, builtin, alice):
    client.force_login(alice)
    raw, adjusted = builtin
    move = QualityFinding.objects.get(check_run__dataset=raw, check_name="large_move")
    answer = page(client, "detail", raw.pk, finding=move.pk)
    assert answer.context["chosen"] == move
    assert answer.context["title"].startswith("AAPL: Return −51.9%")
    foreign = QualityFinding.objects.get(check_run__dataset=adjusted)
    assert page(client, "detail", raw.pk, finding=foreign.pk).context["chosen"] != foreign
    assert page(client, "detail", raw.pk, finding="9" * 30).status_code == 200


def test_symbol_and_span_are_chosen_by_the_url(client, builtin, alice):
    client.force_login(alice)
    answer = page(client, "detail", builtin[0].pk, symbol="GOOG", span="all")
    assert (answer.context["symbol"], answer.context["span"], answer.context["joined"]) == ("GOOG", "all", 12)
    assert answer.context["fault"] == []
    last = page(client, "detail", builtin[0].pk, symbol="GOOG", span="event").context
    assert (last["span"], last["title"]) == ("last", "GOOG")
    assert page(client, "detail", builtin[0].pk, symbol="NOPE", span="x").context["symbol"] == "AAPL"


def test_findings_are_filtered_by_severity_and_symbol(client, builtin, alice):
    client.force_login(alice)
    context = page(client, "detail", builtin[0].pk, severity="error", of="MSFT").context
    assert {finding.symbol for finding in context["page"].object_list} == {"MSFT"}
    assert "No finding matches." in page(client, "detail", builtin[0].pk, of="IBM").content.decode()
    assert len(page(client, "detail", builtin[0].pk, severity="terrible").context["page"].object_list) == 5


def test_the_dataset_page_costs_the_same_queries_however_many_findings(
    client, builtin, alice, django_assert_max_num_queries
):
    client.force_login(alice)
    with django_assert_max_num_queries(16):
        page(client, "detail", builtin[0].pk)
    check = builtin[0].checks.first()
    QualityFinding.objects.bulk_create(
        QualityFinding(check_run=check, check_name="no_volume", severity="note") for _ in range(60)
    )
    with django_assert_max_num_queries(16):
        text = page(client, "detail", builtin[0].pk).content.decode()
    assert "page 1 of 3" in text


def test_a_dataset_without_findings_or_checks_says_so(client, hers, alice):
    client.force_login(alice)
    QualityFinding.objects.all().delete()
    QualityCheck.objects.update(warnings=0)
    assert "Nothing was found." in page(client, "detail", hers.pk).content.decode()
    QualityCheck.objects.all().delete()
    assert "was not checked yet" in page(client, "detail", hers.pk).content.decode()


def test_intraday_data_shows_its_latest_bars_with_their_clock(client, var_dir, alice, write):
    lines = [
        f"2024-01-{1 + n // 288:02d} {n % 288 // 12:02d}:{n % 12 * 5:02d},{100 + n % 7},110,90,100,5\n"
        for n in range(1000)
    ]
    path = write("BTC.csv", "datetime,open,high,low,close,volume\n" + "".join(lines[:500] + lines[505:]))
    made = dataset_import_path(path, name="btc", options=ReadOptions(), owner=alice)
    client.force_login(alice)
    text = page(client, "detail", made.pk).content.decode()
    assert "5 minutes" in text
    assert "2024-01-0" in text
    document = json.loads(page(client, "bars", made.pk, symbol="BTC").content)
    assert isinstance(document["bars"][0]["time"], int)
    csv = page(client, "download", made.pk).content.decode()
    assert "2024-01-01T00:05:00Z" in csv


def test_a_symbol_without_a_whole_bar_has_no_chart(client, var_dir, alice):
    panel = bars([1.0, 2.0, 3.0])
    panel.fields["open"][:] = float("nan")
    made = dataset_import(name="half", imported=Imported(panel), source="test", owner=alice)
    client.force_login(alice)
    assert "has no bar with all four prices" in page(client, "detail", made.pk, span="all").content.decode()
    assert json.loads(page(client, "bars", made.pk, symbol="AAA").content)["bars"] == []


def test_a_dataset_whose_files_are_gone_still_has_a_page_that_says_so(client, hers, alice):
    (dataset_folder(hers) / "close.npy").unlink()
    client.force_login(alice)
    answer = page(client, "detail", hers.pk)
    assert answer.status_code == 200
    assert "The files of dataset hers@1 are gone from the disk. Import it again." in answer.content.decode()
    assert page(client, "download", hers.pk).status_code == 409
    answer = client.post(reverse("marketdata:check", args=[hers.pk]), follow=True)
    assert "are gone from the disk" in answer.content.decode()
    assert page(client, "bars", hers.pk, symbol="HERS").status_code == 409


def test_check_again_adds_to_the_history_and_tells_the_result(client, builtin, alice):
    client.force_login(alice)
    answer = client.post(reverse("marketdata:check", args=[builtin[0].pk]), follow=True)
    assert "Checked: 4 block runs, 1 to look at." in answer.content.decode()
    assert builtin[0].checks.count() == 2
    assert client.get(reverse("marketdata:check", args=[builtin[0].pk])).status_code == 405


def test_bars_for_a_chart_are_limited_joined_and_carry_the_findings(client, builtin, alice):
    client.force_login(alice)
    document = json.loads(page(client, "bars", builtin[0].pk, symbol="AAPL").content)
    assert len(document["bars"]) <= 2000
    assert (document["joined"], len(document["events"])) == (2, 3)
    around = json.loads(
        page(client, "bars", builtin[0].pk, symbol="AAPL", start="2005-02-25", end="2005-02-28").content
    )
    assert [bar["time"] for bar in around["bars"]] == ["2005-02-25", "2005-02-28"]
    assert around["bars"][1]["close"] == 44.86
    assert around["events"] == [{"time": "2005-02-28", "text": "Block"}]
    assert json.loads(page(client, "bars", builtin[0].pk, symbol="FB", end="2010-01-01").content)["bars"] == []


def test_joined_bars_keep_first_open_extremes_last_close_and_all_volume(client, builtin, alice):
    client.force_login(alice)
    query = {"symbol": "AAPL", "start": "2000-03-01", "end": "2000-03-02"}
    single = json.loads(page(client, "bars", builtin[0].pk, **query).content)["bars"]
    joined = json.loads(page(client, "bars", builtin[0].pk, symbol="AAPL").content)["bars"][0]
    assert (joined["open"], joined["close"]) == (single[0]["open"], single[1]["close"])
    assert joined["high"] == max(bar["high"] for bar in single)
    assert joined["volume"] == sum(bar["volume"] for bar in single)


def test_unknown_volume_is_null(client, var_dir, alice):
    made = dataset_import(
        name="quiet", imported=Imported(bars([1.0, 2.0], volume=float("nan"))), source="t", owner=alice
    )
    client.force_login(alice)
    assert json.loads(page(client, "bars", made.pk, symbol="AAA").content)["bars"][0]["volume"] is None


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"symbol": "NOPE"}, 404, "unknown_symbol"), ({}, 404, "unknown_symbol"),
        ({"symbol": "AAPL", "start": "soon"}, 422, "bad_date"),
        ({"symbol": "AAPL", "end": "2024-02-30"}, 422, "bad_date"),
        ({"symbol": "AAPL", "start": "2010-01-01", "end": "2009-01-01"}, 422, "bad_dates"),
    ],
)  # fmt: skip
def test_wrong_questions_for_bars_get_a_reason(client, builtin, alice, query, status, code):
    client.force_login(alice)
    answer = page(client, "bars", builtin[0].pk, **query)
    assert (answer.status_code, json.loads(answer.content)["code"]) == (status, code)


def test_the_download_is_the_data_exactly(client, builtin, alice):
    client.force_login(alice)
    answer = page(client, "download", builtin[0].pk, symbol="FB")
    lines = answer.content.decode().splitlines()
    assert lines[0] == "symbol,time,open,high,low,close,volume,adj_close"
    assert len(lines) == 197
    assert lines[1].startswith("FB,2012-05-18,42.05,45.0,38.0,38.2318,")
    assert answer["Content-Disposition"] == 'attachment; filename="us-daily-raw-1-FB.csv"'
    assert page(client, "download", builtin[0].pk, symbol="NOPE").status_code == 422


def test_a_download_of_millions_of_rows_is_refused_with_the_way_out(client, builtin, alice, monkeypatch):
    monkeypatch.setattr(views, "DOWNLOAD_ROWS", 100)
    client.force_login(alice)
    answer = page(client, "download", builtin[0].pk)
    assert answer.status_code == 413
    assert "bars.parquet" in answer.content.decode()


def send(client, content, file="SPY.csv", **fields):
    upload = SimpleUploadedFile(file, content.encode() if isinstance(content, str) else content)
    data = {"upload": upload, "adjustment": "raw", "time_zone": "UTC", **fields}
    return client.post(reverse("marketdata:import"), data, follow=True)


def test_an_upload_becomes_a_checked_dataset_of_its_owner(client, var_dir, alice, settings):
    client.force_login(alice)
    answer = send(client, csv_lines(40), currency="usd")
    job = work(settings)
    assert answer.redirect_chain == [(reverse("marketdata:import_job", args=[job.pk]), 302)]
    made = Dataset.objects.get()
    assert (made.name, made.owner, made.currency, made.source) == ("spy", alice, "USD", "SPY.csv")
    assert "spy@1 is in the catalogue" in page(client, "import_job", job.pk).content.decode()


@pytest.mark.parametrize(
    ("content", "fields", "field", "sentence"),
    [
        (
            "date,open,high,low,close\n2024-01-02,x,1,1,1\n",
            {},
            "upload",
            "SPY.csv, line 2, column open: “x” is not a number.",
        ),
        (csv_lines(3), {"name": "Bad Name"}, "name", "lower-case letters"),
        (csv_lines(3), {"calendar": "XXXX"}, "calendar", "There is no calendar XXXX."),
        (csv_lines(3), {"time_zone": "Nowhere"}, "time_zone", "Nowhere is not a time zone."),
        (csv_lines(3), {"format": "excel"}, "upload", "SPY.csv cannot be read as Excel"),
        ("", {}, "upload", "empty"),
    ],
)
def test_a_refusal_stands_at_its_field_and_nothing_was_imported(
    client, var_dir, alice, content, fields, field, sentence
):
    client.force_login(alice)
    answer = send(client, content, **fields)
    assert answer.status_code in (404, 409, 422)
    assert sentence in str(answer.context["form"].errors[field])
    assert not Dataset.objects.exists()


def test_nothing_chosen_and_two_things_chosen_are_both_said(client, var_dir, alice, write):
    write("var/import/A.csv", csv_lines(3))
    client.force_login(alice)
    answer = client.post(reverse("marketdata:import"), {"adjustment": "raw", "time_zone": "UTC"})
    assert "Choose a file of yours" in answer.content.decode()
    assert "Choose one" in send(client, csv_lines(3), on_server="A.csv").content.decode()


def test_a_file_of_the_server_is_imported_from_its_folder_only(client, var_dir, alice, write, settings):
    write("var/import/A.csv", csv_lines(3))
    write("var/import/many/B.csv", csv_lines(3))
    write("var/import/.hidden.csv", csv_lines(3))
    write("var/secret.csv", csv_lines(3))
    client.force_login(alice)
    assert set(forms.files_on_server()) == {"A.csv", "many"}
    data = {"adjustment": "raw", "time_zone": "UTC"}
    assert client.post(reverse("marketdata:import"), {**data, "on_server": "A.csv"}).status_code == 302
    assert client.post(reverse("marketdata:import"), {**data, "on_server": "many", "name": "many"}).status_code == 302
    answer = client.post(reverse("marketdata:import"), {**data, "on_server": "../secret.csv"})
    assert answer.status_code == 422
    work(settings)
    assert {dataset.name for dataset in Dataset.objects.all()} == {"a", "many"}


def test_a_wrong_file_of_the_server_is_refused_at_its_field(client, var_dir, alice, write):
    write("var/import/A.csv", "nothing")
    client.force_login(alice)
    data = {"adjustment": "raw", "time_zone": "UTC", "on_server": "A.csv"}
    answer = client.post(reverse("marketdata:import"), data)
    assert "has no column for" in str(answer.context["form"].errors["on_server"])


def test_a_large_upload_is_sent_to_the_folder_of_the_server(client, var_dir, alice, monkeypatch):
    monkeypatch.setattr(forms, "upload_limit", lambda: 100)
    client.force_login(alice)
    answer = send(client, csv_lines(30), file="BIG.csv")
    assert str(forms.import_folder()) in str(answer.context["form"].errors["upload"])
    assert not Dataset.objects.exists()


def test_an_upload_name_cannot_leave_its_folder(client, var_dir, alice, settings):
    client.force_login(alice)
    send(client, csv_lines(3), file="..\\..\\up.csv")
    work(settings)
    assert Dataset.objects.get().source == "up.csv"


def test_a_name_of_somebody_else_is_refused_on_the_page(client, hers, bob):
    client.force_login(bob)
    answer = send(client, csv_lines(3), file="hers.csv")
    assert answer.status_code == 409
    assert "belongs to somebody else" in str(answer.context["form"].errors["name"])
