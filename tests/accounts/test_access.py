"""Second factors, fresh log-ins, devices, tokens, sharing, leaving."""

from __future__ import annotations

import time
from datetime import timedelta

import jwt
import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    generate_totp_secret,
    hotp_value,
    yield_hotp_counters_from_time,
)
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.utils import timezone

from apps.accounts import groups, ownership, services, shares, tokens
from apps.accounts.engine import addresses, scopes
from apps.accounts.engine.depth import too_deep
from apps.accounts.models import ApiToken, AuditEntry, LoginLock, TokenGrant
from apps.accounts.permissions import has_permission
from apps.strategies.models import Strategy
from apps.strategies.selectors import strategy_visible
from apps.strategies.services import strategy_create
from apps.ui.engine.refusal import Refusal
from tests.strategies.conftest import catalogue  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse 7"  # pragma: allowlist secret
LOGIN = {"username": "alice", "password": PASSWORD}


@pytest.fixture
def secret(alice):
    """Alice with an authenticator app; its key."""
    made = generate_totp_secret()
    TOTP.activate(alice, made)
    RecoveryCodes.activate(alice)
    return made


def code_of(secret: str) -> str:
    cache.clear()  # a code works once: the tests share a half minute
    return format_hotp_value(hotp_value(secret, list(yield_hotp_counters_from_time())[1]))


def age_log_in(client, seconds: int = 3600) -> None:
    """Make the proof of the client's person old."""
    session = client.session
    session["account_authentication_methods"] = [
        {**one, "at": time.time() - seconds} for one in session["account_authentication_methods"]
    ]
    session.save()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


# Second factors


def test_a_password_alone_opens_nothing_once_a_second_factor_is_on(client, secret):
    answer = client.post("/accounts/login/", LOGIN)
    assert answer.url == "/accounts/2fa/authenticate/"
    assert "_auth_user_id" not in client.session
    assert client.get("/accounts/profile/").status_code == 302
    assert client.post("/accounts/2fa/authenticate/", {"code": code_of(secret)}).status_code == 302
    assert client.get("/accounts/profile/").status_code == 200


def test_a_recovery_code_works_once(client, secret, alice):
    code = Authenticator.objects.get(user=alice, type="recovery_codes").wrap().get_unused_codes()[0]
    for works in (True, False):
        client.post("/accounts/login/", LOGIN)
        client.post("/accounts/2fa/authenticate/", {"code": code})
        assert ("_auth_user_id" in client.session) == works
        client.logout()


def test_wrong_codes_lock_the_account_and_the_right_one_then_reads_as_wrong(client, secret, settings):
    client.post("/accounts/login/", LOGIN)
    for _ in range(settings.QP_LOGIN_FAILURES):
        client.post("/accounts/2fa/authenticate/", {"code": "000000"})
    client.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})
    assert "_auth_user_id" not in client.session


def test_the_key_of_the_app_lies_encrypted(secret, alice):
    assert secret not in str(Authenticator.objects.get(user=alice, type="totp").data)


