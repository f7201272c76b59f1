"""Content codings of HTTP: gzip and zstd, read with a limit and chosen by what the other end accepts.

zstd comes with pyarrow, which is imported when the first body or answer needs it.
"""

from __future__ import annotations

import gzip
import zlib
from typing import Any

from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

#: What we read and write, the better one first.
CODINGS = ("zstd", "gzip")
UNKNOWN = N_("Bodies encoded as %(coding)s are not read here. Send one of %(known)s, or none.")
BROKEN = N_("The body is not whole %(coding)s.")
TOO_LARGE = N_("The body is larger than %(most)s bytes.")
STEP = 2**20
#: Bytes from which an answer is data rather than a page.
LARGE = 100_000


def decoded(data: bytes, coding: str, most: int) -> bytes:
    """Return ``data`` without its ``coding`` (a ``Content-Encoding``; empty and identity are none).

    Reads no more than ``most`` bytes of content, however small ``data`` is. Raises ``Refusal``
    ``unsupported_encoding`` (415), ``broken_body`` (400), ``body_too_large`` (413).
    """
    name = coding.strip().lower()
    if name not in ("", "identity"):
        reader = READERS.get(name)
        if reader is None:
            known = ", ".join(CODINGS)
            raise Refusal("unsupported_encoding", UNKNOWN, status=415, coding=name[:40], known=known)
        try:
            data = reader(data, most + 1)
        except (OSError, zlib.error, EOFError) as error:
            raise Refusal("broken_body", BROKEN, status=400, coding=name) from error
    if len(data) > most:
        raise too_large(most)
    return data


def too_large(most: int) -> Refusal:
    return Refusal("body_too_large", TOO_LARGE, status=413, most=f"{most:,}")


def _gunzipped(data: bytes, most: int) -> bytes:
    """Return up to ``most`` bytes of one or several gzip members in a row."""
    parts: list[bytes] = []
    size = 0
    while data:
        member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        while not member.eof and size < most:
            part = member.decompress(data, min(STEP, most - size))
            data = member.unconsumed_tail
            if not part and not data and not member.eof:
                raise EOFError("the member is cut")
            parts.append(part)
            size += len(part)
        if size >= most:
            break
        data = member.unused_data
    if not parts:
        raise EOFError("there is no member")
    return b"".join(parts)


def _unzstd(data: bytes, most: int) -> bytes:
    """Return up to ``most`` bytes of one or several zstd frames in a row."""
    import pyarrow as pa

    if not data:
        raise EOFError("there is no frame")
    parts: list[bytes] = []
    size = 0
    with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
        # Asked for all at once it would make room for all that is allowed, whatever is sent.
        while size < most and (part := stream.read(min(STEP, most - size))):
            parts.append(part)
            size += len(part)
    return b"".join(parts)


READERS = {"gzip": _gunzipped, "x-gzip": _gunzipped, "zstd": _unzstd}


def encoded(data: bytes, coding: str) -> bytes:
    """Return ``data`` in ``coding``, one of ``CODINGS``."""
    if coding == "gzip":
        return gzip.compress(data, compresslevel=5, mtime=0)
    import pyarrow as pa

    # Columns of numbers pack as well on the first level, in a fifth of the time.
    codec: Any = pa.Codec("zstd", compression_level=3 if len(data) < LARGE else 1)
    packed: bytes = codec.compress(data, asbytes=True)
    return packed


def best_coding(accept: str) -> str:
    """Return the coding of ``CODINGS`` that an ``Accept-Encoding`` likes best, empty for none of them."""
    likes: dict[str, float] = {}
    for item in accept.lower().split(","):
        name, _, parameter = item.strip().partition(";")
        key, _, value = parameter.strip().partition("=")
        likes[name.strip()] = _weight(value) if key.strip() == "q" else 1.0
    star = likes.get("*", 0.0)
    weight = {name: likes.get(name, star) for name in CODINGS}
    best = max(CODINGS, key=lambda name: weight[name])
    return best if weight[best] > 0 and weight[best] >= likes.get("identity", 0.0) else ""


def _weight(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 0 <= value <= 1 else 0.0
