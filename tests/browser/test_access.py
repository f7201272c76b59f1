"""A person's way through the doors: second factor, recovery code, lock-out, a stolen cookie."""

from __future__ import annotations

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time

from tests.browser.conftest import PASSWORD


def totp_code(secret: str) -> str:
    """Return the code an authenticator app shows now: that of the step before would be refused as soon as the next
    half minute begins."""
    _before, now, _next = yield_hotp_counters_from_time()
    return format_hotp_value(hotp_value(secret, now))


@pytest.fixture
def carol(server):
    """A person of this test's own, without a second factor."""
    code = f"""
from apps.accounts.models import User, LoginLock
User.objects.filter(username="carol").exists() or User.objects.create_user(
    "carol", "carol@example.com", "{PASSWORD}", language="en")
LoginLock.objects.all().delete()
"""
    server.manage(code=code)
    return "carol"


def enter(page, name: str, password: str = PASSWORD) -> None:
    page.goto("/accounts/login/")
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", password)
    page.click("form:has(input[name=password]) button.p")


def log_out(page) -> None:
    page.goto("/accounts/security/")
    page.evaluate("document.querySelector('form[action$=\"/accounts/logout/\"]').submit()")
    page.wait_for_url("**/accounts/login/**")


def test_second_factor_recovery_code_lock_and_unlock(make_page, carol, server):
    page = make_page(user=None)
    enter(page, carol)
    page.wait_for_url("**/")
    page.goto("/accounts/2fa/totp/activate/")
    secret = page.inner_text("#totp-secret")
    page.fill("input[name=code]", totp_code(secret))
    page.click("main button.p")
    page.wait_for_selector("#recovery-codes")
    codes = page.locator("#recovery-codes code").all_inner_texts()
    assert len(codes) == 10

    log_out(page)
    enter(page, carol)
    page.wait_for_url("**/accounts/2fa/authenticate/")
    page.goto("/accounts/security/")
    assert "/accounts/login/" in page.url, "the password alone must open nothing"

    enter(page, carol)
    page.wait_for_url("**/accounts/2fa/authenticate/")
    # The code that enrolled is spent for its half minute: that of the next step is accepted too.
    server.manage(code="from django.core.cache import cache; cache.clear()")
    counters = list(yield_hotp_counters_from_time())
    page.fill("input[name=code]", format_hotp_value(hotp_value(secret, counters[-1])))
    page.click("form:has(input[name=code]) button.p")
    page.wait_for_url(lambda url: "/2fa/" not in url)

    log_out(page)
    enter(page, carol)
    page.fill("input[name=code]", codes[0])
    page.click("form:has(input[name=code]) button.p")
    page.wait_for_url(lambda url: "/2fa/" not in url)

    log_out(page)
    for _ in range(5):
        enter(page, carol, "wrong")
        page.wait_for_selector(".e")
    enter(page, carol)
    page.wait_for_selector(".e")

    admin = make_page()
    pk = server.manage(
        code="from apps.accounts.models import User; print(User.objects.get(username='carol').pk)"
    ).strip()
    admin.goto(f"/accounts/people/{pk}/")
    admin.click("form[action$='/unlock/'] button")
    admin.wait_for_url(f"**/accounts/people/{pk}/")
    enter(page, carol)
    page.wait_for_url("**/accounts/2fa/authenticate/")


def test_a_stolen_cookie_ends_with_log_out_everywhere(make_page, server):
    server.manage(
        code=f"""
from apps.accounts.models import User
User.objects.create_user("dave", "dave@example.com", "{PASSWORD}", language="en")
"""
    )
    page, thief = make_page(user=None), make_page(user=None)
    enter(page, "dave")
    page.wait_for_url("**/")
    thief.context.add_cookies(page.context.cookies())
    thief.goto("/accounts/security/")
    assert "/accounts/security/" in thief.url
    page.goto("/accounts/security/")
    page.click("form[action$='/end-all/'] button")
    page.wait_for_url("**/accounts/login/")
    thief.goto("/accounts/security/")
    assert "/accounts/login/" in thief.url


@pytest.mark.parametrize("path", ["security", "secrets", "tokens", "groups", "audit", "people"])
def test_pages_of_access_fit_the_phone_and_pass_axe(make_page, axe, path):
    page = make_page(phone=True)
    page.goto(f"/accounts/{path}/")
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert axe(page) == []
