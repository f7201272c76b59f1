"""Log-in, lock-out and what strangers learn."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from apps.accounts.backends import locked
from apps.accounts.models import AuditEntry, LoginLock

pytestmark = pytest.mark.django_db
LOGIN = "/accounts/login/"
PASSWORD = "correct horse 7"


def attempt(client, name="alice", password="wrong", **more):
    return client.post(LOGIN, {"username": name, "password": password, **more})


def test_a_part_of_a_page_is_told_that_its_reader_was_logged_out(client, alice):
    assert client.get("/monitoring/").status_code == 302
    answer = client.get("/monitoring/", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.content) == (401, b"")
    client.force_login(alice)
    assert client.get("/monitoring/", headers={"HX-Request": "true"}).status_code == 200


def test_the_right_password_opens_the_dashboard_with_a_fresh_session(client, alice):
    client.get(LOGIN)
    answer = attempt(client, password=PASSWORD)
    assert answer.status_code == 302
    assert answer.url == reverse("monitoring:dashboard")
    assert client.session["_auth_user_id"] == str(alice.pk)


def test_five_wrong_passwords_lock_even_the_right_one(client, alice, settings):
    for _ in range(settings.QP_LOGIN_FAILURES):
        attempt(client)
    assert attempt(client, password=PASSWORD).status_code == 200
    assert "_auth_user_id" not in client.session
    assert AuditEntry.objects.filter(action="login.lock").count() == 1


def test_four_wrong_passwords_do_not_lock(client, alice, settings):
    for _ in range(settings.QP_LOGIN_FAILURES - 1):
        attempt(client)
    assert attempt(client, password=PASSWORD).status_code == 302
    assert not LoginLock.objects.filter(kind="name").exists()


def test_an_unknown_name_reads_and_locks_like_a_known_one(client, alice, settings):
    known = attempt(client).context["form"].non_field_errors()
    assert attempt(client, "nobody").context["form"].non_field_errors() == known
    for _ in range(settings.QP_LOGIN_FAILURES):
        attempt(client, "nobody")
    assert locked("nobody")
    assert attempt(client, "nobody").context["form"].non_field_errors() == known


def test_a_lock_ends_by_itself(client, alice, settings):
    for _ in range(settings.QP_LOGIN_FAILURES):
        attempt(client)
    past = timezone.now() - timedelta(seconds=settings.QP_LOGIN_LOCK_SECONDS + 1)
    LoginLock.objects.update(locked_until=past, last_failure=past)
    assert attempt(client, password=PASSWORD).status_code == 302


def test_the_api_counts_wrong_passwords_too(client, alice, settings):
    body = {"username": "alice", "password": "wrong"}
    for _ in range(settings.QP_LOGIN_FAILURES):
        answer = client.post("/api/token", body, content_type="application/json")
        assert answer.status_code == 401
        assert answer.json()["code"] == "wrong_credentials"
    assert attempt(client, password=PASSWORD).status_code == 200


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
def test_log_in_never_leads_elsewhere(client, alice, target):
    assert attempt(client, password=PASSWORD, next=target).url == reverse("monitoring:dashboard")


def test_log_out_needs_a_post(client, alice):
    client.force_login(alice)
    assert client.get("/accounts/logout/").status_code == 405
    client.post("/accounts/logout/")
    assert "_auth_user_id" not in client.session


def test_an_inactive_person_cannot_log_in(client, alice):
    alice.is_active = False
    alice.save()
    assert attempt(client, password=PASSWORD).status_code == 200


def test_a_reset_mail_leads_to_a_new_password(client, alice, mailoutbox):
    client.post("/accounts/reset/", {"email": "alice@example.com"})
    link = next(line for line in mailoutbox[0].body.splitlines() if line.startswith("http"))
    page = client.get(link, follow=True)
    answer = client.post(
        page.request["PATH_INFO"], {"new_password1": "a longer one 9", "new_password2": "a longer one 9"}
    )
    assert answer.status_code == 302
    alice.refresh_from_db()
    assert alice.check_password("a longer one 9")


def test_a_reset_for_an_unknown_address_says_the_same_and_mails_nothing(client, mailoutbox):
    assert client.post("/accounts/reset/", {"email": "x@example.com"}).status_code == 302
    assert mailoutbox == []


def test_a_password_is_changed_and_audited(client, alice):
    client.force_login(alice)
    data = {"old_password": PASSWORD, "new_password1": "a longer one 9", "new_password2": "a longer one 9"}
    assert client.post("/accounts/password/", data).status_code == 302
    assert AuditEntry.objects.filter(action="password.change", actor=alice).exists()
