"""One chunk as bytes in a segment (pure).

Called by `writer` to write, and by `segments`, `reading` and `salvage` to read.

    segment:  "FLOWSEG1", then frames back to back
    frame 2:  magic "CHN2" | codec | flags | 6 zero bytes | stored size | raw size | BLAKE2b-256 of
              the content | xxh3_128 of the content | CRC-32 of all before it | the stored bytes
    frame 1:  magic "CHNK" | codec | 7 zero bytes | stored size | raw size | BLAKE2b-256 |
              CRC-32 of what is stored | CRC-32 of all before it | the stored bytes
    mark:     magic "CHNS" | where it lies | CRC-32 of both: all before it was on the disk by then

Little-endian. Frames of format 1 are read and no longer written. The first flag says that xxhash
was there; without it the field is zero. A frame stands by itself: a damaged one costs its chunk and
no other, because the next magic with a right checksum is found again.
"""

import hashlib
import struct
import zlib
from dataclasses import dataclass
from typing import Final

from flow_kernel.store.snapshots.codec import CodecDamaged, packed, unpacked
from flow_kernel.store.snapshots.fast import FAST_BYTES, Content, fast_hash

SEGMENT_MAGIC: Final = b"FLOWSEG1"
DIGEST_BYTES: Final = 32
MAGIC_BEGINS: Final = b"CHN"
"""What the magics of all formats begin with."""
_MAGIC: Final = b"CHN2"
_MAGIC_1: Final = b"CHNK"
_HEADER: Final = struct.Struct("<4sBB6xQQ32s16s")
_HEADER_1: Final = struct.Struct("<4sB7xQQ32sI")
_CRC: Final = struct.Struct("<I")
HEADER_BYTES: Final = _HEADER.size + _CRC.size
"""Of the newest format, which has the longest."""
_HAS_FAST: Final = 1
_MARK_MAGIC: Final = b"CHNS"
MARK_BYTES: Final = 16


class FrameDamaged(ValueError):
    """The bytes are not a frame as it was written; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a frame says about its chunk.

    Attributes:
        head_bytes: Its own length.
        codec: How the content is stored.
        stored_bytes: Length of what is stored.
        raw_bytes: Length of the content.
        digest: BLAKE2b-256 of the content.
        fast: xxh3_128 of the content; None where the writer had no xxhash.
        stored_crc: CRC-32 of what is stored; None from format 2 on.
    """

    head_bytes: int
    codec: int
    stored_bytes: int
    raw_bytes: int
    digest: bytes
    fast: bytes | None
    stored_crc: int | None

    @property
    def frame_bytes(self) -> int:
        """Length of the whole frame."""
        return self.head_bytes + self.stored_bytes


def digest_of(raw: Content) -> bytes:
    """What a chunk is named by: equal exactly for equal content."""
    return hashlib.blake2b(raw, digest_size=DIGEST_BYTES).digest()


def pack(raw: Content, digest: bytes, fast: bytes | None) -> tuple[bytes, Content]:
    """The header and the stored bytes of a chunk; compressed where that pays.

    Args:
        raw: The content; a memoryview of bytes.
        digest: Of the content.
        fast: Of the content, where it is known.
    """
    codec, stored = packed(raw)
    flags = 0 if fast is None else _HAS_FAST
    head = _HEADER.pack(
        _MAGIC, codec, flags, len(stored), len(raw), digest, fast or bytes(FAST_BYTES)
    )
    return head + _CRC.pack(zlib.crc32(head)), stored


def read_header(data: bytes) -> Header:
    """The header of a frame, of any format.

    Args:
        data: Begins with it; `HEADER_BYTES` are always enough.

    Raises:
        FrameDamaged: That is none.
    """
    if data[: len(_MAGIC)] == _MAGIC:
        _check(data, _HEADER.size)
        _, codec, flags, stored_bytes, raw_bytes, digest, fast = _HEADER.unpack_from(data)
        known = fast if flags & _HAS_FAST else None
        size, crc = _HEADER.size, None
    elif data[: len(_MAGIC_1)] == _MAGIC_1:
        _check(data, _HEADER_1.size)
        _, codec, stored_bytes, raw_bytes, digest, crc = _HEADER_1.unpack_from(data)
        size, known = _HEADER_1.size, None
    else:
        raise FrameDamaged("header fails its checksum" if len(data) >= 4 else "cut off")
    return Header(
        head_bytes=size + _CRC.size,
        codec=codec,
        stored_bytes=stored_bytes,
        raw_bytes=raw_bytes,
        digest=digest,
        fast=known,
        stored_crc=crc,
    )


def mark(offset: int) -> bytes:
    """Says that all of a segment before it has reached the disk.

    Args:
        offset: Where it will lie.
    """
    head = _MARK_MAGIC + offset.to_bytes(8, "little")
    return head + _CRC.pack(zlib.crc32(head))


def is_mark(data: bytes, offset: int) -> bool:
    """True for the mark of that place."""
    return data[: len(_MARK_MAGIC)] == _MARK_MAGIC and data[:MARK_BYTES] == mark(offset)


def unpack(header: Header, stored: Content, *, is_code: bool = True) -> Content:
    """The content of a chunk, proven to be what was written.

    Args:
        header: Of the frame.
        stored: The bytes after it.
        is_code: As for `prove`.

    Raises:
        FrameDamaged: It is not.
    """
    if len(stored) != header.stored_bytes:
        raise FrameDamaged("cut off")
    if header.stored_crc is not None and zlib.crc32(stored) != header.stored_crc:
        raise FrameDamaged("content fails its checksum")
    try:
        raw = unpacked(header.codec, stored, header.raw_bytes)
    except CodecDamaged as error:
        raise FrameDamaged(str(error)) from None
    prove(header, raw, is_code=is_code)
    return raw


def prove(header: Header, raw: Content, *, is_code: bool) -> None:
    """Nothing, if the content is what was written.

    Args:
        header: Of its frame.
        raw: The content.
        is_code: True where loading it may run code, and for lists, which name such content:
            only BLAKE2b withstands somebody who wants to be believed.

    Raises:
        FrameDamaged: It is not.
    """
    if not is_code and header.fast is not None and (found := fast_hash(raw)) is not None:
        is_right = found == header.fast
    else:
        is_right = digest_of(raw) == header.digest
    if not is_right:
        raise FrameDamaged("content fails its hash")


def _check(data: bytes, size: int) -> None:
    if len(data) < size + _CRC.size:
        raise FrameDamaged("cut off")
    if _CRC.unpack_from(data, size)[0] != zlib.crc32(data[:size]):
        raise FrameDamaged("header fails its checksum")
