"""Headers and transport under ``QP_ENV=production``, in a process of its own: settings are read once."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

ASK = """
import json
from django.test import Client
def answer(client, path, **more):
    got = client.get(path, **more)
    cookies = {name: [bool(one["secure"]), one["samesite"], one["path"]] for name, one in got.cookies.items()}
    return {"status": got.status_code, "headers": dict(got.headers), "cookies": cookies, "body": got.content.decode()[:4000]}
client = Client(headers={"host": "quant.example"})
print(json.dumps({
    "plain": answer(client, "/accounts/login/"),
    "behind_proxy": answer(client, "/accounts/login/", headers={"x-forwarded-proto": "https"}),
    "health": answer(client, "/api/health"),
    "host": answer(Client(headers={"host": "evil.example"}), "/accounts/login/", headers={"x-forwarded-proto": "https"}),
    "foreign": answer(client, "/api/health", headers={"origin": "https://evil.example"}),
}))
"""


def manage(*arguments, code="", var, **environment):
    settings = {
        **os.environ, "QP_ENV": "production", "DJANGO_SETTINGS_MODULE": "quant_platform.settings", "VAR_DIR": str(var),
        "SECRET_KEY": "k" * 20 + "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGH", "ALLOWED_HOSTS": "quant.example",  # pragma: allowlist secret
        "DATABASE_URL": "", "REDIS_URL": "", "BEHIND_PROXY": "true", **environment,
    }  # fmt: skip
    call = [sys.executable, "manage.py", *(arguments or ("shell", "-v0"))]
    return subprocess.run(
        call, input=code, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    var = tmp_path_factory.mktemp("production")
    assert manage("migrate", "--verbosity", "0", var=var).returncode == 0
    done = manage(code=ASK, var=var)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_deployment_checks_find_nothing(tmp_path):
    done = manage("check", "--deploy", "--fail-level", "WARNING", var=tmp_path, METRICS_TOKEN="m" * 32)
    assert done.returncode == 0, done.stderr


def test_without_tls_one_is_sent_to_it_but_probes_are_answered(answers):
    assert answers["plain"]["status"] == 301
    assert answers["plain"]["headers"]["Location"] == "https://quant.example/accounts/login/"
    assert answers["health"]["status"] == 200


def test_a_page_is_guarded_by_its_headers(answers):
    headers = answers["behind_proxy"]["headers"]
    assert answers["behind_proxy"]["status"] == 200
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains; preload"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]


def test_cookies_travel_over_tls_only_and_stay_on_this_host(answers):
    cookies = answers["behind_proxy"]["cookies"]
    assert cookies, "the log-in page sets the form's cookie"
    for name, (secure, same_site, path) in cookies.items():
        assert name.startswith("__Host-")
        assert (secure, same_site, path) == (True, "Lax", "/")


def test_a_page_has_no_inline_script_or_style(answers):
    body = answers["behind_proxy"]["body"]
    assert "<script>" not in body
    assert "<style" not in body
    assert " style=" not in body


def test_another_host_is_refused_without_a_word_about_ours(answers):
    assert answers["host"]["status"] == 400
    assert "quant.example" not in answers["host"]["body"]


def test_another_origin_is_told_nothing_by_the_browser(answers):
    assert "Access-Control-Allow-Origin" not in answers["foreign"]["headers"]
