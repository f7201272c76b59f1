"""Passkeys with the browser's virtual authenticator: made, used at both doors, renamed, removed.

A passkey belongs to a name, never to an address in numbers: the test calls the server ``localhost``.
"""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from .conftest import PASSWORD, overflow

DEVICE = {
    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
    "isUserVerified": True, "automaticPresenceSimulation": True,
}  # fmt: skip
WORDS = {
    "en": {"none": "You have no passkey", "kind": "logs in without a password"},
    "zh-hans": {"none": "您还没有通行密钥", "kind": "无需密码即可登录"},
}


@pytest.fixture
def device(make_page, server):
    """A stranger's browser on ``localhost`` with a device that recognises its owner; returns page, site, link to the device."""
    page = make_page(user=None)
    link = page.context.new_cdp_session(page)
    link.send("WebAuthn.enable")
    key = link.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})["authenticatorId"]
    return page, server.url.replace("127.0.0.1", "localhost"), (link, key)


def person(server, name: str, language: str) -> str:
    server.manage(
        code=f"""
from apps.accounts.models import User
User.objects.create_user("{name}", "{name}@example.com", "{PASSWORD}", language="{language}")
"""
    )
    return name


def enter(page, site: str, name: str) -> None:
    page.goto(f"{site}/accounts/login/")
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", PASSWORD)
    page.click("form:has(input[name=password]) button.p")


def log_out(page) -> None:
    page.evaluate("document.querySelector('form[action$=\"/accounts/logout/\"]').submit()")
    page.wait_for_url("**/accounts/login/**")


def keys_held(link) -> int:
    session, authenticator = link
    return len(session.send("WebAuthn.getCredentials", {"authenticatorId": authenticator})["credentials"])


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_a_passkey_is_made_logs_in_and_is_removed(device, server, axe, language):
    page, site, link = device
    name, words = person(server, f"key-{language}", language), WORDS[language]
    enter(page, site, name)
    page.wait_for_url(f"{site}/")

    page.goto(f"{site}/accounts/2fa/webauthn/")
    expect(page.locator("main")).to_contain_text(words["none"])
    assert axe(page) == []
    page.click("main a.btn.p")
    page.wait_for_url("**/webauthn/add/")
    assert axe(page) == []
    page.fill("input[name=name]", "Laptop")
    page.check("input[name=passwordless]")
    page.click("#passkey_go")
    page.wait_for_url(lambda url: "/webauthn/add/" not in url)
    assert keys_held(link) == 1
    expect(page.locator("#recovery-codes code")).to_have_count(10)
    page.goto(f"{site}/accounts/2fa/webauthn/")
    row = page.locator("main tbody tr")
    expect(row).to_contain_text("Laptop")
    expect(row).to_contain_text(words["kind"])
    assert axe(page) == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert overflow(page) <= 0
    page.set_viewport_size({"width": 1440, "height": 900})

    # The key alone opens the door: it knows whose it is, and asked the device to recognise its owner.
    log_out(page)
    page.click("#passkey_login")
    page.wait_for_url(f"{site}/")
    page.goto(f"{site}/accounts/security/")
    expect(page.locator("main")).to_contain_text("Laptop")

    # It is a second factor too: the password alone opens nothing.
    log_out(page)
    enter(page, site, name)
    page.wait_for_url("**/accounts/2fa/authenticate/")
    assert axe(page) == []
    page.click("#passkey_go")
    page.wait_for_url(f"{site}/")

    page.goto(f"{site}/accounts/2fa/webauthn/")
    page.click("main tbody a[href$='/edit/']")
    page.fill("input[name=name]", "Desk")
    page.click("main button.p")
    page.wait_for_url("**/2fa/webauthn/")
    expect(page.locator("main tbody tr")).to_contain_text("Desk")
    page.click("main tbody a[href$='/remove/']")
    assert axe(page) == []
    page.click("main button.d")
    page.wait_for_url("**/2fa/webauthn/")
    expect(page.locator("main")).to_contain_text(words["none"])

    # The device still holds the key, which opens nothing any more; the password does again.
    log_out(page)
    assert keys_held(link) == 1
    page.click("#passkey_login")
    page.wait_for_load_state("networkidle")
    expect(page).to_have_url(re.compile("login"))
    page.goto(f"{site}/accounts/security/")
    expect(page).to_have_url(re.compile("/accounts/login/"))
    enter(page, site, name)
    page.wait_for_url(f"{site}/")
