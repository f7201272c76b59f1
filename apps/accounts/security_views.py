"""Pages of one person about their own safety: factors, devices, tokens, secrets."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from allauth.mfa.models import Authenticator
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts import credentials, devices, selectors, services
from apps.accounts import tokens as token_services
from apps.accounts.forms import CredentialForm, TokenForm
from apps.accounts.fresh import fresh_login_required, require_fresh
from apps.accounts.identity import signed_in
from apps.ui.engine.refusal import Refusal
from apps.ui.refusals import refusal_text

PAGE = 25


def show(form: Any, refusal: Refusal) -> None:
    """Put a refusal at its field, or above the form where it has none there."""
    form.add_error(refusal.field if refusal.field in form.fields else None, refusal_text(refusal))


@login_required
@never_cache
@require_GET
def security(request: HttpRequest) -> HttpResponse:
    """Password, second factors, and where this person is logged in."""
    user: Any = request.user
    factors = list(Authenticator.objects.filter(user=user).order_by("type", "pk"))
    codes = next((one for one in factors if one.type == Authenticator.Type.RECOVERY_CODES), None)
    context = {
        "totp": next((one for one in factors if one.type == Authenticator.Type.TOTP), None),
        "keys": [one.wrap() for one in factors if one.type == Authenticator.Type.WEBAUTHN],
        "codes_left": len(codes.wrap().get_unused_codes()) if codes else None,
        "devices": devices.devices_of(user, request.session.session_key)[:100],
    }
    return render(request, "accounts/security.html", context)


@login_required
@require_POST
def device_end(request: HttpRequest, pk: int) -> HttpResponse:
    devices.device_end(signed_in(request), pk)
    messages.success(request, _("That browser is logged out."))
    return redirect("accounts:security")


@login_required
@require_POST
def log_out_everywhere(request: HttpRequest) -> HttpResponse:
    """End every browser session of this person, this one too, and every JWT."""
    user: Any = request.user
    services.log_out_everywhere(user, actor=user)
    logout(request)
    messages.success(request, _("You are logged out everywhere."))
    return redirect("accounts:login")


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def tokens(request: HttpRequest) -> HttpResponse:
    """List the API tokens; a new one is shown on the answer to its creation and never again."""
    form, plain = TokenForm(request.POST or None), ""
    if request.method == "POST":
        require_fresh(request)
        if form.is_valid():
            plain, form = _make_token(request, form)
    page = Paginator(selectors.tokens_of(signed_in(request)), PAGE).get_page(request.GET.get("page"))
    context = {"form": form, "plain": plain, "page": page, "now": timezone.now()}
    return render(request, "accounts/tokens.html", context, status=422 if form.errors else 200)


def _make_token(request: HttpRequest, form: TokenForm) -> tuple[str, TokenForm]:
    """Return the new token's text and an empty form, or nothing and the form with what was refused."""
    data = form.cleaned_data
    expires = timezone.now() + timedelta(days=data["days"]) if data["days"] else None
    try:
        _row, plain = token_services.token_create(
            signed_in(request), data["name"], expires, scopes=data["scopes"], addresses=data["addresses"].splitlines()
        )  # fmt: skip
    except Refusal as refusal:
        show(form, refusal)
        return "", form
    return plain, TokenForm()


@login_required
@require_POST
def token_revoke(request: HttpRequest, pk: int) -> HttpResponse:
    token_services.token_revoke(selectors.token_for_user(signed_in(request), pk), signed_in(request))
    messages.success(request, _("The token no longer works."))
    return redirect("accounts:tokens")


@fresh_login_required
@never_cache
@require_http_methods(["GET", "POST"])
def secrets(request: HttpRequest) -> HttpResponse:
    """Secrets for brokers and sources: named, replaced, removed; never shown."""
    form = CredentialForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            credentials.credential_set(owner=signed_in(request), **form.cleaned_data)
        except Refusal as refusal:
            show(form, refusal)
        else:
            messages.success(request, _("The secret is kept, encrypted. It is not shown again."))
            return redirect("accounts:secrets")
    page = Paginator(credentials.credentials_of(signed_in(request)), PAGE).get_page(request.GET.get("page"))
    return render(request, "accounts/secrets.html", {"form": form, "page": page}, status=422 if form.errors else 200)


@fresh_login_required
@require_POST
def secret_delete(request: HttpRequest, pk: int) -> HttpResponse:
    credentials.credential_delete(credentials.credential_for_user(signed_in(request), pk), signed_in(request))
    messages.success(request, _("The secret is removed."))
    return redirect("accounts:secrets")
