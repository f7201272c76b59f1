"""What both clients know about the way to a server: addresses, headers, encodings, keys, the disk."""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from .cache import DiskCache, Kept
from .calls import Answer, Call
from .encoding import accepted, packed, unpacked
from .errors import ClientError, NotAuthenticated, TooSlow, UnexpectedAnswer, Unreachable, problem_of
from .retry import Retry
from .secret import Keys, Secret

log = logging.getLogger("quant_platform.client")
TIMEOUT = 30.0
CONNECTIONS, PER_HOST, KEEP_ALIVE = 100, 25, 60.0
LIMITS = httpx.Limits(
    max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS, keepalive_expiry=KEEP_ALIVE
)  # fmt: skip


@dataclass
class Wire:
    """One server, as one person. ``offline`` never asks it and reads the disk alone."""

    base: httpx.URL
    keys: Keys | None = None
    retry: Retry = field(default_factory=Retry)
    cache: DiskCache | None = None
    offline: bool = False
    language: str = ""
    packs: bool = True

    def request(self, call: Call[Any], kept: Kept | None = None) -> dict[str, Any]:
        """Return the arguments of httpx's ``build_request``."""
        headers = {"Accept": call.accept, "Accept-Encoding": accepted()}
        if self.language:
            headers["Accept-Language"] = self.language
        if not call.public and self.keys is not None:
            headers |= self.keys.headers()
        if kept is not None and kept.etag:
            headers["If-None-Match"] = kept.etag
        content = b""
        if call.body is not None:
            content = json.dumps(call.body, allow_nan=False, ensure_ascii=False).encode()
            headers["Content-Type"] = "application/json"
            content, coding = packed(content) if self.packs else (content, "")
            if coding:
                headers["Content-Encoding"] = coding
        url = self.base.copy_with(raw_path=self.base.raw_path.rstrip(b"/") + call.path.encode("ascii"))
        if call.query:
            url = url.copy_merge_params(call.query)
        return {"method": call.method, "url": url, "headers": headers, "content": content}

    def answer(self, call: Call[Any], response: httpx.Response, raw: bytes) -> Answer:
        """Return what came, unpacked; raises the ``Problem`` it is, or ``Unreachable`` where it is broken."""
        headers = {name.lower(): value for name, value in response.headers.items()}
        try:
            content = unpacked(raw, headers.get("content-encoding", ""))
        except ValueError as error:
            raise Unreachable(str(error)) from error
        if response.status_code == 304 or response.is_success or response.status_code in call.answers:
            return Answer(response.status_code, headers, content)
        if response.is_redirect:
            raise UnexpectedAnswer(f"the server sends us on to {headers.get('location', '?')}: is the address right?")
        raise problem_of(response.status_code, headers, content)

    def adjusted(self, error: ClientError, told: set[str]) -> bool:
        """Tell whether sending the very same again makes sense because we now send it plain.

        Such a refusal comes before anything is done, so that no call is done twice.
        """
        if getattr(error, "code", "") == "unsupported_encoding" and self.packs and "packs" not in told:
            told.add("packs")
            self.packs = False
            return True
        return False

    def may_renew(self, call: Call[Any], error: ClientError, told: set[str]) -> bool:
        """Tell whether a new JWT may help; the refused call was not done."""
        renewable = self.keys is not None and self.keys.refresh is not None and not call.public
        if not isinstance(error, NotAuthenticated) or not renewable or "keys" in told:
            return False
        told.add("keys")
        return True

    def socket_url(self, query: str) -> str:
        """Return the address of the live connection; secrets go into its headers."""
        scheme = "wss" if self.base.scheme == "https" else "ws"
        return (
            str(self.base.copy_with(scheme=scheme, raw_path=self.base.raw_path.rstrip(b"/") + b"/ws/live/"))
            + f"?{query}"
        )

    # The disk

    def key(self, call: Call[Any]) -> str:
        return f"{call.method} {self.request(call)['url']} {call.accept}"

    def kept(self, call: Call[Any]) -> Kept | None:
        """Return what the disk has of this call, whole."""
        return self.cache.get(self.key(call)) if self.cache is not None and call.cached else None

    def keep(self, call: Call[Any], kept: Kept | None, answer: Answer) -> Answer:
        """Return the answer to use: the disk's where the server says that nothing changed."""
        if answer.status == 304:
            if kept is None:
                raise UnexpectedAnswer("the server says that nothing changed, but nothing was kept")
            if self.cache is not None:
                self.cache.renew(self.key(call), kept, answer.headers)
            return kept.answer
        if self.cache is not None and call.cached and answer.status == 200:
            self.cache.put(self.key(call), answer)
        return answer


def base_url(url: str) -> httpx.URL:
    """Return the address of a site; raises ``ValueError`` for what is none."""
    try:
        found = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"{url!r} is no address: {error}") from error
    if found.scheme not in ("http", "https") or not found.host:
        raise ValueError(f"{url!r} is no address of a site; write it like https://quant.example")
    if found.userinfo or found.query:
        raise ValueError("the address of a site has no name, password or query in it; pass the token as token=")
    return found


def make_wire(url: str, token: str | Secret | None, **options: Any) -> Wire:
    """Return a ``Wire``; warns where a token would travel in the clear."""
    base = base_url(url)
    secret = Secret(token) if isinstance(token, str) else token
    if secret and base.scheme == "http" and not _is_near(base.host):
        warnings.warn(f"the token travels in the clear to {base.host}: use https", UserWarning, stacklevel=4)
    keys = Keys(secret) if secret else None
    return Wire(base, keys, **{name: value for name, value in options.items() if value is not None})


def _is_near(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def from_environment(environ: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """Return address and token of ``QUANT_PLATFORM_URL`` and ``QUANT_PLATFORM_TOKEN``."""
    url = environ.get("QUANT_PLATFORM_URL", "http://127.0.0.1:8000")
    return url, environ.get("QUANT_PLATFORM_TOKEN", "")


def unreachable(error: httpx.HTTPError, base: httpx.URL) -> Unreachable:
    """Return our error for one of httpx; the address has no secrets in it."""
    site = f"{base.scheme}://{base.netloc.decode('ascii')}"
    reason = str(error) or type(error).__name__
    if isinstance(error, httpx.TimeoutException):
        return TooSlow(f"{site} did not answer in time ({type(error).__name__})")
    return Unreachable(f"{site} cannot be reached: {reason}")
