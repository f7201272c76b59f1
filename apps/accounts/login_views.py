"""Pages in front of an account: log-in with its second step, log-out, a forgotten password."""

from __future__ import annotations

from typing import Any

from allauth.account.internal.flows.login import perform_password_login
from allauth.account.models import Login
from allauth.account.views import ReauthenticateView as AllauthReauthenticateView
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth import views as auth_views
from django.http import HttpRequest, HttpResponse
from django.urls import reverse_lazy
from django.utils.translation import gettext as _

from apps.accounts import services
from apps.accounts.backends import locked, note_failure
from apps.accounts.forms import LoginForm, ReauthenticateForm
from apps.accounts.requests import client_address


class LoginView(auth_views.LoginView):
    """Name and password; allauth's stages ask for the second factor where there is one."""

    template_name = "accounts/login.html"
    authentication_form = LoginForm
    redirect_authenticated_user = True

    def form_valid(self, form: LoginForm) -> HttpResponse:  # type: ignore[override]
        login = Login(user=form.get_user(), redirect_url=self.get_success_url())
        return perform_password_login(self.request, {"username": form.cleaned_data["username"]}, login)


class ReauthenticateView(AllauthReauthenticateView):
    """The password again, before something sensitive; guesses count as at log-in."""

    template_name = "accounts/reauthenticate.html"

    def get_form_class(self) -> type[ReauthenticateForm]:
        return ReauthenticateForm

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        name, address = request.user.get_username(), client_address(request)
        form = self.get_form()
        if locked(name, address):
            form.add_error("password", _("The password is wrong, or too many attempts were made."))
            return self.form_invalid(form)
        if form.is_valid():
            return self.form_valid(form)
        note_failure(name, address)
        return self.form_invalid(form)


class PasswordChangeView(auth_views.PasswordChangeView):
    template_name = "accounts/password_change.html"
    success_url = reverse_lazy("accounts:security")

    def form_valid(self, form: Any) -> HttpResponse:
        answer = super().form_valid(form)
        user: Any = self.request.user
        services.audit(user, "password.change", user)
        services.log_out_everywhere(user, actor=user)
        update_session_auth_hash(self.request, user)
        messages.success(self.request, _("Your password has been changed. Other browsers are logged out."))
        return answer


class PasswordResetView(auth_views.PasswordResetView):
    template_name = "accounts/password_reset.html"
    email_template_name = "accounts/password_reset_mail.txt"
    subject_template_name = "accounts/password_reset_subject.txt"
    success_url = reverse_lazy("accounts:login")

    def form_valid(self, form: Any) -> HttpResponse:
        messages.info(self.request, _("If the address belongs to an account, a mail with a link is on its way."))
        return super().form_valid(form)


class PasswordResetConfirmView(auth_views.PasswordResetConfirmView):
    template_name = "accounts/password_reset_confirm.html"
    success_url = reverse_lazy("accounts:login")

    def form_valid(self, form: Any) -> HttpResponse:
        answer = super().form_valid(form)
        messages.success(self.request, _("Your password has been changed. Log in with it."))
        user: Any = self.user
        services.audit(user, "password.reset", user)
        services.log_out_everywhere(user, actor=user)
        return answer
