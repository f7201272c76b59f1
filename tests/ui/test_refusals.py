"""A refusal is one sentence in the reader's language, as a page, a partial or text; headers go with every answer."""

from __future__ import annotations

import pytest
from django.http import HttpResponse
from django.urls import path
from django.utils import translation

from apps.ui.engine.refusal import Refusal
from apps.ui.middleware import POLICY
from apps.ui.refusals import refusal_text
from quant_platform.urls import urlpatterns as site


def refuse(request):
    raise Refusal("too_many", "You have %(count)s <b>sessions</b>.", status=429, count=3)


def fail(request):
    raise RuntimeError("a defect")


def own_policy(request):
    return HttpResponse("x", headers={"Content-Security-Policy": "default-src 'none'"})


urlpatterns = [*site, path("refuse/", refuse), path("fail/", fail), path("own/", own_policy)]
pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


def test_a_refusal_becomes_a_page_with_its_status(client):
    response = client.get("/refuse/")
    html = response.content.decode()
    assert response.status_code == 429
    assert "You have 3 &lt;b&gt;sessions&lt;/b&gt;." in html
    assert "<html" in html
    assert 'data-code="too_many"' in html


def test_htmx_gets_the_partial_alone(client):
    response = client.get("/refuse/", headers={"HX-Request": "true"})
    assert response.status_code == 429
    assert "<html" not in response.content.decode()
    assert 'role="alert"' in response.content.decode()


def test_a_defect_is_a_page_of_its_own_that_tells_nothing(client):
    client.raise_request_exception = False
    response = client.get("/fail/")
    assert response.status_code == 500
    assert "Something went wrong on our side" in response.content.decode()
    assert "a defect" not in response.content.decode()


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_a_missing_page_speaks_the_readers_language(client, language):
    client.cookies["django_language"] = language
    html = client.get("/nowhere/").content.decode()
    assert ("There is nothing here" in html) == (language == "en")
    assert ("这里没有内容" in html) == (language == "zh-hans")


def test_a_form_without_its_token_is_a_refusal_that_says_what_to_do(alice):
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    response = client.post("/accounts/theme/", {"theme": "dark"})
    assert response.status_code == 403
    assert "reload the page" in response.content.decode()


def test_every_answer_carries_the_policy_and_a_stricter_one_stays(client):
    response = client.get("/accounts/login/")
    assert response["Content-Security-Policy"] == POLICY
    assert "unsafe" not in POLICY
    assert "camera=()" in response["Permissions-Policy"]
    assert client.get("/own/")["Content-Security-Policy"] == "default-src 'none'"


def test_the_sentence_is_translated_and_filled():
    refusal = Refusal("x", "Draft")
    assert str(refusal) == refusal_text(refusal) == "Draft"
    with translation.override("zh-hans"):
        assert refusal_text(refusal) == "草稿"
    assert str(Refusal("x", "%(a)s and %(b)s", a=1, b=2)) == "1 and 2"
