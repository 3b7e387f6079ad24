"""How the content of a chunk is stored: as it is, or packed where that pays (pure).

Called by `frame`.

Unpacking costs at every restore, so large content is packed only when much is saved; a sample from
its middle says so before the whole is tried. Random floats stay as they are.
"""

import zlib
from typing import Final

from flow_kernel.store.snapshots.fast import (
    HAS_ZSTD,
    Content,
    NotDecoded,
    zstd_packed,
    zstd_unpacked,
)

RAW: Final = 0
ZLIB: Final = 1
ZSTD: Final = 2
_LEVEL: Final = 1
_SAMPLE_BYTES: Final = 4 * 1024
"""Of random floats, dates, text, counts and images it tells as much as four times as many."""
_TINY_BYTES: Final = 64
_SMALL_BYTES: Final = 64 * 1024
_WORTH: Final = 0.6
_WORTH_OF_SAMPLE: Final = 0.7
_WORTH_OF_SMALL: Final = 0.9


class CodecDamaged(ValueError):
    """What is stored cannot be what was written; the message says why."""


def packed(raw: Content) -> tuple[int, Content]:
    """The codec and the bytes to store."""
    nbytes = len(raw)
    if nbytes < _TINY_BYTES:
        return RAW, raw
    is_small = nbytes <= _SMALL_BYTES
    if not is_small:
        start = nbytes // 2
        sample = raw[start : start + _SAMPLE_BYTES]
        if len(_tried(sample)[1]) > _WORTH_OF_SAMPLE * len(sample):
            return RAW, raw
    codec, stored = _tried(raw)
    worth = _WORTH_OF_SMALL if is_small else _WORTH
    return (codec, stored) if len(stored) < worth * nbytes else (RAW, raw)


def unpacked(codec: int, stored: Content, raw_bytes: int) -> Content:
    """The content; it may still be another than was written.

    Args:
        codec: As `packed` said.
        stored: The bytes.
        raw_bytes: The length of the content.

    Raises:
        CodecDamaged: It cannot be unpacked to that length.
    """
    try:
        if codec == RAW:
            raw = stored
        elif codec == ZLIB:
            # Never more than was promised: a frame that was made to explode is damage, too.
            raw = zlib.decompressobj().decompress(stored, raw_bytes + 1)
        elif codec == ZSTD:
            raw = zstd_unpacked(stored, raw_bytes)
        else:
            raise CodecDamaged(f"codec {codec} is not known here")
    except (zlib.error, NotDecoded) as error:
        raise CodecDamaged(f"content {error}") from None
    if len(raw) != raw_bytes:
        raise CodecDamaged(f"content is {len(raw)} bytes long, not {raw_bytes}")
    return raw


def _tried(raw: Content) -> tuple[int, bytes]:
    if HAS_ZSTD and (done := zstd_packed(raw)) is not None:
        return ZSTD, done
    return ZLIB, zlib.compress(raw, _LEVEL)
