from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "apps.accounts"
    verbose_name = _("Accounts")

    def ready(self) -> None:
        from apps.accounts import audit_triggers

        post_migrate.connect(audit_triggers.install_after_migrate, sender=self)
        if apps.is_installed("allauth.mfa"):  # not in a session's child process, where nobody logs in
            from apps.accounts import signals

            signals.connect()
