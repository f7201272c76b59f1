"""Compressed bodies of the API, both ways.

A request's body is unpacked before anybody reads it, up to the size that any body may have. An
answer is packed where that is safe: only for callers that present a token (a page of another
site can make a browser send its cookie, and could measure lengths), and never where secrets are
handed out.
"""

from __future__ import annotations

import io
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers

from apps.ui.engine.encoding import CODINGS, best_coding, decoded, encoded, too_large
from apps.ui.engine.refusal import Refusal
from apps.ui.problems import problem
from apps.ui.refusals import refusal_text

PREFIX = "/api/"
#: First parts of paths whose answers hold secrets: their length must not tell anything of their content.
SECRET_PARTS = frozenset({"token", "tokens", "ws-ticket", "credentials", "devices", "people"})
#: Below this many bytes packing costs more than it saves.
WORTH_PACKING = 1_000


class TransferMiddleware:
    """Unpacks requests and packs answers of the API; stands behind the throttle, which costs less."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith(PREFIX):
            return self.get_response(request)
        try:
            unpack(request)
        except Refusal as refusal:
            return _refused(refusal)
        response = self.get_response(request)
        if may_be_packed(request, response):
            pack(request, response)
        return response


def unpack(request: HttpRequest) -> None:
    """Replace a compressed body by its content. Raises ``Refusal`` with 400, 413 or 415.

    A plain body is left where it is, but not if it says that it is too long; files in forms have
    limits of their own.
    """
    most = int(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
    coding = request.META.get("HTTP_CONTENT_ENCODING", "").strip()
    packed = coding.lower() not in ("", "identity")
    if not packed and request.content_type == "multipart/form-data":
        return
    length = _length(request)
    if length is not None and length > most:
        raise too_large(most)
    if packed or length is None:
        content = request.read(most + 1)
        _replace(request, decoded(content, "" if len(content) > most else coding, most))


def _length(request: HttpRequest) -> int | None:
    """Return how long the body says that it is; None where it comes in chunks and does not say."""
    text = str(request.META.get("CONTENT_LENGTH") or "")
    if text.isdecimal():
        return int(text[:18])
    return None if request.META.get("HTTP_TRANSFER_ENCODING") else 0


def _replace(request: HttpRequest, content: bytes) -> None:
    request._body = content  # type: ignore[attr-defined]
    request._stream = io.BytesIO(content)  # type: ignore[attr-defined]
    request._read_started = False  # type: ignore[attr-defined]
    request.META["CONTENT_LENGTH"] = str(len(content))
    request.META.pop("HTTP_CONTENT_ENCODING", None)
    request.__dict__.pop("headers", None)  # They were worked out from META before.


def _refused(refusal: Refusal) -> HttpResponse:
    answer = problem(refusal.status, refusal.code, refusal_text(refusal), params=refusal.params)
    if refusal.status == 415:
        answer["Accept-Encoding"] = ", ".join(CODINGS)
    return answer


def may_be_packed(request: HttpRequest, response: HttpResponse) -> bool:
    """Tell whether packing this answer is safe and of use."""
    part = request.path_info.removeprefix(PREFIX).partition("/")[0]
    kind = response.get("Content-Type", "").partition(";")[0]
    return (
        "Authorization" in request.headers
        and part not in SECRET_PARTS
        and not response.streaming
        and not response.has_header("Content-Encoding")
        and (kind.startswith("text/") or kind in ("application/json", "application/problem+json"))
        and len(response.content) >= WORTH_PACKING
    )


def pack(request: HttpRequest, response: HttpResponse) -> None:
    """Pack the answer in the coding its reader likes best; caches are told that it depends on that."""
    patch_vary_headers(response, ("Accept-Encoding",))
    coding = best_coding(request.headers.get("Accept-Encoding", ""))
    if not coding:
        return
    response.content = encoded(response.content, coding)
    response["Content-Encoding"] = coding
    response["Content-Length"] = str(len(response.content))
    tag = response.get("ETag", "")
    if tag and not tag.startswith("W/"):
        response["ETag"] = f"W/{tag}"  # The bytes differ by coding, what they say does not.
