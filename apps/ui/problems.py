"""RFC 9457 problem documents: how the API says no."""

from __future__ import annotations

from typing import Any

from django.http import JsonResponse


def problem(status: int, code: str, detail: str, **extra: Any) -> JsonResponse:
    """Return a problem document; ``detail`` is a sentence in the caller's language."""
    body = {
        "type": f"urn:quant-platform:{code}",
        "status": status,
        "code": code,
        "title": code.replace("_", " "),
        "detail": detail,
        **extra,
    }
    return JsonResponse(body, status=status, content_type="application/problem+json")
