"""Fetching from the network for people: only public addresses, each hop checked, pinned, bounded.

Somebody who may name an address must not reach what only this machine reaches. Each host is resolved
once, every address it has must be public (or the host allowed by an administrator), and the connection
goes to the address that was checked, under the name that was asked for, so that a second answer of
the name server changes nothing. Redirects come back here.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

if TYPE_CHECKING:
    import httpx

BAD_URL = N_("“%(url)s” is not an address: write https://host/path.")
USER_IN_URL = N_("Do not write a password into the address: keep it as a secret and choose it below.")
UNKNOWN_HOST = N_("There is no host %(host)s, or its name server does not answer.")
PRIVATE = N_(
    "%(host)s leads to %(address)s, which is not public. An administrator can allow the host in QP_SOURCE_HOSTS."
)
INSECURE = N_("%(host)s would be sent the secret without encryption. Use https.")
DOWNGRADE = N_("%(host)s redirects from https to http, where anybody could change the data.")
TOO_MANY_HOPS = N_("%(host)s redirects more than %(most)s times.")
TOO_LARGE = N_("%(host)s sends more than %(most)s MB. An administrator can raise QP_SOURCE_LIMIT_MB.")
TIMED_OUT = N_("%(host)s did not answer within %(seconds)s s.")
BROKEN = N_("The connection to %(host)s failed or ended early: %(reason)s")
ANSWERED = N_("%(host)s answered %(answered)s.")
#: Reached from inside a cloud's machine alone, though the address looks public.
INNER = frozenset({"168.63.129.16"})
MOST_HOPS = 5
HOST = re.compile(r"[A-Za-z0-9._:-]+")
MEGABYTE = 1024 * 1024
#: One wait for the other side; the whole answer has ``Network.seconds``.
STEP_SECONDS = 30.0
BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
NAT64 = ipaddress.ip_network("64:ff9b::/96")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class TryAgain(Refusal):
    """It did not work now and may work later: the network, a time-out, a busy server."""


@dataclass(frozen=True)
class Answer:
    """A whole answer: ``status`` 200, or 304 where nothing changed since the marks that were sent."""

    status: int
    kind: str = ""
    size: int = 0
    sha256: str = ""
    etag: str = ""
    modified: str = ""


def is_public(address: str) -> bool:
    """Tell whether anybody on the internet could have this address; what is wrapped in IPv6 is unwrapped."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return all(
        one.is_global and not (one.is_multicast or one.is_reserved or one.is_unspecified) and str(one) not in INNER
        for one in _meant(found)
    )


