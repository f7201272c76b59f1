"""Who may reach what: shares, grants of groups, log-ins of programs, sealed secrets, the audit's chain."""

from __future__ import annotations

import uuid
from typing import Any, NoReturn

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Share(models.Model):
    """A strategy, dataset or session that somebody else may read, or edit.

    The object is named, not pointed at: the rooms above own the tables, this room the question
    who may see a row of them (``selectors.shared_ids``).
    """

    object_type = models.CharField(_("kind"), max_length=64)
    object_id = models.BigIntegerField(_("object id"))
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="shares"
    )
    group = models.ForeignKey(Group, null=True, blank=True, on_delete=models.CASCADE, related_name="shares")
    can_edit = models.BooleanField(_("may edit"), default=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created = models.DateTimeField(_("created"), default=timezone.now)

    class Meta:
        verbose_name = _("shared object")
        verbose_name_plural = _("shared objects")
        ordering = ("-id",)
        indexes = (models.Index(fields=["object_type", "object_id"], name="share_object"),)
        constraints = (
            models.CheckConstraint(
                condition=Q(user__isnull=True, group__isnull=False) | Q(user__isnull=False, group__isnull=True),
                name="share_one_receiver",
            ),
            models.UniqueConstraint(fields=["object_type", "object_id", "user"], name="share_user"),
            models.UniqueConstraint(fields=["object_type", "object_id", "group"], name="share_group"),
        )

    def __str__(self) -> str:
        return f"{self.object_type} {self.object_id} → {self.user or self.group}"


class GroupGrant(models.Model):
    """A permission of ``permissions.PERMISSIONS`` that the members of a group have besides their role's."""

    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="grants")
    permission = models.CharField(_("permission"), max_length=64)

    class Meta:
        verbose_name = _("group grant")
        verbose_name_plural = _("group grants")
        ordering = ("group", "permission")
        constraints = (models.UniqueConstraint(fields=["group", "permission"], name="grant_group_permission"),)

    def __str__(self) -> str:
        return f"{self.group}: {self.permission}"


class TokenGrant(models.Model):
    """One access JWT and the refresh token beside it; a refresh spends the row and makes the next of its family."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="token_grants")
    family = models.UUIDField(default=uuid.uuid4, db_index=True, editable=False)
    jti = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    refresh_hash = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(_("scopes"), default=list)
    epoch = models.PositiveIntegerField(default=0)
    address = models.GenericIPAddressField(_("address"), null=True, blank=True)
    created = models.DateTimeField(_("created"), default=timezone.now)
    expires_at = models.DateTimeField(_("expires"))
    spent_at = models.DateTimeField(_("refreshed"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)

    class Meta:
        verbose_name = _("token grant")
        verbose_name_plural = _("token grants")
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.user} {self.created:%Y-%m-%d %H:%M}"


class Credential(models.Model):
    """A secret of somebody for a broker or a source: kept encrypted, used by the program, shown to nobody."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="credentials")
    name = models.CharField(_("name"), max_length=80)
    kind = models.CharField(_("kind"), max_length=32, default="broker")
    sealed = models.TextField(editable=False)
    created = models.DateTimeField(_("created"), default=timezone.now)
    changed_at = models.DateTimeField(_("changed"), default=timezone.now)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)

    class Meta:
        verbose_name = _("credential")
        verbose_name_plural = _("credentials")
        ordering = ("owner", "name")
        constraints = (models.UniqueConstraint(fields=["owner", "name"], name="credential_owner_name"),)

    def __str__(self) -> str:
        return f"{self.name} ({self.kind})"


class AuditLink(models.Model):
    """The place of one audit entry in the chain: its digest, hashed with the link before it."""

    position = models.BigIntegerField(primary_key=True)
    entry_id = models.BigIntegerField(unique=True)
    digest = models.CharField(max_length=64)
    chain = models.CharField(max_length=64)

    class Meta:
        verbose_name = _("audit link")
        verbose_name_plural = _("audit links")
        ordering = ("position",)

    def __str__(self) -> str:
        return f"{self.position}: {self.entry_id}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        super().save(*args, **{**kwargs, "force_insert": True})

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("links of the audit are never deleted")
