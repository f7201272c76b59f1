"""Files of bars at an address: CSV, Parquet, Excel or JSON over http or https."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Literal
from urllib.parse import parse_qsl, quote, urlsplit

from pydantic import Field, field_validator, model_validator

from apps.marketdata.engine.contents import HEAD, check_contents
from apps.marketdata.engine.readers import format_of
from apps.marketdata.engine.sources.config import FROM, SourceConfig, days_again, extra, first_day_asked, symbol_list
from apps.marketdata.engine.sources.network import Answer, checked_url
from apps.marketdata.engine.sources.port import Fetched, Job, Piece, Said
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

KEY_IN_URL = N_("“%(name)s” looks like a key. Keep it as a secret, choose it below, and write %(name)s={secret}.")
NO_SYMBOLS = N_("The address has {symbol}: name the symbols to fetch.")
BAD_PLACE = N_("{%(name)s} is not known. An address may hold {symbol}, {since} and {secret}.")
NO_SECRET = N_("The address has {secret}: choose a secret below.")
BAD_SECRET = N_(
    "This source knows no such secret: it is a token as text, or JSON with username and password, or header and value."
)
ALIKE = N_("The symbol %(symbol)s is written like another but for its punctuation. Fetch it by a source of its own.")
REACHED = N_("%(host)s answered with %(size)s bytes (%(kind)s).")
UNCHANGED = N_("%(host)s answered: nothing has changed.")
KEY = re.compile(r"(?i)(^|[_-])(api[_-]?key|key|token|secret|password|passwd|auth|signature|credential)s?$")
PLACE = re.compile(r"\{([^{}]*)\}")
ENDINGS = {"csv": ".csv", "parquet": ".parquet", "json": ".json", "excel": ".xlsx"}
KINDS = {
    "text/csv": "csv", "application/vnd.apache.parquet": "parquet", "application/json": "json",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "excel",
}  # fmt: skip


class HttpConfig(SourceConfig):
    """The address, and what of it changes from request to request."""

    url: str = Field(
        max_length=1000,
        title=N_("Address"),
        description=N_(
            "{symbol} stands for each symbol, {since} for the day of the newest bar, {secret} for the secret."
        ),
        json_schema_extra=extra(FROM, widget="expression"),
    )
    symbols: str = Field(
        "",
        max_length=40_000,
        title=N_("Symbols"),
        description=N_("Separated by commas; one request each where the address has {symbol}."),
        json_schema_extra=extra(FROM, widget="expression"),
    )
    format: Literal["auto", "csv", "parquet", "json", "excel"] = Field(
        "auto",
        title=N_("Format"),
        description=N_("Automatic: by the address or what the server says."),
        json_schema_extra=extra(FROM),
    )
    start: date = first_day_asked(date(1990, 1, 1), N_("What {since} is on the first sync, like 1990-01-01."))
    overlap: int = days_again(5, 0, N_("Days before the newest bar that {since} reaches back, for corrections."))

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        unknown = next((name for name in PLACE.findall(value) if name not in ("symbol", "since", "secret")), None)
        if unknown is not None:
            raise Refusal("bad_url", BAD_PLACE, field="url", name=unknown[:40])
        checked_url(PLACE.sub("x", value))
        for name, text in parse_qsl(urlsplit(value).query, keep_blank_values=True):
            if KEY.search(name) and text and text != "{secret}":
                raise Refusal("key_in_url", KEY_IN_URL, field="url", name=name[:40])
        return value

    @field_validator("symbols")
    @classmethod
    def _names(cls, value: str) -> str:
        return ", ".join(symbol_list(value))

    @model_validator(mode="after")
    def _complete(self) -> HttpConfig:
        if "{symbol}" in self.url and not self.symbols:
            raise Refusal("no_symbols", NO_SYMBOLS, field="symbols")
        if "{secret}" in self.url and not self.credential:
            raise Refusal("no_secret", NO_SECRET, field="credential")
        return self


class HttpSource:
    """One request, or one per symbol. What answered with a mark (ETag, date) is asked only for changes."""

    label: ClassVar[str] = N_("Web address (CSV, Parquet)")
    summary: ClassVar[str] = N_("Files of bars over http or https, whole or since the newest bar.")
    config: ClassVar[type[SourceConfig]] = HttpConfig
    secret: ClassVar[str] = N_(
        "A token (sent as Bearer, or put where the address has {secret}); or JSON: username, password or header, value."
    )
    requires: ClassVar[str] = ""

    def test(self, job: Job) -> Said:
        names = symbol_list(job.config.symbols)
        answer, _file = self._one(job, names[0] if "{symbol}" in job.config.url else "", {})
        host = checked_url(PLACE.sub("x", job.config.url)).host
        if answer.status == 304:
            return Said(UNCHANGED, {"host": host})
        return Said(REACHED, {"host": host, "size": answer.size, "kind": answer.kind or "?"})

    def symbols(self, job: Job) -> Sequence[str]:
        return symbol_list(job.config.symbols)

    def fetch(self, job: Job) -> Fetched:
        names = symbol_list(job.config.symbols) if "{symbol}" in job.config.url else [""]
        marks: dict[str, Any] = {}
        files, pieces = [], []
        for number, name in enumerate(names):
            job.progress(number / len(names), name or checked_url(PLACE.sub("x", job.config.url)).host)
            before = job.marks.get(name, {})
            answer, file = self._one(job, name, before)
            marks[name] = before
            if answer.status == 304 or answer.size == 0:
                continue
            marks[name] = {"etag": answer.etag, "modified": answer.modified, "sha256": answer.sha256}
            if answer.sha256 == before.get("sha256"):
                continue
            files.append(file)
            pieces.append(Piece(self._address(job, name, "{secret}"), answer.sha256, answer.size))
        # A file of one symbol without a column for it is named by the request.
        return Fetched(tuple(files), tuple(pieces), marks)

    def _address(self, job: Job, name: str, secret: str) -> str:
        since = job.since(name, job.config.overlap) if name else job.watermark(job.config.overlap)
        values = {"symbol": quote(name, safe=""), "since": str(since or job.config.start), "secret": secret}
        return PLACE.sub(lambda found: values[found.group(1)], job.config.url)

    def _one(self, job: Job, name: str, before: Mapping[str, Any]) -> tuple[Answer, Path]:
        """Fetch one file under the name that tells its format and symbol; its content must be what that promises."""
        in_url = "{secret}" in job.config.url
        address = self._address(job, name, quote(job.secret.get("token", ""), safe=""))
        headers = {} if in_url or not job.config.credential else secret_headers(job.secret)
        raw = job.folder / f".{len(list(job.folder.iterdir()))}.part"
        # With {since} each request has another answer: marks of the one before say nothing about it.
        kept = {} if "{since}" in job.config.url else before
        answer = job.network.download(
            address, raw, secret_headers=headers, secret_in_url=in_url,
            etag=str(kept.get("etag", "")), modified=str(kept.get("modified", "")),
        )  # fmt: skip
        if answer.status == 304:
            return answer, raw
        file = job.folder / self._file_name(job, name, answer.kind)
        if file.exists():
            raise Refusal("symbols_alike", ALIKE, field="symbols", symbol=name)
        with raw.open("rb") as opened:
            check_contents(file.name, opened.read(HEAD))
        raw.rename(file)
        return answer, file

    def _file_name(self, job: Job, name: str, kind: str) -> str:
        path = PurePosixPath(checked_url(PLACE.sub("x", job.config.url)).path)
        known = "".join(path.suffixes[-2:]).lower() if format_of(Path(path.name)) else ""
        ending = ENDINGS.get(job.config.format) or known or ENDINGS[KINDS.get(kind, "csv")]
        stem = name or path.name.partition(".")[0] or "bars"
        return re.sub(r"[^\w.=^-]", "_", stem)[:80] + ending


def secret_headers(secret: Mapping[str, str]) -> dict[str, str]:
    """Return the header a secret is sent in. Raises ``Refusal`` ``bad_secret``."""
    if secret.get("username") or secret.get("password"):
        from base64 import b64encode

        pair = f"{secret.get('username', '')}:{secret.get('password', '')}".encode()
        return {"Authorization": f"Basic {b64encode(pair).decode('ascii')}"}
    name, value = secret.get("header", "Authorization"), secret.get("value", "")
    value = value or (f"Bearer {secret['token']}" if secret.get("token") else "")
    printable = value.isascii() and value.isprintable() and re.fullmatch(r"[A-Za-z0-9-]+", name)
    if not value or not printable:
        raise Refusal("bad_secret", BAD_SECRET, field="credential")
    return {name: value}


def secret_fields(text: str) -> dict[str, str]:
    """Return the fields of a secret: those of its JSON, or the text as ``token``."""
    try:
        found = json.loads(text)
    except ValueError:
        return {"token": text}
    if not isinstance(found, dict):
        return {"token": text}
    return {str(name): str(value) for name, value in found.items()}
