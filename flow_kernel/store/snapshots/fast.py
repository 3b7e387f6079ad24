"""xxhash and zstandard where they are installed, and what to do without (pure).

Called by `frame`, `codec` and `writer`. `pip install "flow_kernel[checkpoint]"` brings both.

xxh3_128 is some twenty times as fast as BLAKE2b and finds every accident; it does not withstand
somebody who looks for collisions, so nothing that runs as code is named or proven by it.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

Content = bytes | bytearray | memoryview
FAST_BYTES: Final = 16
_LEVEL: Final = 1


def _installed(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        return None


_XXHASH: Final = _installed("xxhash")
_ZSTD: Final = _installed("zstandard")
HAS_FAST: Final = _XXHASH is not None
HAS_ZSTD: Final = _ZSTD is not None
_xxh3_128: Final[Callable[[Content], bytes] | None] = getattr(_XXHASH, "xxh3_128_digest", None)


class NotDecoded(ValueError):
    """The bytes are no zstd frame, or of another size than was promised."""


def fast_hash(raw: Content) -> bytes | None:
    """xxh3_128 of content; None without xxhash."""
    return None if _xxh3_128 is None else _xxh3_128(raw)


def zstd_packed(raw: Content) -> bytes | None:
    """Content as one zstd frame; None without zstandard."""
    if _ZSTD is None:
        return None
    packed: bytes = _ZSTD.ZstdCompressor(level=_LEVEL).compress(raw)
    return packed


def zstd_unpacked(stored: Content, raw_bytes: int) -> bytes:
    """The content of a zstd frame.

    Args:
        stored: The frame.
        raw_bytes: The most that may come out.

    Raises:
        NotDecoded: It is none, holds more than that, or zstandard is not installed.
    """
    if _ZSTD is None:
        raise NotDecoded('is packed with zstd, which is not here: pip install "zstandard"')
    try:
        # Never more than was promised: a frame that was made to explode is damage, too.
        if _ZSTD.frame_content_size(stored) != raw_bytes:
            raise NotDecoded("promises another size")
        unpacked: bytes = _ZSTD.ZstdDecompressor().decompress(stored, max_output_size=raw_bytes)
    except (_ZSTD.ZstdError, MemoryError) as error:
        raise NotDecoded(f"cannot be unpacked: {error}") from None
    return unpacked
