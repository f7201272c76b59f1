"""Secrets: sealed, rotated, and in no log, error, admin page, export or pickle."""

from __future__ import annotations

import io
import logging
import pickle

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts import audit_pages, credentials, vault
from apps.accounts.engine import redact
from apps.accounts.models import AuditEntry, Credential
from apps.ui.engine.refusal import Refusal

PLAIN = "s3cr3t-broker-pass"


@pytest.fixture
def credential(alice):
    return credentials.credential_set(owner=alice, name="qmt", kind="broker", secret={"user": "u1", "password": PLAIN})


@pytest.mark.django_db
def test_a_secret_lies_encrypted_and_opens_for_the_program_alone(credential, alice):
    row = Credential.objects.get()
    assert PLAIN not in row.sealed
    opened = credentials.credential_open(alice, "qmt")
    assert PLAIN in opened.value
    assert PLAIN not in f"{opened} {opened!r}"
    with pytest.raises(TypeError):
        pickle.dumps(opened)
    row.refresh_from_db()
    assert row.last_used_at is not None


@pytest.mark.django_db
def test_no_page_endpoint_admin_or_export_shows_it(client, credential, root, alice):
    seen = []
    client.force_login(alice)
    for path in ("/accounts/secrets/", "/api/credentials", "/accounts/security/"):
        seen.append(client.get(path).content.decode())
    client.force_login(root)
    for path in (
        "/admin/accounts/credential/",
        f"/admin/accounts/credential/{credential.pk}/change/",
        "/accounts/audit/",
    ):
        answer = client.get(path)
        assert answer.status_code == 200, path
        seen.append(answer.content.decode())
    seen.append("".join(audit_pages.as_jsonl(AuditEntry.objects.all())))
    out = io.StringIO()
    call_command("dumpdata", "accounts", stdout=out)
    seen.append(out.getvalue())
    assert "qmt" in seen[0]
    assert not any(PLAIN in text for text in seen)
    assert credential.sealed not in "".join(seen[:-1])


@pytest.mark.django_db
def test_another_person_cannot_open_or_remove_it(client, credential, bob, root):
    with pytest.raises(Refusal, match="no secret"):
        credentials.credential_open(bob, "qmt")
    for person in (bob, root):  # an administrator neither
        client.force_login(person)
        assert client.post(f"/accounts/secrets/{credential.pk}/delete/").status_code == 404
        assert client.delete(f"/api/credentials/{credential.pk}").status_code == 404


@pytest.mark.django_db
def test_setting_and_removing_are_audited_without_the_text(client, credential, alice):
    client.force_login(alice)
    data = {"name": "qmt", "kind": "broker", "secret": "another-one-77"}  # pragma: allowlist secret
    assert client.post("/accounts/secrets/", data).status_code == 302
    assert credentials.credential_open(alice, "qmt").value == "another-one-77"
    assert client.post(f"/accounts/secrets/{credential.pk}/delete/").status_code == 302
    actions = list(
        AuditEntry.objects.filter(action__startswith="secret.").order_by("pk").values_list("action", flat=True)
    )
    assert actions == ["secret.create", "secret.change", "secret.delete"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"name": " "}, "credential_name"),
        ({"kind": "x"}, "credential_kind"),
        ({"secret": "a" * 9000}, "credential_size"),
    ],
)
def test_what_cannot_be_kept_is_refused(alice, change, code):
    with pytest.raises(Refusal) as refused:
        credentials.credential_set(**{"owner": alice, "name": "a", "kind": "broker", "secret": "x" * 9, **change})
    assert refused.value.code == code


