"""Answers that a caller may keep: the data behind them never changes under its content hash."""

from __future__ import annotations

import hashlib
import json
from typing import Any, TypeVar
from urllib.parse import quote

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response

from apps.marketdata.models import Dataset

R = TypeVar("R", bound=HttpResponseBase)


def tag(dataset: Dataset, *question: Any) -> str:
    """Return the ETag of an answer: of the content, its labels, the question and the program that answers."""
    labels = [str(dataset), dataset.content_hash, dataset.frequency, dataset.adjustment, dataset.currency]
    text = json.dumps([settings.VERSION, labels, question], sort_keys=True, default=str)
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def unchanged(request: HttpRequest, etag: str) -> HttpResponse | None:
    """Return the 304 for a caller who has the answer already, None for any other."""
    return get_conditional_response(request, etag=etag) if "If-None-Match" in request.headers else None


def marked(response: R, dataset: Dataset, etag: str, asked: str) -> R:
    """Say on an answer which data it is of, and how long it may be kept.

    Who asked for a version gets what cannot change; a bare name may mean another version tomorrow.
    """
    fixed = "@" in asked and settings.QP_CACHE_HISTORY_SECONDS > 0
    response["Cache-Control"] = (
        f"private, max-age={settings.QP_CACHE_HISTORY_SECONDS}" if fixed else "private, no-cache"
    )
    response["ETag"] = etag
    if response.status_code == 200:
        response["X-Dataset"], response["X-Content-Hash"] = quote(str(dataset)), dataset.content_hash
    return response
