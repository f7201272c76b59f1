"""Bodies smaller on the way: gzip always, zstd where ``zstandard`` or ``pyarrow`` is installed."""

from __future__ import annotations

import gzip
import zlib
from importlib.util import find_spec
from typing import Any

#: Shorter bodies are sent as they are.
WORTH_PACKING = 1_000


def has_zstd() -> bool:
    return find_spec("zstandard") is not None or find_spec("pyarrow") is not None


def accepted() -> str:
    """Return our ``Accept-Encoding``."""
    return "zstd, gzip" if has_zstd() else "gzip"


def packed(data: bytes) -> tuple[bytes, str]:
    """Return ``data`` in the best coding we have, and its name; short data as it is, with an empty name."""
    if len(data) < WORTH_PACKING:
        return data, ""
    if find_spec("zstandard") is not None:
        import zstandard

        return zstandard.ZstdCompressor().compress(data), "zstd"
    if find_spec("pyarrow") is not None:
        import pyarrow as pa

        whole: bytes = pa.compress(data, codec="zstd", asbytes=True)
        return whole, "zstd"
    return gzip.compress(data, compresslevel=5, mtime=0), "gzip"


def unpacked(data: bytes, coding: str) -> bytes:
    """Return ``data`` without its ``Content-Encoding``. Raises ``ValueError`` where it is broken or unknown."""
    name = coding.strip().lower()
    if name in ("", "identity"):
        return data
    try:
        if name in ("gzip", "x-gzip"):
            return gzip.decompress(data)
        if name == "zstd" and has_zstd():
            return _unzstd(data)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"the answer is not whole {name}") from error
    raise ValueError(f"the answer is encoded as {name[:20]}, which was not asked for")


def _unzstd(data: bytes) -> bytes:
    if find_spec("pyarrow") is not None:
        import pyarrow as pa

        with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
            whole: bytes = stream.read()
        return whole
    import zstandard

    reader: Any = zstandard.ZstdDecompressor().decompressobj()
    try:
        part: bytes = reader.decompress(data)
    except zstandard.ZstdError as error:
        raise OSError(str(error)) from error
    return part
