"""The import form: a file sent or one that lies on the server, and what is known about it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.utils.text import slugify
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.marketdata.engine.contents import HEAD, check_contents
from apps.marketdata.engine.readers import FORMATS, ReadOptions, format_of
from apps.marketdata.engine.readers.options import MEGABYTE
from apps.marketdata.engine.readers.rows import symbol_of_file
from apps.marketdata.engine.tape import TAPE_FORMATS
from apps.marketdata.engine.tape.sources import may_hold_events
from apps.marketdata.models import Adjustment
from apps.ui.engine.refusal import Refusal
from apps.ui.refusals import refusal_text

UNPACKED_BYTES = 200 * MEGABYTE
#: Names the page offers, and folders it looks into for them.
MOST_OFFERED, MOST_LOOKED = 200, 2000
FORMAT_CHOICES = (("auto", _("by the file's name")), *((name, name) for name in (*FORMATS, *TAPE_FORMATS)))
SYMBOLS = (("normal", _("one name for each A-share (SH600000)")), ("as_is", _("as they are written")))
STAMPS = (("end", _("the end of the bar")), ("start", _("the start of the bar")))
DATE_ORDERS = (("", _("as the file shows")), ("mdy", _("month / day / year")), ("dmy", _("day / month / year")))


#: Fields that only some files need, and what they say where nobody chose.
RARE = {
    "format": "auto", "include": "", "columns": "", "date_order": "", "first_day": "", "symbol": "",
    "symbols": "normal", "volume_unit": "", "levels": str(ReadOptions.levels),
}  # fmt: skip


def import_folder() -> Path:
    """Return the folder whose files the import page offers."""
    return Path(settings.VAR_DIR) / "import"


def files_on_server() -> list[str]:
    """Return what can be imported, at most 200 each: files and folders newest first, then folders of bars below those.

    A folder below is named by its path from ``import_folder``, like ``lean/equity/usa/daily``.
    """
    folder = import_folder()
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if path.is_dir() or format_of(path) or may_hold_events(path)]
    newest = sorted((path for path in found if not path.name.startswith(".")), key=lambda path: -path.stat().st_mtime)
    below = islice(_below([path for path in newest if path.is_dir() and not path.is_symlink()]), MOST_OFFERED)
    return [path.name for path in newest[:MOST_OFFERED]] + [path.relative_to(folder).as_posix() for path in below]


def _below(folders: Sequence[Path]) -> Iterator[Path]:
    """Yield the folders below that hold files of bars; links are not followed."""
    looked = 0
    for folder in folders:
        for place, names, files in os.walk(folder):
            looked += 1
            if looked > MOST_LOOKED:
                return
            names[:] = sorted(name for name in names if not name.startswith("."))
            if Path(place) != folder and any(format_of(Path(file)) for file in files):
                yield Path(place)


def upload_limit() -> int:
    """Return how many bytes a request may carry; larger files are laid into ``import_folder``."""
    return int(settings.QP_UPLOAD_LIMIT_MB) * MEGABYTE


class ImportForm(forms.Form):
    """One import; ``on_server`` and ``upload`` exclude each other."""

    upload = forms.FileField(label=_("File"), required=False)
    on_server = forms.ChoiceField(label=_("Or a file on the server"), required=False)
    name = forms.CharField(
        label=_("Dataset"), required=False, max_length=64,
        help_text=_(
            "Lower-case letters, digits, - and _. Empty: made from the file's name. A name in use gets a new version."
        ),
    )  # fmt: skip
    title = forms.CharField(label=_("Title"), required=False, max_length=120)
    adjustment = forms.ChoiceField(
        label=_("Prices"), choices=Adjustment.choices, initial=Adjustment.RAW,
        help_text=_("Adjusted for splits and payouts, or as traded."),
    )  # fmt: skip
    currency = forms.CharField(label=_("Currency"), required=False, max_length=8, help_text=_("Like USD or CNY."))
    calendar = forms.CharField(
        label=_("Calendar"), required=False, max_length=16,
        help_text=_("Like XNYS, XSHG or 24/7. Empty: recognised from the days where it can be."),
    )  # fmt: skip
    time_zone = forms.CharField(
        label=_("Time zone"),
        initial="UTC",
        max_length=64,
        help_text=_("The clock of intraday times without an offset."),
    )
    stamp = forms.ChoiceField(
        label=_("Intraday times name"), choices=STAMPS, required=False,
        help_text=_("The platform keeps the end of a bar; starts are moved by one bar."),
    )  # fmt: skip
    first_day = forms.CharField(
        label=_("First day"),
        required=False,
        max_length=10,
        help_text=_("Only for a file without dates, like 1990-01-02."),
    )
    licence = forms.CharField(
        label=_("Licence"),
        required=False,
        max_length=120,
        help_text=_("What the source allows; kept with the dataset."),
    )
    tags = forms.CharField(label=_("Tags"), required=False, max_length=120, help_text=_("Separated by commas."))
    date_order = forms.ChoiceField(label=_("Dates like 3/4/2024"), choices=DATE_ORDERS, required=False)
    symbol = forms.CharField(
        label=_("Symbol"),
        required=False,
        max_length=32,
        help_text=_("Only where neither a column nor the file's name tells it."),
    )
    symbols = forms.ChoiceField(label=_("Names of symbols"), choices=SYMBOLS, required=False)
    include = forms.CharField(
        label=_("Files of a folder"),
        required=False,
        max_length=120,
        help_text=_("Only those of this pattern, like SPY*.csv."),
    )
    columns = forms.CharField(
        label=_("Names of columns"),
        required=False,
        max_length=500,
        help_text=_("Of a file without a header, separated by commas, like date,open,high,low,close."),
    )
    volume_unit = forms.IntegerField(
        label=_("Shares in a unit of volume"),
        required=False,
        min_value=1,
        max_value=1_000_000,
        help_text=_("Like 100 for lots; empty: recognised by the money traded."),
    )
    levels = forms.IntegerField(
        label=_("Levels of a book"),
        required=False,
        min_value=1,
        max_value=1000,
        help_text=_("How many prices of an order book are kept on each side; empty: 20."),
    )
    format = forms.ChoiceField(label=_("Format"), choices=FORMAT_CHOICES, required=False)

    def __init__(self, *args: Any, kept: Path | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kept = kept
        limit = {"most": settings.QP_UPLOAD_LIMIT_MB}
        self.fields["upload"].help_text = (
            gettext(
                "CSV, Parquet, Feather, Excel, JSON, LEAN's zips, Qlib's bundles, trades or order books; "
                "up to %(most)s MB."
            )
            % limit
        )
        field: Any = self.fields["on_server"]
        field.choices = [("", _("none chosen")), *((name, name) for name in files_on_server())]

    def clean_upload(self) -> UploadedFile | None:
        """Look at what was sent before it is kept: its content must be what its name says."""
        upload: UploadedFile | None = self.cleaned_data.get("upload")
        if upload is not None:
            try:
                check_contents(str(upload.name), upload.read(HEAD))
            except Refusal as no:
                raise forms.ValidationError(refusal_text(no), code=no.code) from no
            upload.seek(0)
        return upload

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        upload, chosen = data.get("upload"), data.get("on_server")
        if self.kept is not None and not upload and not chosen:
            data["name"] = data.get("name") or slugify(symbol_of_file(self.kept.name))[:64] or "dataset"
            return data
        if bool(upload) == bool(chosen) and "upload" not in self.errors and "on_server" not in self.errors:
            both = gettext("Choose one: a file of yours or one on the server.")
            self.add_error("upload", both if upload else gettext("Choose a file of yours, or one on the server."))
        elif upload and (upload.size or 0) > upload_limit():
            self.add_error("upload", self._too_large())
        source = str(upload.name if upload else chosen or "")
        data["name"] = data.get("name") or slugify(symbol_of_file(source))[:64] or "dataset"
        return data

    @staticmethod
    def _too_large() -> str:
        text = gettext("More than %(most)s MB: put it into the folder on the server, %(folder)s, and choose it there.")
        return text % {"most": settings.QP_UPLOAD_LIMIT_MB, "folder": import_folder()}

    @property
    def usual(self) -> list[forms.BoundField]:
        """What most imports say."""
        return [field for field in self if field.name not in RARE]

    @property
    def rare(self) -> list[forms.BoundField]:
        """What only some files need."""
        return [field for field in self if field.name in RARE]

    @property
    def rare_said(self) -> bool:
        """Whether one of those is filled in, or wrong."""
        return any(field.errors or str(field.value() or "") not in ("", RARE[field.name]) for field in self.rare)

    @property
    def source(self) -> UploadedFile | Path:
        """The file sent, or the path chosen."""
        upload: UploadedFile | None = self.cleaned_data.get("upload")
        chosen: str = self.cleaned_data["on_server"]
        return upload or (import_folder() / chosen if chosen or self.kept is None else self.kept)

    @property
    def options(self) -> ReadOptions:
        data = self.cleaned_data
        return ReadOptions(
            format=data["format"] or "auto", currency=data["currency"].upper(), time_zone=data["time_zone"],
            symbol=data["symbol"], date_order=data["date_order"],
            limit_bytes=ReadOptions.limit_bytes if data.get("on_server") else UNPACKED_BYTES,
            stamp=data["stamp"] or "end", first_day=data["first_day"], levels=data["levels"] or ReadOptions.levels,
            symbols=data["symbols"] or "normal", include=data["include"], volume_unit=data["volume_unit"] or 0,
            columns=tuple(name.strip() for name in data["columns"].split(",") if name.strip()),
        )  # fmt: skip
