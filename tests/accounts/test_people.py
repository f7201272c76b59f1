"""Permissions, invitations, limits, tokens, notices, preferences."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.utils import timezone, translation

from apps.accounts import services, tokens
from apps.accounts.models import ApiToken, AuditEntry, Invitation, Notice, Role, User
from apps.accounts.notices import notice_text, notify
from apps.accounts.permissions import PERMISSIONS, TRADING, has_permission, require_permission
from apps.ui.engine.refusal import Refusal

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("name", list(PERMISSIONS))
def test_permissions_follow_the_role_and_trading_its_switch(name, role):
    user = User(username="x", role=role, trading_enabled=False)
    assert has_permission(user, name) == (role in PERMISSIONS[name] and name not in TRADING)
    user.trading_enabled = True
    assert has_permission(user, name) == (role in PERMISSIONS[name])
    user.is_active = False
    assert not has_permission(user, name)


def test_an_unknown_permission_is_a_mistake_of_the_program(alice):
    with pytest.raises(KeyError):
        has_permission(alice, "fly")
    with pytest.raises(PermissionDenied):
        require_permission(alice, "user.admin")


def test_the_first_superuser_is_an_administrator():
    user = User.objects.create_superuser("boss", "boss@example.com", "x")
    assert user.is_administrator
    assert user.is_staff


def test_leaving_the_role_closes_the_admin_site(root):
    root.role = Role.ORDINARY
    root.save()
    assert not root.is_staff


def test_audit_rows_are_written_once(alice):
    entry = services.audit(alice, "test", alice, {"a": 1})
    with pytest.raises(TypeError):
        entry.save()
    with pytest.raises(TypeError):
        entry.delete()


def test_an_invitation_makes_a_person_once(client, root, mailoutbox):
    client.force_login(root)
    answer = client.post("/accounts/people/", {"email": "new@example.com", "role": "advanced"})
    link = answer.context["link"]
    assert link in mailoutbox[0].body
    client.logout()
    data = {"username": "newcomer", "password": "a longer one 9", "again": "a longer one 9"}
    assert client.post(link, data).status_code == 302
    user = User.objects.get(username="newcomer")
    assert (user.role, user.email) == ("advanced", "new@example.com")
    client.logout()
    assert client.get(link).status_code == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"again": "different 12345"}, "again"),
        ({"password": "short", "again": "short"}, "password"),
        ({"username": "root"}, "username"),
    ],
)
def test_joining_says_what_is_wrong_at_the_field(client, root, change, field):
    _row, secret = services.invitation_create(actor=root, email="n@example.com", role="ordinary")
    data = {"username": "newcomer", "password": "a longer one 9", "again": "a longer one 9", **change}
    answer = client.post(f"/accounts/join/{secret}/", data)
    assert answer.status_code == 422
    assert answer.context["form"].errors[field]
    assert not User.objects.filter(username="newcomer").exists()


def test_an_invitation_that_is_old_or_revoked_opens_nothing(root):
    row, secret = services.invitation_create(actor=root, email="n@example.com", role="ordinary")
    Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(Refusal, match="not valid any more"):
        services.invitation_open(secret)
    Invitation.objects.update(expires_at=timezone.now() + timedelta(days=1))
    services.invitation_revoke(row, root)
    with pytest.raises(Refusal):
        services.invitation_open(secret)


def test_inviting_a_known_address_is_refused(client, root, alice):
    client.force_login(root)
    answer = client.post("/accounts/people/", {"email": "ALICE@example.com", "role": "ordinary"})
    assert answer.status_code == 422
    assert "email" in answer.context["form"].errors


def test_only_administrators_see_people(client, alice):
    client.force_login(alice)
    assert client.get("/accounts/people/").status_code == 403
    assert client.get(f"/accounts/people/{alice.pk}/").status_code == 403
    assert client.post("/accounts/invitations/1/revoke/").status_code == 403


def test_limits_are_changed_by_administrators_and_audited(client, root, alice):
    client.force_login(root)
    data = {
        "role": "advanced",
        "trading_enabled": "1",
        "risk_level": "high",
        "max_concurrent_sessions": 5,
        "is_active": "1",
    }
    assert client.post(f"/accounts/people/{alice.pk}/", data).status_code == 302
    alice.refresh_from_db()
    assert (alice.role, alice.trading_enabled, alice.max_concurrent_sessions) == ("advanced", True, 5)
    assert AuditEntry.objects.get(action="user.limits").details["role"] == ["ordinary", "advanced"]


def test_nobody_takes_away_their_own_role(client, root):
    client.force_login(root)
    data = {"role": "ordinary", "risk_level": "low", "max_concurrent_sessions": 3, "is_active": "1"}
    assert client.post(f"/accounts/people/{root.pk}/", data).status_code == 422
    root.refresh_from_db()
    assert root.is_administrator


def test_a_token_is_shown_once_and_kept_as_a_hash(client, alice):
    client.force_login(alice)
    plain = client.post("/accounts/tokens/", {"name": "script", "days": 30}).context["plain"]
    row = ApiToken.objects.get()
    assert row.token_hash == hashlib.sha256(plain.encode()).hexdigest()
    assert plain not in client.get("/accounts/tokens/").content.decode()
    client.logout()
    me = client.get("/api/me", headers={"Authorization": f"Bearer {plain}"})
    assert me.json()["username"] == "alice"


@pytest.mark.parametrize("change", [{"revoked_at": timezone.now()}, {"expires_at": timezone.now() - timedelta(days=1)}])
def test_a_revoked_or_expired_token_opens_nothing(client, alice, change):
    _row, plain = tokens.token_create(alice, "script")
    ApiToken.objects.update(**change)
    answer = client.get("/api/me", headers={"Authorization": f"Bearer {plain}"})
    assert answer.status_code == 401
    assert answer.json()["code"] == "authentication_required"


def test_a_token_without_a_name_is_refused(client, alice):
    client.force_login(alice)
    assert client.post("/accounts/tokens/", {"name": " ", "days": 30}).status_code == 422
    with pytest.raises(Refusal, match="name"):
        tokens.token_create(alice, "  ")


def test_a_stranger_cannot_revoke_a_token(client, alice, bob):
    row, _plain = tokens.token_create(alice, "script")
    client.force_login(bob)
    assert client.post(f"/accounts/tokens/{row.pk}/revoke/").status_code == 404
    client.force_login(alice)
    assert client.post(f"/accounts/tokens/{row.pk}/revoke/").status_code == 302
    assert ApiToken.objects.get().revoked_at is not None


def test_the_cookie_api_wants_the_csrf_token(alice):
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    assert client.get("/api/me").status_code == 200
    assert client.post("/api/ws-ticket").status_code == 403
    assert Client(enforce_csrf_checks=True).post("/api/ws-ticket").status_code == 401


def test_tokens_over_the_api(client, alice):
    client.force_login(alice)
    made = client.post("/api/tokens", {"name": "a", "days": 1}, content_type="application/json")
    assert made.status_code == 201
    assert made.json()["token"].startswith("qp_")
    listed = client.get("/api/tokens").json()
    assert "token" not in listed[0]
    assert client.delete(f"/api/tokens/{listed[0]['id']}").status_code == 204
    assert client.delete("/api/tokens/999").status_code == 404


def test_a_ticket_works_once_and_for_a_minute(alice):
    ticket = services.ticket_create(alice)
    assert services.ticket_use(ticket) == alice
    assert services.ticket_use(ticket) is None
    assert services.ticket_use("made up") is None


def test_notices_belong_to_one_person(client, alice, bob):
    notice = notify(alice, "session.failed", "error", "/sessions/1/", id=1, title="DQN")
    client.force_login(bob)
    client.post(f"/accounts/notices/{notice.pk}/read/")
    assert Notice.objects.get().read_at is None
    assert "DQN" not in client.get("/accounts/notices/").content.decode()
    client.force_login(alice)
    assert "DQN" in client.get("/accounts/notices/?show=unread").content.decode()
    client.post(f"/accounts/notices/{notice.pk}/read/")
    assert Notice.objects.get().read_at is not None


def test_all_notices_are_read_at_once(client, alice):
    for _ in range(3):
        notify(alice, "session.completed", id=1, title="x")
    client.force_login(alice)
    client.post("/accounts/notices/read/")
    assert not Notice.objects.filter(read_at=None).exists()
    assert client.get("/api/notices?unread=true").json() == []


def test_a_notice_is_read_in_the_readers_language(alice):
    notice = notify(alice, "session.failed", "error", id=7, title="DQN")
    assert notice_text(notice) == "DQN has failed (session 7)."
    with translation.override("zh-hans"):
        assert notice_text(notice) != "DQN has failed (session 7)."
    notice.code = "unknown.code"
    assert notice_text(notice) == "unknown.code"


def test_the_language_follows_person_cookie_and_browser(client, alice):
    assert 'lang="en"' in client.get("/accounts/login/").content.decode()
    assert 'lang="zh-Hans"' in client.get("/accounts/login/", headers={"Accept-Language": "zh-CN"}).content.decode()
    client.post("/accounts/language/", {"language": "zh-hans", "next": "/accounts/login/"})
    assert 'lang="zh-Hans"' in client.get("/accounts/login/").content.decode()
    client.force_login(alice)
    client.post("/accounts/language/", {"language": "en"})
    alice.refresh_from_db()
    assert alice.language == "en"
    client.post("/accounts/language/", {"language": "xx"})
    alice.refresh_from_db()
    assert alice.language == "en"


def test_the_theme_is_kept(client, alice):
    client.force_login(alice)
    answer = client.post("/accounts/theme/", {"theme": "dark", "next": "https://evil.example"})
    assert answer.url == "/"
    assert 'data-theme="dark"' in client.get("/accounts/profile/").content.decode()


def test_a_wrong_time_zone_is_refused_at_the_field(client, alice):
    client.force_login(alice)
    data = {"language": "", "theme": "", "up_color": "", "time_zone": "Mars/Olympus"}
    answer = client.post("/accounts/profile/", data)
    assert answer.status_code == 422
    assert "time_zone" in answer.context["form"].errors
    assert client.post("/accounts/profile/", {**data, "time_zone": "Asia/Shanghai"}).status_code == 302


@pytest.mark.parametrize("path", ["profile", "tokens", "notices", "people", "password"])
def test_pages_send_strangers_to_the_log_in(client, path):
    answer = client.get(f"/accounts/{path}/")
    assert answer.status_code == 302
    assert answer.url.startswith("/accounts/login/")


@pytest.mark.parametrize("model", ["user", "apitoken", "invitation", "loginlock", "auditentry", "notice"])
def test_the_admin_lists_every_model_without_a_hash(client, root, model):
    row, _secret = services.invitation_create(actor=root, email="n@example.com", role="ordinary")
    token, _plain = tokens.token_create(root, "script")
    notify(root, "x")
    client.force_login(root)
    page = client.get(f"/admin/accounts/{model}/")
    assert page.status_code == 200
    assert token.token_hash not in page.content.decode()
    assert row.token_hash not in page.content.decode()


def test_the_admin_unlocks_and_revokes(client, root):
    from apps.accounts.backends import note_failure
    from apps.accounts.models import LoginLock

    note_failure("somebody")
    tokens.token_create(root, "script")
    client.force_login(root)
    for model, action, rows in (("loginlock", "unlock", LoginLock), ("apitoken", "revoke", ApiToken)):
        data = {"action": action, "_selected_action": [rows.objects.get().pk]}
        assert client.post(f"/admin/accounts/{model}/", data).status_code == 302
    assert not LoginLock.objects.exists()
    assert ApiToken.objects.get().revoked_at is not None
