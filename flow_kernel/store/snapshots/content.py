"""Long content as chunks: cut to be written, and named again to be read (pure but for the writer).

Called by `session.checkpoints.capture` to write and by `session.checkpoints.shelf` to read.

    up to 16 chunks   {"nbytes": …, "chunks": [hex, …]}
    more              {"nbytes": …, "list": hex}         a chunk of the digests, back to back

So a gigabyte is 64 characters in a manifest, and two checkpoints share its list like any chunk.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from flow_kernel.store.snapshots.fast import Content
from flow_kernel.store.snapshots.frame import DIGEST_BYTES
from flow_kernel.store.snapshots.writer import Writer

CHUNK_BYTES: Final = 256 * 1024
"""An edit costs the chunk that it falls into; smaller ones cost headers and hashes."""
MOST_IN_PLACE: Final = 16


class ListDamaged(ValueError):
    """The bytes are no list of digests."""


def store_content(
    writer: Writer,
    content: Content,
    *,
    is_code: bool = True,
    digests: Sequence[bytes] | None = None,
) -> dict[str, Any]:
    """Put content as chunks. Returns the JSON of its part.

    Args:
        writer: Takes the chunks.
        content: Contiguous, of any length.
        is_code: False for raw buffers; see `writer.ChunkWriter.put`.
        digests: Of its chunks, where somebody has put it already.

    Raises:
        StoreError: The disk refuses.
    """
    nbytes = memoryview(content).nbytes
    if digests is None or not writer.has(digests):
        digests = writer.put_all(pieces_of(content), is_code=is_code)
    if len(digests) <= MOST_IN_PLACE:
        return {"nbytes": nbytes, "chunks": [digest.hex() for digest in digests]}
    return {"nbytes": nbytes, "list": writer.put(b"".join(digests)).hex()}


def pieces_of(content: Content) -> Iterator[memoryview]:
    """Content, cut into chunks."""
    view = memoryview(content).cast("B")
    return (view[start : start + CHUNK_BYTES] for start in range(0, len(view), CHUNK_BYTES))


def listed(content: Content) -> list[bytes]:
    """The digests in a list.

    Raises:
        ListDamaged: It is none.
    """
    data = bytes(content)
    if not data or len(data) % DIGEST_BYTES:
        raise ListDamaged(f"a list of {len(data)} bytes holds no whole digests")
    return [data[at : at + DIGEST_BYTES] for at in range(0, len(data), DIGEST_BYTES)]