def test_the_api_wants_the_code_too(client, secret):
    answer = client.post("/api/token", LOGIN, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (401, "second_factor")
    good = client.post("/api/token", {**LOGIN, "code": code_of(secret)}, content_type="application/json")
    assert good.status_code == 200


def test_the_admin_has_no_door_of_its_own(client, root):
    assert client.get("/admin/login/").url.startswith("/accounts/login/")
    assert client.post("/admin/login/", {"username": "root", "password": PASSWORD}).status_code == 302
    assert "_auth_user_id" not in client.session


# Fresh log-ins


@pytest.mark.parametrize("path", ["/accounts/secrets/", "/accounts/groups/new/"])
def test_sensitive_pages_ask_again_after_a_quarter_of_an_hour(client, root, path):
    client.force_login(root)
    assert client.get(path).status_code == 200
    age_log_in(client)
    assert client.get(path).url.startswith("/accounts/reauthenticate/")
    client.post(f"/accounts/reauthenticate/?next={path}", {"password": PASSWORD})
    assert client.get(path).status_code == 200


def test_old_proofs_change_no_limits_and_make_no_tokens(client, root, alice):
    client.force_login(root)
    age_log_in(client)
    data = {"role": "advanced", "risk_level": "low", "max_concurrent_sessions": 3, "is_active": "1"}
    assert "/reauthenticate/" in client.post(f"/accounts/people/{alice.pk}/", data).url
    assert "/reauthenticate/" in client.post("/accounts/tokens/", {"name": "x", "days": 30}).url
    answer = client.post("/api/tokens", {"name": "x"}, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (403, "reauthentication_required")
    alice.refresh_from_db()
    assert alice.role == "ordinary"
    assert not ApiToken.objects.exists()


def test_a_wrong_password_at_the_second_asking_counts_and_locks(client, alice, settings):
    client.force_login(alice)
    for _ in range(settings.QP_LOGIN_FAILURES):
        client.post("/accounts/reauthenticate/", {"password": "wrong"})  # pragma: allowlist secret
    assert client.post("/accounts/reauthenticate/", {"password": PASSWORD}).status_code == 200
    assert LoginLock.objects.get(kind="name").locked_until is not None


# Devices


def test_log_out_everywhere_ends_browsers_and_jwts(client, alice):
    from django.test import Client

    other = Client()
    client.post("/accounts/login/", LOGIN)
    other.post("/accounts/login/", LOGIN)
    token = tokens.grant_create(alice)["token"]
    client.post("/accounts/security/end-all/")
    assert other.get("/accounts/profile/").status_code == 302
    assert other.get("/api/me", headers=bearer(token)).status_code == 401


def test_one_browser_is_logged_out_and_a_strangers_is_not_there(client, alice, bob):
    from allauth.usersessions.models import UserSession
    from django.test import Client

    other = Client()
    other.force_login(alice)
    row = UserSession.objects.get(user=alice)
    client.force_login(bob)
    assert client.post(f"/accounts/security/devices/{row.pk}/end/").status_code == 404
    client.force_login(alice)
    assert client.post(f"/accounts/security/devices/{row.pk}/end/").status_code == 302
    assert other.get("/accounts/profile/").status_code == 302


def test_an_address_is_locked_at_its_own_limit(client, alice, settings):
    settings.QP_ADDRESS_FAILURES = 8
    for n in range(8):
        client.post("/accounts/login/", {"username": f"guess{n}", "password": "wrong"})  # pragma: allowlist secret
    assert client.post("/accounts/login/", LOGIN).status_code == 200
    assert client.post("/accounts/login/", LOGIN, REMOTE_ADDR="192.0.2.9").status_code == 302


# Tokens


def test_a_jwt_says_what_it_may_and_ends_with_its_family(client, alice):
    pair = client.post("/api/token", LOGIN, content_type="application/json").json()
    claims = jwt.decode(pair["token"], options={"verify_signature": False})
    assert set(claims) >= {"user_id", "permissions", "trading_enabled", "risk_level", "iat", "exp", "jti"}
    assert claims["exp"] - claims["iat"] == 3600
    client.logout()
    assert client.get("/api/me", headers=bearer(pair["token"])).json()["username"] == "alice"
    refresh = {"refresh_token": pair["refresh_token"]}
    second = client.post("/api/token/refresh", refresh, content_type="application/json").json()
    stolen = client.post("/api/token/refresh", refresh, content_type="application/json")
    assert (stolen.status_code, stolen.json()["code"]) == (401, "refresh_reused")
    assert client.get("/api/me", headers=bearer(second["token"])).status_code == 401


def test_a_revoked_expired_or_forged_jwt_opens_nothing(client, alice, settings):
    pair = tokens.grant_create(alice)
    client.post("/api/token/revoke", {"token": pair["token"]}, content_type="application/json")
    assert client.get("/api/me", headers=bearer(pair["token"])).status_code == 401
    settings.QP_JWT_SECONDS = -10
    assert client.get("/api/me", headers=bearer(tokens.grant_create(alice)["token"])).status_code == 401
    claims = {"user_id": alice.pk, "iat": 1, "exp": 9_999_999_999, "jti": str(TokenGrant.objects.first().jti)}
    for forged in (jwt.encode(claims, "x" * 40, "HS256"), jwt.encode(claims, None, "none")):
        assert client.get("/api/me", headers=bearer(forged)).status_code == 401


def test_a_former_signing_key_still_opens_what_it_signed(client, alice, settings):
    token = tokens.grant_create(alice)["token"]
    old, settings.SECRET_KEY = settings.SECRET_KEY, "n" * 50
    assert client.get("/api/me", headers=bearer(token)).status_code == 401
    settings.SECRET_KEY_FALLBACKS = [old]
    assert client.get("/api/me", headers=bearer(token)).status_code == 200


def test_a_token_reaches_its_scopes_only(client, alice):
    _row, plain = tokens.token_create(alice, "reader", scopes=["strategies:read"])
    assert client.get("/api/strategies/", headers=bearer(plain)).status_code == 200
    for method, path in (("GET", "/api/sessions/"), ("POST", "/api/strategies/"), ("GET", "/api/me")):
        answer = client.generic(method, path, "{}", "application/json", headers=bearer(plain))
        assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")


def test_a_token_cannot_make_a_stronger_one(client, alice):
    _row, plain = tokens.token_create(alice, "x", scopes=["account:write"])
    body = {"name": "y", "scopes": ["*"]}
    answer = client.post("/api/tokens", body, content_type="application/json", headers=bearer(plain))
    assert answer.status_code == 403
    with pytest.raises(Refusal, match="no scope"):
        tokens.token_create(alice, "x", scopes=["fly"])


def test_a_token_works_from_its_addresses_only(client, alice):
    _row, plain = tokens.token_create(alice, "x", addresses=["192.0.2.0/24"])
    assert client.get("/api/me", headers=bearer(plain)).status_code == 401
    assert client.get("/api/me", headers=bearer(plain), REMOTE_ADDR="192.0.2.7").status_code == 200
    assert ApiToken.objects.get().last_used_from == "192.0.2.7"


def test_too_many_requests_are_told_when_to_come_back(client, alice, settings):
    settings.QP_API_RATE = 3
    cache.clear()
    _row, plain = tokens.token_create(alice, "x")
    codes = [client.get("/api/me", headers=bearer(plain)).status_code for _ in range(3)]
    last = client.get("/api/me", headers=bearer(plain))
    assert codes == [200, 200, 200]
    assert last.status_code == 429
    assert 1 <= int(last["Retry-After"]) <= 61
    assert client.get("/api/health").status_code == 200
    for n in range(5):
        guess = client.get("/api/me", headers=bearer(f"qp_guess{n}"))
    assert guess.status_code == 429, "each guess has a token of its own, and the address is counted"


def test_other_origins_are_answered_only_where_named(client, settings):
    origin = {"Origin": "https://desk.example"}
    assert "Access-Control-Allow-Origin" not in client.get("/api/health", headers=origin)
    settings.CORS_ALLOWED_ORIGINS = ["https://desk.example"]
    answer = client.get("/api/health", headers=origin)
    assert answer["Access-Control-Allow-Origin"] == "https://desk.example"
    assert "Access-Control-Allow-Credentials" not in answer
    assert "Access-Control-Allow-Origin" not in client.get("/accounts/login/", headers=origin)


def test_what_nests_too_deep_or_is_too_long_is_refused(client, alice, settings):
    client.force_login(alice)
    deep = client.post("/api/tokens", "[" * 5000 + "]" * 5000, content_type="application/json")
    assert deep.status_code == 400
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    assert client.post("/api/tokens", '"' + "a" * 2000 + '"', content_type="application/json").status_code in {400, 413}
    assert not too_deep(b'{"a": "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["}')


def test_scopes_close_what_nobody_named():
    assert scopes.scope_needed("GET", "brand-new/thing") == "*"
    assert not scopes.allows(["account:read"], "account:write")
    assert scopes.allows(["account:write"], "account:read")


@pytest.mark.parametrize(
    ("forwarded", "hops", "expected"),
    [("", 1, "10.0.0.1"), ("6.6.6.6, 192.0.2.7", 1, "192.0.2.7"), ("6.6.6.6, 192.0.2.7, 10.0.0.2", 2, "192.0.2.7"),
     ("192.0.2.7", 0, "10.0.0.1"), ("rubbish", 1, "10.0.0.1"), ("192.0.2.7", 2, "10.0.0.1")],
)  # fmt: skip
def test_only_our_own_proxies_are_believed(forwarded, hops, expected):
    assert addresses.client("10.0.0.1", forwarded, hops) == expected


# Sharing, groups, leaving


@pytest.fixture
def strategy(catalogue, alice):  # noqa: F811
    return strategy_create(owner=alice, name="mine", type_key="rule", config={})


def test_a_shared_strategy_is_read_and_edited_as_allowed(client, strategy, alice, bob):
    client.force_login(bob)
    page, edit = f"/strategies/{strategy.pk}/", f"/strategies/{strategy.pk}/edit/"
    assert client.get(page).status_code == 404
    shares.share_create(actor=alice, obj=strategy, receiver="bob")
    assert client.get(page).status_code == 200
    assert client.get(edit).status_code == 404
    assert edit not in client.get(page).content.decode()
    assert client.get(f"/accounts/share/strategy/{strategy.pk}/").status_code == 404, "the sharing is the owner's"
    shares.share_create(actor=alice, obj=strategy, receiver="bob", can_edit=True)
    assert client.get(edit).status_code == 200
    shares.share_delete(actor=alice, obj=strategy, pk=shares.shares_of(strategy).get().pk)
    assert client.get(page).status_code == 404


def test_a_group_shares_and_grants(client, strategy, alice, bob, root):
    group = groups.group_save(actor=root, name="desk", permissions=["data.override"], members=[alice, bob])
    assert has_permission(bob, "data.override")
    shares.share_create(actor=alice, obj=strategy, receiver="group:desk")
    assert strategy_visible(bob).count() == 1
    groups.group_delete(actor=root, group=group)
    assert strategy_visible(bob).count() == 0
    with pytest.raises(Refusal, match="No group"):
        groups.group_save(actor=root, name="x", permissions=["user.admin"], members=[])
    assert not Group.objects.filter(name="x").exists()


@pytest.mark.parametrize("receiver", ["nobody", "group:none", "alice", ""])
def test_sharing_with_nobody_or_the_owner_is_refused(strategy, alice, receiver):
    with pytest.raises(Refusal):
        shares.share_create(actor=alice, obj=strategy, receiver=receiver)


def test_what_a_leaver_owns_moves_and_the_account_closes(client, strategy, alice, bob, root):
    strategy_create(owner=bob, name="mine", type_key="rule", config={})
    tokens.token_create(alice, "x")
    client.force_login(root)
    answer = client.post(f"/accounts/people/{alice.pk}/leave/", {"heir": bob.pk})
    assert answer.status_code == 302
    assert sorted(Strategy.objects.filter(owner=bob).values_list("name", flat=True)) == ["mine", "mine (alice)"]
    alice.refresh_from_db()
    assert not alice.is_active
    assert not ApiToken.objects.filter(revoked_at=None).exists()
    assert AuditEntry.objects.get(action="user.leave").details["moved"] == {"strategies.strategy": 1}
    with pytest.raises(Refusal):
        ownership.ownership_transfer(actor=root, leaver=bob, heir=bob)


def test_an_unlocked_person_may_try_again(client, alice, root, settings):
    LoginLock.objects.create(username="alice", failures=9, locked_until=timezone.now() + timedelta(hours=1))
    client.force_login(root)
    client.post(f"/accounts/people/{alice.pk}/unlock/")
    client.logout()
    assert client.post("/accounts/login/", LOGIN).status_code == 302
    assert not services.login_unlock(actor=None, username="alice")


def test_the_page_of_tokens_shows_how_to_begin_from_python(client, alice):
    client.force_login(alice)
    page = client.get("/accounts/tokens/").content.decode()
    assert "export QUANT_PLATFORM_URL=http://testserver" in page
    assert "from quant_platform.client import Client" in page
