"""The form of a source, made from its kind's configuration, and its configuration in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext
from pydantic.fields import FieldInfo

from apps.accounts.credentials import credentials_of
from apps.accounts.models import User
from apps.marketdata.engine.sources.config import FROM
from apps.marketdata.engine.sources.registry import source_kind
from apps.marketdata.models import Source
from apps.ui.config_forms import ConfigForm, FormGroup, shown_rows
from apps.ui.engine.text import N_

WORDS = {
    "raw": N_("raw"), "adjusted": N_("adjusted"), "end": N_("the end of the bar"), "start": N_("the start of the bar"),
    "manual": N_("By hand"), "interval": N_("At intervals"), "close": N_("After each close"), "cron": N_("By cron"),
    "auto": N_("Automatic"), "csv": "CSV", "parquet": "Parquet", "json": "JSON", "excel": "Excel",
    "postgresql": "PostgreSQL", "sqlite": "SQLite", "hfq": N_("Backward"), "qfq": N_("Forward"),
    "1d": N_("daily"), "1h": N_("hourly"), "30m": N_("30 minutes"), "15m": N_("15 minutes"), "5m": N_("5 minutes"),
    "1m": N_("1 minute"),
}  # fmt: skip


class SourceForm(ConfigForm):
    """What a kind of source asks, its own fields first; ``owner`` is whose secrets can be chosen."""

    def __init__(
        self, kind: str, values: Mapping[str, Any] | None = None, *, owner: User, base: Mapping[str, Any] | None = None
    ) -> None:
        self.kind, self.source = kind, source_kind(kind)
        super().__init__(self.source.config, values, base=base)
        self.secrets = list(credentials_of(owner).values_list("name", flat=True)) if self.source.secret else []

    def groups(self) -> list[FormGroup]:
        found = sorted(super().groups(), key=lambda group: group.title != gettext(FROM))
        for group in found:
            kept = [field for field in group.fields if field.name != "credential" or self.source.secret]
            group.fields = sorted(kept, key=lambda field: field.name == "credential")
            for field in group.fields:
                if field.name == "credential":
                    field.help = gettext(self.source.secret)
        return found

    def _kind(self, info: FieldInfo, extra: Mapping[str, Any]) -> tuple[str, list[tuple[str, str]]]:
        if extra.get("widget") == "credential":
            chosen = str(self.values.get("credential") or "")
            names = [*self.secrets, *([chosen] if chosen and chosen not in self.secrets else [])]
            return "select", [("", gettext("none")), *((name, name) for name in names)]
        return super()._kind(info, extra)

    def choice_label(self, value: str) -> str:
        word = WORDS.get(value)
        return gettext(word) if word else value


def source_rows(source: Source) -> list[FormGroup]:
    """Return the configuration as groups of rows to read. Raises ``Refusal`` where its kind is gone."""
    return shown_rows(SourceForm(source.kind, source.config, owner=source.owner))
