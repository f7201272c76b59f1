"""Where the installation asks for a second factor, nothing opens before there is one."""

from __future__ import annotations

import pytest
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret

from apps.accounts.fresh import must_enrol

pytestmark = pytest.mark.django_db
LOGIN = {"username": "alice", "password": "correct horse 7"}  # pragma: allowlist secret
SETUP = "/accounts/2fa/totp/activate/"


@pytest.mark.parametrize(
    ("wanted", "alice_must", "root_must"), [("optional", 0, 0), ("administrators", 0, 1), ("all", 1, 1)]
)
def test_who_must_have_one(alice, root, settings, wanted, alice_must, root_must):
    settings.QP_SECOND_FACTOR = wanted
    assert (must_enrol(alice), must_enrol(root)) == (bool(alice_must), bool(root_must))
    TOTP.activate(root, generate_totp_secret())
    assert not must_enrol(root)


def test_every_page_leads_to_the_setup_until_it_is_done(client, alice, settings):
    settings.QP_SECOND_FACTOR = "all"
    client.force_login(alice)
    for path in ("/", "/sessions/", "/accounts/tokens/"):
        assert client.get(path)["Location"] == SETUP
    page = client.get(SETUP)
    assert page.status_code == 200
    assert "asks for a second factor" in page.content.decode()
    TOTP.activate(alice, generate_totp_secret())
    assert client.get("/sessions/").status_code == 200


def test_leaving_and_choosing_a_language_stay_open(client, alice, settings):
    settings.QP_SECOND_FACTOR = "all"
    client.force_login(alice)
    assert client.post("/accounts/language/", {"language": "zh-hans", "next": "/"}).status_code == 302
    assert client.post("/accounts/logout/").status_code in {200, 302}
    assert client.get("/sessions/")["Location"].startswith("/accounts/login/")


def test_programs_are_told_why(client, alice, settings):
    settings.QP_SECOND_FACTOR = "all"
    got = client.post("/api/token", LOGIN, content_type="application/json")
    assert (got.status_code, got.json()["code"]) == (403, "second_factor_required")
    client.force_login(alice)
    got = client.get("/api/sessions/")
    assert (got.status_code, got.json()["code"]) == (403, "second_factor_required")
    assert client.get("/api/health").status_code == 200
