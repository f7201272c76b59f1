"""People, what they may do, what they were told and what they did."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

from django.contrib.auth.models import AbstractUser, UserManager
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _


class Role(models.TextChoices):
    ADMINISTRATOR = "administrator", _("Administrator")
    ADVANCED = "advanced", _("Advanced")
    ORDINARY = "ordinary", _("Ordinary")


class RiskLevel(models.TextChoices):
    LOW = "low", _("Low")
    MEDIUM = "medium", _("Medium")
    HIGH = "high", _("High")


class Language(models.TextChoices):
    BROWSER = "", _("As the browser")
    ENGLISH = "en", "English"
    CHINESE = "zh-hans", "中文"


class Theme(models.TextChoices):
    SYSTEM = "", _("As the system")
    LIGHT = "light", _("Light")
    DARK = "dark", _("Dark")


class UpColor(models.TextChoices):
    BY_LANGUAGE = "", _("As usual for the language")
    GREEN = "green", _("Green up, red down")
    RED = "red", _("Red up, green down")


class PeopleManager(UserManager["User"]):
    """Makes the first person an administrator."""

    def create_superuser(
        self, username: str, email: str | None = None, password: str | None = None, **more: Any
    ) -> User:  # type: ignore[override]
        return super().create_superuser(username, email, password, **{"role": Role.ADMINISTRATOR, **more})


class User(AbstractUser):
    """A person with a role; limits are changed by administrators only."""

    email = models.EmailField(_("e-mail address"), unique=True)
    role = models.CharField(_("role"), max_length=16, choices=Role.choices, default=Role.ORDINARY)
    language = models.CharField(_("language"), max_length=8, choices=Language.choices, blank=True, default="")
    theme = models.CharField(_("theme"), max_length=8, choices=Theme.choices, blank=True, default="")
    up_color = models.CharField(_("market colours"), max_length=8, choices=UpColor.choices, blank=True, default="")
    time_zone = models.CharField(_("time zone"), max_length=64, default="UTC")
    trading_enabled = models.BooleanField(_("may trade"), default=False)
    risk_level = models.CharField(_("risk level"), max_length=8, choices=RiskLevel.choices, default=RiskLevel.LOW)
    max_concurrent_sessions = models.PositiveSmallIntegerField(
        _("concurrent sessions"), default=3, validators=[MinValueValidator(1), MaxValueValidator(100)]
    )

    #: Part of the log-in's hash: one more ends every browser session, socket and JWT of this person.
    session_epoch = models.PositiveIntegerField(default=0, editable=False)

    REQUIRED_FIELDS: ClassVar[list[str]] = ["email"]
    objects: ClassVar[PeopleManager] = PeopleManager()  # type: ignore[assignment]

    class Meta(AbstractUser.Meta):
        ordering = ("username",)

    @property
    def is_administrator(self) -> bool:
        return self.role == Role.ADMINISTRATOR

    def _get_session_auth_hash(self, secret: str | bytes | None = None) -> str:
        """Return what a browser session must know: it changes with the password and the epoch."""
        key_salt = "apps.accounts.models.User.session_auth_hash"
        return salted_hmac(
            key_salt, f"{self.password}|{self.session_epoch}", secret=secret, algorithm="sha256"
        ).hexdigest()

    def save(self, *args: Any, **kwargs: Any) -> None:
        # The admin site opens to administrators, in whole, and to nobody else.
        self.is_staff = self.is_superuser = self.is_administrator
        super().save(*args, **kwargs)


class Invitation(models.Model):
    """A single-use link with which a new person chooses a name and a password."""

    email = models.EmailField(_("e-mail address"))
    role = models.CharField(_("role"), max_length=16, choices=Role.choices, default=Role.ORDINARY)
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    invited_by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="invitations_sent")
    created = models.DateTimeField(_("created"), default=timezone.now)
    expires_at = models.DateTimeField(_("expires"))
    accepted_at = models.DateTimeField(_("accepted"), null=True, blank=True)
    accepted_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)

    class Meta:
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")
        ordering = ("-created",)

    def __str__(self) -> str:
        return self.email


def everything() -> list[str]:
    """Return the scopes of a token that may do all its owner may."""
    return ["*"]


class ApiToken(models.Model):
    """A program's key; only its SHA-256 is kept, ``prefix`` tells the owner which one it is."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(_("name"), max_length=80)
    prefix = models.CharField(_("begins with"), max_length=12, editable=False)
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    created = models.DateTimeField(_("created"), default=timezone.now)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)
    last_used_from = models.GenericIPAddressField(_("last used from"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)
    #: Names of ``engine.scopes``; ``*`` is everything.
    scopes = models.JSONField(_("scopes"), default=everything)
    #: Addresses and networks the token works from; empty is anywhere.
    addresses = models.JSONField(_("addresses"), default=list, blank=True)

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")
        ordering = ("-created",)

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class SocketTicket(models.Model):
    """A single-use ticket (60 s) with which a program opens a live connection."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    token_hash = models.CharField(max_length=64, unique=True)
    created = models.DateTimeField(default=timezone.now)
    used_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("socket ticket")
        verbose_name_plural = _("socket tickets")

    def __str__(self) -> str:
        return f"{self.user} {self.created:%H:%M:%S}"


class LoginLock(models.Model):
    """Wrong passwords counted per log-in name, known or not, so that nobody learns which exist; and per address."""

    kind = models.CharField(
        _("kind"), max_length=8, choices=[("name", _("User name")), ("address", _("Address"))], default="name"
    )
    username = models.CharField(_("user name or address"), max_length=150)
    failures = models.PositiveIntegerField(_("failures"), default=0)
    last_failure = models.DateTimeField(_("last failure"), default=timezone.now)
    locked_until = models.DateTimeField(_("locked until"), null=True, blank=True)

    class Meta:
        verbose_name = _("log-in lock")
        verbose_name_plural = _("log-in locks")
        constraints = (models.UniqueConstraint(fields=["kind", "username"], name="login_lock_kind_name"),)

    def __str__(self) -> str:
        return self.username


class WrittenOnce(models.QuerySet["AuditEntry"]):
    """Rows of the audit: added and read, nothing else, one by one or many at once."""

    def update(self, **kwargs: Any) -> NoReturn:
        raise TypeError("audit entries are written once")

    def bulk_update(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("audit entries are written once")

    def delete(self) -> NoReturn:
        raise TypeError("audit entries are never deleted")


class AuditEntry(models.Model):
    """One act that mattered; rows are written once and never changed."""

    actor = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    action = models.CharField(_("action"), max_length=64, db_index=True)
    object_type = models.CharField(_("object"), max_length=64, blank=True)
    object_id = models.CharField(_("object id"), max_length=64, blank=True)
    details = models.JSONField(_("details"), default=dict, blank=True)
    address = models.GenericIPAddressField(_("address"), null=True, blank=True)
    created = models.DateTimeField(_("time"), default=timezone.now, db_index=True)

    objects: ClassVar[models.Manager[AuditEntry]] = WrittenOnce.as_manager()

    class Meta:
        verbose_name = _("audit entry")
        ordering = ("-id",)
        verbose_name_plural = _("audit entries")

    def __str__(self) -> str:
        return f"{self.action} {self.object_type} {self.object_id}".strip()

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk is not None:
            raise TypeError("audit entries are written once")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("audit entries are never deleted")


class NoticeLevel(models.TextChoices):
    INFO = "info", _("Information")
    WARNING = "warning", _("Warning")
    ERROR = "error", _("Error")


class Notice(models.Model):
    """Something a person should hear about; an error stays until it is read.

    ``code`` names a message of ``apps.accounts.notices``, ``params`` fill it, so that each
    reader sees it in their own language.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="notices")
    level = models.CharField(_("level"), max_length=8, choices=NoticeLevel.choices, default=NoticeLevel.INFO)
    code = models.CharField(_("code"), max_length=64)
    params = models.JSONField(_("details"), default=dict, blank=True)
    url = models.CharField(_("link"), max_length=200, blank=True)
    created = models.DateTimeField(_("time"), default=timezone.now)
    read_at = models.DateTimeField(_("read"), null=True, blank=True)
    #: When a live page was first told.
    told_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("notice")
        verbose_name_plural = _("notices")
        ordering = ("-id",)
        indexes = (models.Index(fields=["user", "read_at"], name="notice_unread"),)

    def __str__(self) -> str:
        return f"{self.code} → {self.user}"


from apps.accounts.access_models import (  # noqa: E402 - they point at the people above
    AuditLink,
    Credential,
    GroupGrant,
    Share,
    TokenGrant,
)

__all__ = [
    "ApiToken",
    "AuditEntry",
    "AuditLink",
    "Credential",
    "GroupGrant",
    "Invitation",
    "Language",
    "LoginLock",
    "Notice",
    "NoticeLevel",
    "RiskLevel",
    "Role",
    "Share",
    "SocketTicket",
    "Theme",
    "TokenGrant",
    "UpColor",
    "User",
]