@pytest.mark.django_db
def test_rotation_seals_again_under_the_newest_key(credential, alice, settings):
    before, old = Credential.objects.get().sealed, list(settings.VAULT_KEYS)
    new = Fernet.generate_key().decode()
    settings.VAULT_KEYS = [new, *old]
    assert credentials.rotate_all() == 1
    settings.VAULT_KEYS = [new]
    assert Credential.objects.get().sealed != before
    assert PLAIN in credentials.credential_open(alice, "qmt").value
    settings.VAULT_KEYS = old
    with pytest.raises(Refusal, match="key that sealed"):
        credentials.credential_open(alice, "qmt")


@pytest.mark.django_db
def test_the_command_makes_rotates_and_drops_keys(credential, alice, settings, tmp_path):
    settings.VAR_DIR, settings.VAULT_KEYS = tmp_path, list(settings.VAULT_KEYS)
    old = list(settings.VAULT_KEYS)
    call_command("secrets", "rotate", "--new-key", "--drop-old", stdout=io.StringIO())
    kept = (tmp_path / "vault_keys").read_text().split()
    assert kept == settings.VAULT_KEYS
    assert not set(kept) & set(old)
    assert (tmp_path / "vault_keys").stat().st_mode & 0o077 == 0
    assert PLAIN in credentials.credential_open(alice, "qmt").value
    out = io.StringIO()
    call_command("secrets", "status", stdout=out)
    assert "1 of 1 secrets open" in out.getvalue()
    with override_settings(QP_VAULT_KEYS=kept), pytest.raises(CommandError, match="QP_VAULT_KEYS"):
        call_command("secrets", "rotate", "--new-key")


@pytest.mark.django_db
def test_a_rotation_with_a_lost_key_changes_nothing(credential, settings):
    before = Credential.objects.get().sealed
    settings.VAULT_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(CommandError, match="nothing was changed"):
        call_command("secrets", "rotate")
    assert Credential.objects.get().sealed == before


@pytest.mark.parametrize(
    "line",
    [
        f"log in with password={PLAIN} at once",
        f'{{"broker_password": "{PLAIN}"}}',
        f"postgres://quant:{PLAIN}@db/quant",
        f"Authorization: Bearer {PLAIN}",
        f"api_key: '{PLAIN}'",
        f"TOKEN={PLAIN}&x=1",
    ],
)
def test_the_log_hides_what_looks_like_a_secret(line):
    record = logging.LogRecord("x", logging.INFO, "x", 1, line, None, None)
    assert PLAIN not in redact.RedactingFormatter().format(record)


def test_the_log_hides_secrets_it_has_seen_even_in_a_traceback():
    vault.seal("looks-like-nothing")
    try:
        raise ValueError("cannot log in: looks-like-nothing")
    except ValueError as error:
        record = logging.LogRecord(
            "x", logging.ERROR, "x", 1, "failed", None, (type(error), error, error.__traceback__)
        )
    text = redact.RedactingFormatter().format(record)
    assert "looks-like-nothing" not in text
    assert "ValueError" in text


def test_nested_documents_are_redacted_by_their_keys():
    document = {
        "broker": {"api_key": "abc", "name": "qmt", "fields": [{"totp": "123456"}]},
        "tokens_left": 4,
        "epochs": 3,
    }
    assert redact.redacted(document) == {
        "broker": {"api_key": "[hidden]", "name": "qmt", "fields": [{"totp": "[hidden]"}]},
        "tokens_left": 4,
        "epochs": 3,
    }


@given(st.text(alphabet=st.characters(codec="ascii", categories=("L", "N")), min_size=12, max_size=40))
def test_a_token_of_ours_never_survives(text):
    token = "qp_" + text + "a" * 20
    assert token not in redact.redact(f"x {token} y")


@given(st.text(max_size=200))
def test_ordinary_text_without_a_secret_survives_whole(text):
    if not any(sign in text.lower() for sign in ("=", ":", "bearer", "basic", "ticket", "ey", "qp_", "gaaaa")):
        kept = dict(redact._opened)
        redact._opened.clear()
        try:
            assert redact.redact(text) == text
        finally:
            redact._opened.update(kept)
