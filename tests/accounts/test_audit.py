"""The audit's chain and triggers: what is planted is found at its row, on SQLite and PostgreSQL."""

from __future__ import annotations

import io
import json

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts import audit_chain, audit_pages, audit_triggers, services
from apps.accounts.engine import chain
from apps.accounts.models import AuditEntry, AuditLink

pytestmark = pytest.mark.django_db
TABLE, LINKS = "accounts_auditentry", "accounts_auditlink"


def plant(sql: str, *values) -> None:
    """Change the table behind the program's back."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)


@pytest.fixture
def trail(alice):
    """Ten sealed entries of alice."""
    entries = [services.audit(alice, "test.act", alice, {"n": n}) for n in range(10)]
    audit_chain.seal()
    return entries


def test_a_whole_chain_has_no_finding(trail):
    assert audit_chain.verify() == []
    assert audit_chain.head()[0] == 10


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("action", "other"),
        ("object_id", "9999"),
        ("details", '{"n": 99}'),
        ("actor_id", None),
        ("address", "192.0.2.1"),
    ],
)
def test_a_planted_change_is_found_at_its_row(trail, column, value):
    plant(f"UPDATE {TABLE} SET {column} = %s WHERE id = %s", value, trail[4].pk)
    assert [(one.entry_id, one.problem) for one in audit_chain.verify()] == [(trail[4].pk, "the entry was changed")]


def test_a_removed_row_is_found(trail):
    plant(f"DELETE FROM {TABLE} WHERE id = %s", trail[6].pk)
    assert [(one.entry_id, one.problem) for one in audit_chain.verify()] == [(trail[6].pk, "the entry was removed")]


def test_a_forged_link_breaks_the_chain_after_it(trail):
    plant(f"UPDATE {LINKS} SET chain = %s WHERE position = 3", "f" * 64)
    assert [one.position for one in audit_chain.verify()] == [3, 4]


def test_a_removed_link_is_found(trail):
    plant(f"DELETE FROM {LINKS} WHERE position = 5")
    problems = [one.problem for one in audit_chain.verify()]
    assert "links 5 to 5 are missing" in problems


def test_a_cut_tail_is_found_by_a_head_kept_elsewhere(trail):
    kept = audit_chain.head()[1]
    plant(f"DELETE FROM {LINKS} WHERE position > 8")
    plant(f"DELETE FROM {TABLE} WHERE id >= %s", trail[8].pk)
    assert audit_chain.verify() == []
    assert len(audit_chain.verify(kept)) == 1


def test_an_entry_that_committed_late_is_linked_too(trail, alice):
    late = services.audit(alice, "test.late")
    services.audit(alice, "test.next")
    AuditLink.objects.bulk_create([])
    assert audit_chain.seal() == 2
    assert AuditLink.objects.filter(entry_id=late.pk).exists()
    assert audit_chain.verify() == []


@pytest.fixture
def triggers():
    """The triggers as an installation has them."""
    audit_triggers.run(audit_triggers.statements(connection.vendor))
    yield
    audit_triggers.run(audit_triggers.removal(connection.vendor))


@pytest.mark.parametrize(
    "sql",
    [
        f"UPDATE {TABLE} SET action = 'x'",
        f"DELETE FROM {TABLE}",
        f"UPDATE {LINKS} SET chain = 'x'",
        f"DELETE FROM {LINKS}",
    ],
)
def test_the_database_refuses_update_and_delete(trail, triggers, sql):
    assert audit_triggers.present()
    with pytest.raises(DatabaseError, match="written once"), transaction.atomic():
        plant(sql)
    assert audit_chain.verify() == []


def test_the_triggers_let_new_rows_in(triggers, alice):
    services.audit(alice, "test.act")
    assert audit_chain.seal() == 1


def test_every_act_is_sealed_when_it_commits(alice, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        entry = services.audit(alice, "test.act")
    assert AuditLink.objects.get().entry_id == entry.pk


def test_the_model_refuses_too(trail):
    with pytest.raises(TypeError):
        AuditEntry.objects.all().delete()
    with pytest.raises(TypeError):
        AuditEntry.objects.update(action="x")
    with pytest.raises(TypeError):
        AuditLink.objects.first().delete()


def test_secrets_do_not_reach_the_trail(alice):
    entry = services.audit(alice, "test.act", None, {"password": "hunter22", "note": "qp_" + "a" * 40})
    assert entry.details == {"password": "[hidden]", "note": "[hidden]"}


def test_the_command_verifies_and_exports(trail, tmp_path):
    out = io.StringIO()
    call_command("audit", "verify", "--json", stdout=out)
    document = json.loads(out.getvalue())
    assert document["ok"]
    assert document["entries"] == 10
    call_command("audit", "export", str(tmp_path / "a.jsonl"))
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    previous = chain.GENESIS
    for row in rows:  # whoever has the export can check it without the program
        assert chain.link(previous, row["position"], row["id"], row["digest"]) == row["chain"]
        previous = row["chain"]
    plant(f"UPDATE {TABLE} SET action = 'x' WHERE id = %s", trail[0].pk)
    out = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("audit", "verify", stdout=out)
    assert f"row {trail[0].pk}: the entry was changed" in out.getvalue()


def test_the_page_filters_exports_and_checks(client, root, trail):
    client.force_login(root)
    page = client.get("/accounts/audit/?actor=alice&action=test.")
    assert page.context["page"].paginator.count == 10
    assert client.get("/accounts/audit/?start=2001-01-01&end=2001-01-02").context["page"].paginator.count == 0
    csv = b"".join(client.get("/accounts/audit/export/?format=csv").streaming_content).decode()
    assert csv.count("test.act") == 10
    assert "as it was written" in client.post("/accounts/audit/verify/").content.decode()
    plant(f"UPDATE {TABLE} SET action = 'x' WHERE id = %s", trail[2].pk)
    answer = client.get("/api/audit/verify").json()
    assert [one["entry_id"] for one in answer["findings"]] == [trail[2].pk]


def test_the_page_names_what_was_acted_on_and_leads_to_it(client, root, alice):
    services.audit(root, "login.success", alice, {"methods": ["password", "totp"]})
    services.audit(root, "test.act")
    AuditEntry.objects.create(action="test.gone", object_type="gone.model", object_id="7")
    client.force_login(root)
    text = client.get("/accounts/audit/?action=login.success").content.decode()
    assert f'<a class="lk" href="/accounts/people/{alice.pk}/">user {alice.pk}</a>' in text
    assert "methods=password, totp" in text
    assert "gone.model 7" in client.get("/accounts/audit/?action=test.gone").content.decode()


def test_what_acts_are_done_to_is_chosen_from_a_list(client, root, alice):
    services.audit(root, "test.act", alice)
    services.audit(root, "test.act")
    client.force_login(root)
    page = client.get("/accounts/audit/?object_type=accounts.user&action=test.")
    assert page.context["page"].paginator.count == 1
    assert '<option value="accounts.user" selected>user</option>' in page.content.decode()


@pytest.mark.parametrize("label", audit_pages.OBJECTS)
def test_every_kind_of_object_that_is_offered_exists_and_so_does_its_page(label):
    assert apps.get_model(label)
    if page := audit_pages.OBJECTS[label]:
        assert reverse(page, args=[1])


def test_log_ins_are_ended_where_it_is_audited_and_not_in_the_admin(client, root):
    client.force_login(root)
    assert client.get("/admin/usersessions/usersession/").status_code == 404
    assert "User sessions" not in client.get("/admin/").content.decode()


def test_a_spreadsheet_runs_nothing_of_an_export(client, root):
    services.audit(root, "=HYPERLINK(1)")
    client.force_login(root)
    csv = b"".join(client.get("/accounts/audit/export/?format=csv").streaming_content).decode()
    assert "'=HYPERLINK" in csv


@pytest.mark.parametrize("path", ["/accounts/audit/", "/accounts/audit/export/", "/api/audit", "/api/audit/verify"])
def test_the_trail_is_for_administrators(client, alice, path):
    client.force_login(alice)
    assert client.get(path).status_code == 403


@given(st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=8) | st.none(), max_size=5))
def test_a_digest_does_not_depend_on_the_order_of_keys(entry):
    assert chain.digest(entry) == chain.digest(dict(reversed(list(entry.items()))))
