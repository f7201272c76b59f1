"""Pages of administrators about people, and the page an invitation leads to."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts import selectors, services
from apps.accounts.backends import locked
from apps.accounts.forms import InvitationForm, JoinForm, LimitsForm
from apps.accounts.fresh import has_second_factor, require_fresh
from apps.accounts.identity import signed_in
from apps.accounts.models import Role
from apps.ui.engine.refusal import Refusal
from apps.ui.refusals import refusal_text

PAGE = 25


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def people(request: HttpRequest) -> HttpResponse:
    """Everybody, and the invitations that wait; for administrators."""
    get = request.GET
    search, role = get.get("q", "").replace("\x00", "").strip(), get.get("role", "")
    rows = selectors.people(signed_in(request), search, role, get.get("sort", ""))
    if request.method == "POST":
        require_fresh(request)  # an invitation gives a role away
    form, link = InvitationForm(request.POST or None), ""
    if request.method == "POST" and form.is_valid():
        try:
            link = _invite(request, form)
        except Refusal as refusal:
            form.add_error(refusal.field, refusal_text(refusal))
        else:
            form = InvitationForm()
    waiting = selectors.open_invitations(signed_in(request))
    context = {
        "page": Paginator(rows, PAGE).get_page(get.get("page")),
        "invitations": Paginator(waiting, PAGE).get_page(get.get("invited")),
        "form": form,
        "link": link,
        "q": search,
        "role": role,
        "roles": Role.choices,
        "now": timezone.now(),
    }
    return render(request, "accounts/people.html", context, status=422 if form.errors else 200)


def _invite(request: HttpRequest, form: InvitationForm) -> str:
    """Invite the person of the form and return the link, mailed or not."""
    invitation, secret = services.invitation_create(actor=signed_in(request), **form.cleaned_data)
    link = request.build_absolute_uri(reverse("accounts:join", args=[secret]))
    if services.invitation_send(invitation, link):
        messages.success(request, _("The invitation was mailed."))
    else:
        messages.error(request, _("The mail could not be sent. The invitation is valid: hand on its link yourself."))
    return link


@login_required
@require_http_methods(["GET", "POST"])
def person(request: HttpRequest, pk: int) -> HttpResponse:
    """Role and limits of one person; for administrators."""
    found = selectors.person(signed_in(request), pk)
    form = LimitsForm(request.POST or None, instance=found)
    if request.method == "POST":
        require_fresh(request)
    if request.method == "POST" and form.is_valid():
        try:
            fresh = selectors.person(signed_in(request), pk)
            services.user_limits_update(actor=signed_in(request), user=fresh, changes=form.cleaned_data)
        except Refusal as refusal:
            form.add_error(refusal.field, refusal_text(refusal))
        else:
            messages.success(request, _("Saved."))
            return redirect("accounts:people")
    context = {
        "form": form,
        "person": found,
        "locked": locked(found.username),
        "second_factor": has_second_factor(found),
    }
    return render(request, "accounts/person.html", context, status=422 if form.errors else 200)


@login_required
@require_POST
def invitation_revoke(request: HttpRequest, pk: int) -> HttpResponse:
    services.invitation_revoke(selectors.open_invitation(signed_in(request), pk), signed_in(request))
    messages.success(request, _("The invitation no longer works."))
    return redirect("accounts:people")


@never_cache
@require_http_methods(["GET", "POST"])
def join(request: HttpRequest, secret: str) -> HttpResponse:
    """Where an invitation leads: choose a name and a password."""
    invitation = services.invitation_open(secret)
    form = JoinForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            user = services.invitation_accept(secret=secret, username=data["username"], password=data["password"])
        except Refusal as refusal:
            form.add_error(refusal.field, refusal_text(refusal))
        except ValidationError as error:
            _show(form, error)
        else:
            login(request, user, backend=settings.AUTHENTICATION_BACKENDS[0])
            return redirect("monitoring:dashboard")
    context = {"form": form, "invitation": invitation}
    return render(request, "accounts/join.html", context, status=422 if form.errors else 200)


def _show(form: Form, error: ValidationError) -> None:
    """Put each message at its field; a password's has no field, one of a field not asked for goes above the form."""
    if not hasattr(error, "error_dict"):
        form.add_error("password", error)
        return
    for name, errors in error.error_dict.items():
        form.add_error(name if name in form.fields else None, ValidationError(errors))
