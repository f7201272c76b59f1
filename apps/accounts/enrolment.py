"""Where a second factor is asked for, nothing else opens before there is one."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from apps.accounts.fresh import must_enrol

#: What a person needs on the way to a factor, and to leave.
OPEN = ("/accounts/2fa/", "/accounts/reauthenticate/", "/accounts/logout/", "/accounts/language/", "/accounts/theme/")
OPEN_TO_ALL = ("/static/", "/api/health", "/api/ready", "/metrics")


class SecondFactorMiddleware:
    """Leads people without the factor they must have to the page that sets one up; the API answers 403.

    It costs a query a request, and that only where ``QP_SECOND_FACTOR`` asks. Programs come with
    tokens, which only people with the factor can make.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        path = request.path_info
        if not request.user.is_authenticated or path.startswith(OPEN + OPEN_TO_ALL) or not must_enrol(request.user):
            return self.get_response(request)
        if path.startswith("/api/"):
            detail = _("Set up a second factor first.")
            body = {
                "type": "urn:quant-platform:second_factor_required", "status": 403, "title": "second factor required",
                "code": "second_factor_required", "detail": detail, "url": "/accounts/2fa/totp/activate/",
            }  # fmt: skip
            return JsonResponse(body, status=403, content_type="application/problem+json")
        messages.info(request, _("This installation asks for a second factor. Set one up to go on."))
        return redirect("mfa_activate_totp")
