"""Forms of feeds: a replay of a dataset, a live source."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.marketdata.engine.quotes.replay import FASTEST, SLOWEST
from apps.marketdata.models import Dataset, FeedKind
from apps.marketdata.selectors import dataset_visible


class ReplayForm(forms.Form):
    """Which dataset is replayed, how fast, which symbols of it."""

    dataset = forms.ModelChoiceField(Dataset.objects.none(), label=_("Dataset"), empty_label=None)
    speed = forms.FloatField(
        label=_("Speed"), min_value=SLOWEST, max_value=FASTEST, initial=60,
        widget=forms.NumberInput(attrs={"step": "any"}),
        help_text=_("how many times faster than it happened; nights and weekends are not waited for"),
    )  # fmt: skip
    symbols = forms.CharField(
        label=_("Symbols"),
        required=False,
        max_length=4000,
        help_text=_("separated by commas; empty: all of the dataset"),
    )
    loop = forms.BooleanField(label=_("Begin anew at the end"), required=False)

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = dataset_visible(user).filter(archived_at=None, content="bars").order_by("name", "-version")
        self.fields["dataset"].queryset = rows  # type: ignore[attr-defined]


class SourceForm(forms.Form):
    """A live source; what its kind does not need stays empty."""

    name = forms.SlugField(label=_("Name"), max_length=64)
    kind = forms.ChoiceField(
        label=_("Kind"), choices=[(kind.value, kind.label) for kind in (FeedKind.WEBSOCKET, FeedKind.QMT)]
    )
    url = forms.CharField(
        label=_("Address"),
        required=False,
        max_length=2000,
        help_text=_("ws:// or wss://; {secret} stands for the secret"),
    )
    subscribe = forms.CharField(
        label=_("Sent after connecting"), required=False, max_length=2000,
        help_text=_("{symbols} stands for the symbols as a JSON list"),
    )  # fmt: skip
    mapping = forms.CharField(
        label=_("Fields"), required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 3, "class": "mono"}),
        help_text=_(
            "JSON from our names to the source's: symbol, last, time, unit, volume, amount, bids, asks, items, lot"
        ),
    )  # fmt: skip
    header = forms.CharField(label=_("Header with the secret"), required=False, max_length=80)
    credential = forms.CharField(
        label=_("Secret"), required=False, max_length=80, help_text=_("the name of one of your secrets")
    )
    symbols = forms.CharField(label=_("Symbols"), required=False, max_length=40_000)
    calendar = forms.CharField(
        label=_("Calendar"), required=False, max_length=16,
        help_text=_("such as XSHG: silence is trouble only while that market is open"),
    )  # fmt: skip

    def clean_mapping(self) -> dict[str, Any]:
        text = self.cleaned_data["mapping"].strip() or "{}"
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError(_("This is not JSON: %(error)s"), params={"error": str(error)[:100]}) from error
        if not isinstance(found, dict):
            raise forms.ValidationError(_("Write a JSON object, {…}."))
        return found