def _meant(address: Address) -> list[Address]:
    """Return the address, and the IPv4 addresses that one of IPv6 stands for."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address in NAT64:
        return [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    wrapped = [address.sixtofour, *(address.teredo or ())]
    return [address, *(one for one in wrapped if one is not None)]


@dataclass(frozen=True)
class Network:
    """The way out. ``allowed`` are hosts, or ``host:port``, that may lie inside; sizes in bytes, times in s."""

    allowed: frozenset[str] = frozenset()
    limit: int = 512 * MEGABYTE
    seconds: float = 600.0
    #: Hears the bytes of the answer so far; may raise to end it.
    on_bytes: Callable[[int], None] = field(default=lambda size: None)

    def may_be_private(self, host: str, port: int) -> bool:
        name = host.lower().rstrip(".")
        return bool({name, f"{name}:{port}", f"[{name}]:{port}"} & self.allowed)

    def pin(self, host: str, port: int) -> str:
        """Return the one address to connect to. Raises ``Refusal`` ``private_address``, ``TryAgain``."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError, ValueError) as error:
            raise TryAgain("unknown_host", UNKNOWN_HOST, status=502, field="url", host=host[:120]) from error
        addresses = [str(entry[4][0]) for entry in found]
        if not self.may_be_private(host, port):
            # One private address among public ones is enough: which is used would be the name server's choice.
            inner = next((address for address in addresses if not is_public(address)), None)
            if inner is not None:
                raise Refusal("private_address", PRIVATE, field="url", host=host[:120], address=inner)
        return addresses[0]

    def download(
        self,
        url: str,
        target: Path,
        *,
        secret_headers: Mapping[str, str] | None = None,
        secret_in_url: bool = False,
        etag: str = "",
        modified: str = "",
    ) -> Answer:
        """Fetch ``url`` into ``target``, following redirects; a 304 writes nothing.

        Secret headers go to the host that was asked, never to one it redirects to. Raises ``Refusal``
        (``private_address``, ``too_large``, ``insecure_secret`` …) or ``TryAgain``; ``target`` is gone then.
        """
        deadline = time.monotonic() + self.seconds
        marks = {"If-None-Match": etag, "If-Modified-Since": modified}
        conditions = {name: value for name, value in marks.items() if value}
        here, origin = checked_url(url), checked_url(url)
        try:
            for _hop in range(MOST_HOPS + 1):
                same = (here.scheme, here.host, here.port) == (origin.scheme, origin.host, origin.port)
                secrets = dict(secret_headers or {}) if same else {}
                if secrets or (secret_in_url and same):
                    self._check_encrypted(here)
                answer = self._hop(here, target, {**conditions, **secrets}, deadline)
                if isinstance(answer, Answer):
                    return answer
                there = checked_url(str(here.join(answer)))
                if here.scheme == "https" and there.scheme == "http":
                    raise Refusal("insecure_redirect", DOWNGRADE, field="url", host=here.host)
                here = there
            raise Refusal("too_many_redirects", TOO_MANY_HOPS, field="url", host=origin.host, most=MOST_HOPS)
        except BaseException:
            target.unlink(missing_ok=True)
            raise

    def _check_encrypted(self, url: httpx.URL) -> None:
        if url.scheme != "https" and not self.may_be_private(url.host, port_of(url)):
            raise Refusal("insecure_secret", INSECURE, field="url", host=url.host)

    def _hop(self, url: httpx.URL, target: Path, headers: Mapping[str, str], deadline: float) -> Answer | str:
        """Ask one address: return the answer, or where it redirects to."""
        import httpx

        address = self.pin(url.host, port_of(url))
        pinned = url.copy_with(host=f"[{address}]" if ":" in address else address)
        wait = httpx.Timeout(min(STEP_SECONDS, self.seconds))
        names = {"Host": url.netloc.decode("ascii"), "User-Agent": "quant-platform", "Accept": "*/*", **headers}
        with (
            _told(url.host, self.seconds),
            # Proxies of the environment would resolve the name again, for themselves.
            httpx.Client(timeout=wait, trust_env=False, follow_redirects=False) as client,
            client.stream("GET", pinned, headers=names, extensions={"sni_hostname": url.host}) as response,
        ):
            if response.status_code == 304:
                return Answer(304)
            if response.has_redirect_location:
                return response.headers["location"]
            if response.status_code != 200:
                wrong = TryAgain if response.status_code in BUSY else Refusal
                raise wrong("source_answered", ANSWERED, status=502, host=url.host, answered=response.status_code)
            return self._body(response, target, url.host, deadline)

    def _body(self, response: httpx.Response, target: Path, host: str, deadline: float) -> Answer:
        digest, size = hashlib.sha256(), 0
        with target.open("wb") as file:
            # As it arrives: a server that trickles must not keep the deadline, or a stop, waiting for a full block.
            for block in response.iter_bytes():
                size += len(block)  # as unpacked: a small answer may be a large file
                if size > self.limit:
                    raise Refusal("too_large", TOO_LARGE, status=413, host=host, most=self.limit // MEGABYTE)
                if time.monotonic() > deadline:
                    raise TryAgain("timed_out", TIMED_OUT, status=504, host=host, seconds=f"{self.seconds:g}")
                file.write(block)
                digest.update(block)
                self.on_bytes(size)
        heads = response.headers
        return Answer(
            200, heads.get("content-type", "").partition(";")[0].strip().lower(), size, digest.hexdigest(),
            heads.get("etag", "")[:200], heads.get("last-modified", "")[:64],
        )  # fmt: skip


@contextmanager
def _told(host: str, seconds: float) -> Iterator[None]:
    """Say what failed in a sentence; the library's own words may hold the address with its secrets."""
    import httpx

    try:
        yield
    except httpx.TimeoutException as error:
        waited = f"{min(STEP_SECONDS, seconds):g}"
        raise TryAgain("timed_out", TIMED_OUT, status=504, host=host, seconds=waited) from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise TryAgain("unreachable", BROKEN, status=502, host=host, reason=type(error).__name__) from None


def port_of(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def checked_url(text: str) -> httpx.URL:
    """Return the address if it is http or https with a host and without a password. Raises ``Refusal``."""
    import httpx

    try:
        url = httpx.URL(text)
        named = HOST.fullmatch(url.raw_host.decode("ascii"))
        whole = url.scheme in ("http", "https") and bool(named) and 0 < port_of(url) < 2**16
    except (httpx.InvalidURL, ValueError, TypeError, UnicodeError):
        raise Refusal("bad_url", BAD_URL, field="url", url=text[:80]) from None
    if not whole:
        raise Refusal("bad_url", BAD_URL, field="url", url=text[:80])
    if url.userinfo:
        raise Refusal("password_in_url", USER_IN_URL, field="url")
    return url


def network_of(settings: Any, on_bytes: Callable[[int], None] | None = None) -> Network:
    """Return the way out as the settings bound it."""
    allowed = frozenset(str(host).strip().lower() for host in settings.QP_SOURCE_HOSTS)
    more = {"on_bytes": on_bytes} if on_bytes else {}
    return Network(allowed, int(settings.QP_SOURCE_LIMIT_MB) * MEGABYTE, float(settings.QP_SOURCE_SECONDS), **more)
