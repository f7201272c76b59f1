"""Applies a person's language and time zone to each request, and notes where it comes from."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django.utils import timezone, translation

from apps.accounts.devices import note_seen
from apps.accounts.requests import client_address, current_address

GetResponse = Callable[[HttpRequest], HttpResponse]


class PreferencesMiddleware:
    """Language: the person's, else the cookie's, else the browser's. Time zone: the person's."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user = request.user
        language = (user.is_authenticated and user.language) or translation.get_language_from_request(request)
        translation.activate(language)
        request.LANGUAGE_CODE = translation.get_language() or settings.LANGUAGE_CODE
        if user.is_authenticated:
            try:
                timezone.activate(zoneinfo.ZoneInfo(user.time_zone))
            except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
                timezone.deactivate()
        else:
            timezone.deactivate()
        response = self.get_response(request)
        response.headers.setdefault("Content-Language", request.LANGUAGE_CODE)
        return response


class AddressMiddleware:
    """Tells the audit the address of the request, and notes that its browser is in use."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        kept = current_address.set(client_address(request))
        try:
            if request.user.is_authenticated:
                note_seen(request)
            return self.get_response(request)
        finally:
            current_address.reset(kept)


class PrivateMiddleware:
    """Pages about people are never kept by a cache, shared or not."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.user.is_authenticated and not response.has_header("Cache-Control"):
            response["Cache-Control"] = "private, no-cache"
        return response


class LoggedOutMiddleware:
    """Answers a part of a page with 401 where the whole page would be led to the log-in.

    htmx follows the redirection and would lay the log-in page into the part. The page says that
    its reader was logged out, and keeps what was typed (``static/js/app.js``).
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        away = response.status_code == 302 and response["Location"].split("?")[0] == resolve_url(settings.LOGIN_URL)
        if away and request.headers.get("HX-Request"):
            return HttpResponse(status=401, headers={"Cache-Control": "no-store"})
        return response
