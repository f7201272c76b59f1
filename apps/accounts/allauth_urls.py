"""The addresses django-allauth asks for by name: our log-in, its second step and its factors."""

from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LogoutView
from django.urls import include, path
from django.views.generic import RedirectView

from apps.accounts import login_views

urlpatterns = [
    path("login/", login_views.LoginView.as_view(), name="account_login"),
    path("logout/", LogoutView.as_view(), name="account_logout"),
    path("reauthenticate/", login_views.ReauthenticateView.as_view(), name="account_reauthenticate"),
    # What allauth calls the list of factors is a part of our security page.
    path("2fa/", login_required(RedirectView.as_view(pattern_name="accounts:security")), name="mfa_index"),
    path("2fa/", include("allauth.mfa.urls")),
]
