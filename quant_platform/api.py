"""The HTTP API: one router a room, errors as RFC 9457 problem documents."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import DataError
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.parser import Parser

from apps.accounts.api import router as accounts_router
from apps.accounts.api_admin import router as accounts_admin_router
from apps.accounts.api_auth import SessionOrToken
from apps.accounts.engine.depth import too_deep
from apps.marketdata.api import router as marketdata_router
from apps.marketdata.calendar_api import router as calendars_router
from apps.marketdata.features_api import router as features_router
from apps.marketdata.feeds_api import router as feeds_router
from apps.marketdata.historical_api import router as historical_router
from apps.marketdata.import_api import router as imports_router
from apps.marketdata.market_api import router as market_router
from apps.marketdata.quotes_api import router as quotes_router
from apps.marketdata.sources_api import router as sources_router
from apps.marketdata.tape_api import router as tape_router
from apps.monitoring.api import router as monitoring_router
from apps.monitoring.api_machinery import router as machinery_router
from apps.sessions import api_labels  # noqa: F401 - adds its operations to the router of the sessions
from apps.sessions.api import router as sessions_router
from apps.sessions.api_capsule import router as capsule_router
from apps.sessions.api_metric import router as metric_router
from apps.sessions.api_report import router as report_router
from apps.sessions.api_start import router as start_router
from apps.strategies.api import router as strategies_router
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_
from apps.ui.problems import problem
from apps.ui.refusals import refusal_text
from quant_platform.version import VERSION


class CarefulParser(Parser):
    """Refuses what nests deeper than any document of ours, before the JSON parser runs out of stack."""

    def parse_body(self, request: HttpRequest) -> Any:
        if too_deep(request.body):
            raise Refusal("too_deep", N_("The document nests too deep."), status=400)
        return super().parse_body(request)


api = NinjaAPI(
    parser=CarefulParser(),
    title="Quant Platform",
    version=VERSION,
    docs_url="/docs",
    auth=SessionOrToken(),
    urls_namespace="api",
)
api.add_router("", monitoring_router)
api.add_router("", machinery_router)
api.add_router("", accounts_router)
api.add_router("", accounts_admin_router)
api.add_router("/strategies", strategies_router)
api.add_router("/strategies", start_router)
api.add_router("/sessions", sessions_router)
api.add_router("/sessions", report_router)
api.add_router("/sessions", metric_router)
api.add_router("/sessions", capsule_router)
api.add_router("", marketdata_router)
api.add_router("", historical_router)
api.add_router("", tape_router)
api.add_router("", features_router)
api.add_router("", market_router)
api.add_router("", quotes_router)
api.add_router("/feeds", feeds_router)
api.add_router("", imports_router)
api.add_router("", calendars_router)
api.add_router("", sources_router)


@api.exception_handler(Refusal)
def refused(request: HttpRequest, error: Refusal) -> HttpResponse:
    fields = [
        {"field": item.field, "message": gettext(item.message) % item.params} for item in getattr(error, "errors", [])
    ]
    extra: dict[str, Any] = {"params": error.params}
    if error.field:
        extra["field"] = error.field
    if fields:
        extra["errors"] = fields
    return problem(error.status, error.code, refusal_text(error), **extra)


@api.exception_handler(ValidationError)
def invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    errors = [
        {"field": ".".join(str(part) for part in item["loc"][1:]), "message": item["msg"]} for item in error.errors
    ]
    return problem(422, "invalid_request", gettext("The request does not have the expected form."), errors=errors)


@api.exception_handler(DataError)
def unstorable(request: HttpRequest, error: DataError) -> HttpResponse:
    """A NUL in a text or a number wider than any key: PostgreSQL says so when it is asked."""
    return problem(422, "invalid_request", gettext("The request does not have the expected form."))


@api.exception_handler(AuthenticationError)
def unauthenticated(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    response = problem(401, "authentication_required", gettext("Log in, or send a valid token."))
    response["WWW-Authenticate"] = "Bearer"
    return response


@api.exception_handler(PermissionDenied)
def forbidden(request: HttpRequest, error: PermissionDenied) -> HttpResponse:
    return problem(403, "permission_denied", gettext("You may not do this."))


@api.exception_handler(Http404)
def missing(request: HttpRequest, error: Http404) -> HttpResponse:
    return problem(404, "not_found", gettext("There is nothing here, or it is not yours."))


@api.exception_handler(HttpError)
def http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    return problem(error.status_code, "bad_request", str(error))
