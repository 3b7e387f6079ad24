"""One chunk as bytes in a segment (pure).

Called by `writer` to write and by `segments` to read.

    segment: "FLOWSEG1", then frames back to back
    frame:   magic "CHNK" | codec | 7 zero bytes | stored size | raw size | BLAKE2b-256 of the raw
             content | CRC-32 of what is stored | CRC-32 of all before it | the stored bytes

Little-endian. A frame stands by itself: a damaged one costs its chunk and no other, because the
next magic with a right checksum is found again.
"""

import hashlib
import struct
import zlib
from dataclasses import dataclass
from typing import Final

SEGMENT_MAGIC: Final = b"FLOWSEG1"
DIGEST_BYTES: Final = 32
_HEADER: Final = struct.Struct("<4sB7xQQ32sI")
_CRC: Final = struct.Struct("<I")
HEADER_BYTES: Final = _HEADER.size + _CRC.size
FRAME_MAGIC: Final = b"CHNK"
_RAW: Final = 0
_ZLIB: Final = 1
_LEVEL: Final = 1
_SAMPLE_BYTES: Final = 16 * 1024
_SMALL_BYTES: Final = 256 * 1024
_WORTH: Final = 0.7

Content = bytes | bytearray | memoryview


class FrameDamaged(ValueError):
    """The bytes are not a frame as it was written; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a frame says about its chunk."""

    codec: int
    stored_bytes: int
    raw_bytes: int
    digest: bytes
    stored_crc: int


def digest_of(raw: Content) -> bytes:
    """What a chunk is named by: equal exactly for equal content."""
    return hashlib.blake2b(raw, digest_size=DIGEST_BYTES).digest()


def pack(raw: Content, digest: bytes) -> tuple[bytes, Content]:
    """The header and the stored bytes of a chunk; compressed where that pays.

    Args:
        raw: The content; a memoryview of bytes.
        digest: Of the content.
    """
    codec, stored = _compressed(raw)
    head = _HEADER.pack(FRAME_MAGIC, codec, len(stored), len(raw), digest, zlib.crc32(stored))
    return head + _CRC.pack(zlib.crc32(head)), stored


def read_header(data: bytes) -> Header:
    """The header of a frame.

    Raises:
        FrameDamaged: That is none.
    """
    if len(data) < HEADER_BYTES:
        raise FrameDamaged("cut off")
    head = data[: _HEADER.size]
    magic, codec, stored_bytes, raw_bytes, digest, stored_crc = _HEADER.unpack(head)
    if magic != FRAME_MAGIC or _CRC.unpack_from(data, _HEADER.size)[0] != zlib.crc32(head):
        raise FrameDamaged("header fails its checksum")
    return Header(
        codec=codec,
        stored_bytes=stored_bytes,
        raw_bytes=raw_bytes,
        digest=digest,
        stored_crc=stored_crc,
    )


def unpack(header: Header, stored: Content) -> Content:
    """The content of a chunk, proven to be what was written.

    Raises:
        FrameDamaged: It is not.
    """
    if len(stored) != header.stored_bytes:
        raise FrameDamaged("cut off")
    if zlib.crc32(stored) != header.stored_crc:
        raise FrameDamaged("content fails its checksum")
    if header.codec == _RAW:
        raw: Content = stored
    elif header.codec == _ZLIB:
        # Never more than was promised: a frame that was made to explode is damage, too.
        inflate = zlib.decompressobj()
        raw = inflate.decompress(stored, header.raw_bytes + 1)
    else:
        raise FrameDamaged(f"codec {header.codec} is not known here")
    if len(raw) != header.raw_bytes or digest_of(raw) != header.digest:
        raise FrameDamaged("content fails its hash")
    return raw


def _compressed(raw: Content) -> tuple[int, Content]:
    if len(raw) > _SMALL_BYTES:
        # A look at the middle tells whether the whole is worth the time.
        start = len(raw) // 2
        sample = raw[start : start + _SAMPLE_BYTES]
        if len(zlib.compress(sample, _LEVEL)) > _WORTH * len(sample):
            return _RAW, raw
    packed = zlib.compress(raw, _LEVEL)
    return (_ZLIB, packed) if len(packed) < _WORTH * len(raw) else (_RAW, raw)
