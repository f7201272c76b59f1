"""Forms about people."""

from __future__ import annotations

import zoneinfo
from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import password_validators_help_texts
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from apps.accounts.credentials import KINDS
from apps.accounts.engine.scopes import SCOPES
from apps.accounts.engine.words import AREA_WORDS, KIND_WORDS, PERMISSION_WORDS
from apps.accounts.models import Role, User
from apps.accounts.permissions import GRANTABLE


class LoginForm(AuthenticationForm):
    """Name and password; a wrong one, an unknown one and a locked one read the same."""

    error_messages = {
        "invalid_login": _(
            "Name or password is wrong, or too many attempts were made. Check both, or try again later."
        ),
        "inactive": _("Name or password is wrong, or too many attempts were made. Check both, or try again later."),
    }


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg]
    """What people choose for themselves."""

    class Meta:
        model = User
        fields = ("first_name", "last_name", "language", "theme", "up_color", "time_zone")

    def clean_time_zone(self) -> str:
        name: str = self.cleaned_data["time_zone"]
        try:
            zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise forms.ValidationError(
                _("There is no time zone of this name; write one such as Asia/Shanghai.")
            ) from error
        return name


class LimitsForm(forms.ModelForm):  # type: ignore[type-arg]
    """What an administrator decides about a person."""

    class Meta:
        model = User
        fields = ("role", "trading_enabled", "risk_level", "max_concurrent_sessions", "is_active")


class InvitationForm(forms.Form):
    email = forms.EmailField(label=_("E-mail address"))
    role = forms.ChoiceField(label=_("Role"), choices=Role.choices, initial=Role.ORDINARY)


class JoinForm(forms.Form):
    """Name and password of an invited person."""

    username = forms.CharField(label=_("User name"), max_length=150, validators=[User.username_validator])
    password = forms.CharField(label=_("Password"), widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}))
    again = forms.CharField(
        label=_("Password again"), widget=forms.PasswordInput(attrs={"autocomplete": "new-password"})
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password"].help_text = " ".join(str(text) for text in password_validators_help_texts())

    def clean_username(self) -> str:
        name: str = self.cleaned_data["username"]
        if User.objects.filter(username__iexact=name).exists():
            raise forms.ValidationError(_("This name is taken."))
        return name

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("password") and data.get("again") and data["password"] != data["again"]:
            self.add_error("again", _("The two passwords differ."))
        return data


class ReauthenticateForm(forms.Form):
    """The password of the person who is logged in."""

    password = forms.CharField(
        label=_("Password"), widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}), max_length=1000
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        if not self.user.check_password(password):
            raise forms.ValidationError(_("The password is wrong, or too many attempts were made."))
        return password


def _scope_word(scope: str) -> Any:
    area, _colon, act = scope.partition(":")
    may = _("read only") if act == "read" else _("read and write")
    return format_lazy("{area}: {may} ({scope})", area=_(AREA_WORDS[area]), may=may, scope=scope)


class TokenForm(forms.Form):
    """A new API token: what it is for, how long, what it reaches, from where."""

    name = forms.CharField(label=_("Name"), max_length=80, help_text=_("What the token is for."))
    days = forms.TypedChoiceField(
        label=_("Valid for"),
        coerce=int,
        choices=[(30, _("30 days")), (90, _("90 days")), (365, _("one year")), (0, _("until revoked"))],
        initial=90,
    )
    scopes = forms.MultipleChoiceField(
        label=_("Scopes"),
        choices=[(scope, _scope_word(scope)) for scope in SCOPES],
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text=_("What it may do; none chosen means all you may."),
    )
    addresses = forms.CharField(
        label=_("Addresses"),
        widget=forms.Textarea(attrs={"rows": 2}),
        required=False,
        max_length=2000,
        help_text=_("One address or network a line, such as 192.0.2.0/24; empty means anywhere."),
    )


class CredentialForm(forms.Form):
    """A secret to keep; the field never comes back filled."""

    name = forms.CharField(label=_("Name"), max_length=80, help_text=_("A name in use is replaced."))
    kind = forms.ChoiceField(label=_("Kind"), choices=[(name, _(KIND_WORDS[name])) for name in KINDS])
    secret = forms.CharField(
        label=_("Secret"),
        max_length=8192,
        strip=False,
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "off"}),
        help_text=_("A key or password, or a JSON document of several."),
    )


class ShareForm(forms.Form):
    receiver = forms.CharField(
        label=_("With"), max_length=160, help_text=_("A user name, or group: and the name of a group of yours.")
    )
    can_edit = forms.BooleanField(label=_("May edit"), required=False)


class GroupForm(forms.Form):
    """A group: its name, what it grants, who belongs to it."""

    name = forms.CharField(label=_("Name"), max_length=150)
    permissions = forms.MultipleChoiceField(
        label=_("Permissions"),
        choices=[
            (name, format_lazy("{word} ({name})", word=_(PERMISSION_WORDS[name]), name=name))
            for name in sorted(GRANTABLE)
        ],
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text=_("What members may do besides what their role allows."),
    )
    members = forms.ModelMultipleChoiceField(
        label=_("Members"),
        queryset=User.objects.none(),
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )

    def __init__(self, *args: Any, group: Group | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["members"].queryset = User.objects.filter(is_active=True)  # type: ignore[attr-defined]
        if group is not None:
            self.initial = {
                "name": group.name,
                "permissions": [one.permission for one in group.grants.all()],
                "members": list(group.user_set.values_list("pk", flat=True)),
            }


class LeaveForm(forms.Form):
    """Who takes over what a leaving person owns."""

    heir = forms.ModelChoiceField(label=_("Who takes over"), queryset=User.objects.none())

    def __init__(self, *args: Any, leaver: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["heir"].queryset = User.objects.filter(is_active=True).exclude(pk=leaver.pk)  # type: ignore[attr-defined]


class AuditFilterForm(forms.Form):
    """Filters of the audit page; all may be empty."""

    actor = forms.CharField(label=_("Who"), max_length=150, required=False)
    action = forms.CharField(label=_("Action"), max_length=64, required=False)
    object_type = forms.CharField(label=_("Object"), max_length=64, required=False)
    object_id = forms.CharField(label=_("Object id"), max_length=64, required=False)
    start = forms.DateField(label=_("From"), required=False, widget=forms.DateInput(attrs={"type": "date"}))
    end = forms.DateField(label=_("To"), required=False, widget=forms.DateInput(attrs={"type": "date"}))
