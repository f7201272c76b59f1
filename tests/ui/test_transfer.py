"""Compressed bodies of the API: taken apart with a limit, packed only where that is safe."""

from __future__ import annotations

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import AsyncRequestFactory, RequestFactory

from apps.accounts import tokens
from apps.accounts.models import ApiToken
from apps.ui.engine.encoding import CODINGS, decoded, encoded
from apps.ui.engine.refusal import Refusal
from apps.ui.transfer import unpack

pytestmark = pytest.mark.django_db
BODY = json.dumps({"name": "x", "scopes": ["account:read"]}).encode()


@pytest.fixture
def bearer(alice):
    return {"Authorization": f"Bearer {tokens.token_create(alice, 'x')[1]}"}


def make_token(client, data, headers, **more):
    return client.post("/api/tokens", data, content_type="application/json", headers={**headers, **more})


@pytest.mark.parametrize("coding", CODINGS)
def test_a_packed_body_is_read_as_its_content(client, bearer, coding):
    answer = make_token(client, encoded(BODY, coding), bearer, **{"Content-Encoding": coding})
    assert answer.status_code == 201
    assert answer.json()["scopes"] == ["account:read"]


@pytest.mark.parametrize(
    ("data", "coding", "status", "code"),
    [
        (BODY, "br", 415, "unsupported_encoding"),
        (BODY, "gzip", 400, "broken_body"),
        (encoded(BODY, "zstd")[:-2], "zstd", 400, "broken_body"),
        (encoded(bytes(6_000_000), "gzip"), "gzip", 413, "body_too_large"),
        (encoded(bytes(6_000_000), "zstd"), "zstd", 413, "body_too_large"),
    ],
)
def test_what_cannot_be_read_is_a_problem_document_and_changes_nothing(client, bearer, data, coding, status, code):
    before = ApiToken.objects.count()
    answer = make_token(client, data, bearer, **{"Content-Encoding": coding})
    assert answer.status_code == status
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == code
    assert answer.get("Accept-Encoding") == ("zstd, gzip" if status == 415 else None)
    assert ApiToken.objects.count() == before


def test_the_problem_speaks_the_callers_language(client, bearer):
    answer = make_token(client, BODY, bearer, **{"Content-Encoding": "br", "Accept-Language": "zh-hans"})
    assert "zstd, gzip" in answer.json()["detail"]
    assert answer.json()["detail"] != make_token(client, BODY, bearer, **{"Content-Encoding": "br"}).json()["detail"]


def test_a_plain_body_that_is_too_long_is_a_problem_document_too(client, bearer, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    answer = make_token(client, b'"' + b"a" * 100 + b'"', bearer)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_a_chunked_body_does_not_say_its_length_and_is_measured(settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    factory = AsyncRequestFactory()

    def chunked(size):
        request = factory.post("/api/tokens", b"a" * size, content_type="application/json")
        request.META |= {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
        return request

    small = chunked(100)
    unpack(small)
    assert small.body == b"a" * 100
    with pytest.raises(Refusal) as error:
        unpack(chunked(101))
    assert error.value.status == 413


def test_files_in_forms_keep_their_own_limit(settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    bars = SimpleUploadedFile("bars.csv", b"1" * 1_000)
    request = RequestFactory().post("/api/upload", {"file": bars})
    unpack(request)
    assert request.FILES["file"].size == 1_000


def test_a_body_is_unpacked_behind_the_throttle(client, bearer, settings):
    settings.QP_API_RATE = 1
    headers = {**bearer, "Content-Encoding": "gzip"}
    assert make_token(client, BODY, headers).status_code == 400
    assert make_token(client, BODY, headers).status_code == 429


def test_pages_are_left_alone(client):
    assert client.get("/accounts/login/", headers={"Accept-Encoding": "gzip"}).get("Content-Encoding") is None


@pytest.mark.parametrize("coding", CODINGS)
def test_an_answer_is_packed_for_a_program(client, bearer, coding):
    plain = client.get("/api/strategies/types", headers=bearer)
    packed = client.get("/api/strategies/types", headers={**bearer, "Accept-Encoding": coding})
    assert packed["Content-Encoding"] == coding
    assert int(packed["Content-Length"]) == len(packed.content) < len(plain.content) / 3
    assert json.loads(decoded(packed.content, coding, 10**7)) == plain.json()
    assert "Accept-Encoding" in plain["Vary"]
    assert plain.get("Content-Encoding") is None


def test_nothing_is_packed_for_a_cookie_that_another_site_could_make_a_browser_send(client, alice):
    client.force_login(alice)
    assert client.get("/api/strategies/types", headers={"Accept-Encoding": "gzip"}).get("Content-Encoding") is None


def test_secrets_and_short_answers_are_not_packed(client, bearer):
    for n in range(12):
        make_token(client, json.dumps({"name": f"t{n}"}).encode(), bearer)
    for path in ("/api/tokens", "/api/me"):
        answer = client.get(path, headers={**bearer, "Accept-Encoding": "gzip"})
        assert answer.status_code == 200
        assert answer.get("Content-Encoding") is None
