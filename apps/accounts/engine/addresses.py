"""Addresses: which one a request came from, and which ones a token works from."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable


def clean(text: str) -> str:
    """Return ``text`` as a plain address (IPv4 in IPv6 unwrapped), empty where it is none."""
    try:
        address = ipaddress.ip_address(text.strip().partition("%")[0])
    except ValueError:
        return ""
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def client(peer: str, forwarded: str, hops: int) -> str:
    """Return who asked: the peer, or with ``hops`` trusted proxies the address the outermost of them saw.

    Each proxy appends whom it heard; only the last ``hops`` entries were written by one of ours,
    whatever the caller put before them.
    """
    if hops <= 0:
        return clean(peer)
    heard = [clean(part) for part in forwarded.split(",")] if forwarded else []
    if len(heard) < hops:
        return clean(peer)
    return heard[-hops] or clean(peer)


def networks(lines: Iterable[str]) -> list[str]:
    """Return ``lines`` as networks; raises ``ValueError`` naming the line that is none."""
    found = []
    for line in lines:
        if line.strip():
            try:
                found.append(str(ipaddress.ip_network(line.strip(), strict=False)))
            except ValueError as error:
                raise ValueError(line.strip()) from error
    return found


def inside(address: str, allowed: Iterable[str]) -> bool:
    """Tell whether ``address`` lies in one of the networks; an empty list allows all."""
    listed = list(allowed)
    if not listed:
        return True
    try:
        one = ipaddress.ip_address(clean(address))
    except ValueError:
        return False
    return any(one in ipaddress.ip_network(network) for network in listed)
