"""The files of a snapshot as a table in chunks, so that a manifest holds no more than its name.

Called by `store.files.snapshots`, and by `session.checkpoints.shelf` to verify and to collect.

A table is cut where the hash of a path says so: one file more or less costs one chunk of some 256
rows, whatever lies before and after it.
"""

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import orjson

from flow_kernel.store.files.entries import Kept, parsed_row, row_of, spelled
from flow_kernel.store.files.parts import Read, content, needed_by
from flow_kernel.store.git.rules import LeftOut
from flow_kernel.store.snapshots.segments import ChunkLost, Chunks
from flow_kernel.store.snapshots.writer import Writer

_CUT: Final = 0xFF
_MOST_ROWS: Final = 2048
_CONTENT: Final = 4
"""Columns of a row that say what a file is; the rest is about when it was read."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a snapshot holds, and what it left out; by path."""

    kept: Mapping[str, Kept]
    left_out: Mapping[str, LeftOut]


@dataclass(frozen=True, slots=True)
class LostFiles:
    """A file that a snapshot can no longer give back, or all of a part of its table."""

    name: str
    reason: str


def write_table(rows: Iterable[Kept | LeftOut], writer: Writer) -> tuple[list[str], str]:
    """Put a table as chunks.

    Returns:
        Their names, and a hash that is equal for equal files, whatever their stamps.

    Raises:
        StoreError: The disk refuses.
    """
    chunks = []
    tree = hashlib.blake2b(digest_size=20)
    group: list[list[Any]] = []

    def put() -> None:
        chunks.append(writer.put(orjson.dumps(group)).hex())
        tree.update(orjson.dumps([row[:_CONTENT] for row in group])[1:-1] + b",")

    for one in sorted(rows, key=lambda row: row.path):
        row = row_of(one)
        group.append(row)
        if zlib.crc32(row[1].encode()) & _CUT == 0 or len(group) == _MOST_ROWS:
            put()
            group = []
    if group:
        put()
    return chunks, tree.hexdigest()


def read_table(chunks: Sequence[str], read: Read) -> Contents:
    """The files of a table.

    Raises:
        ChunkLost: A chunk of it is missing or damaged, or holds no rows that may be used.
    """
    kept: dict[str, Kept] = {}
    left_out: dict[str, LeftOut] = {}
    for chunk in chunks:
        for one in _rows(chunk, read):
            if isinstance(one, LeftOut):
                left_out[one.path] = one
            else:
                kept[one.path] = one
    return Contents(kept, left_out)


def needed_in(chunk: str, chunks: Chunks) -> Iterator[bytes]:
    """All chunks that the rows of one chunk of a table need, and that chunk itself.

    Raises:
        ChunkLost: It is there and cannot be read; what is not there names nothing any more.
    """
    first = bytes.fromhex(chunk)
    yield first
    if first not in chunks:
        return
    for one in _known_rows(bytes(chunks.read(first))):
        if one.part is not None and one.part.listed is not None:
            listing = bytes.fromhex(one.part.listed)
            if listing not in chunks:
                yield listing
                continue
        yield from needed_by(one.part, chunks.read)


def named_chunks(files: Mapping[str, Any] | None, read: Read) -> Iterator[tuple[str, bytes]]:
    """What needs which chunk: the table of the files of a manifest, and each of its files."""
    for chunk in (files or {}).get("table", ()):
        yield "the list of its files", bytes.fromhex(chunk)
        with suppress(ChunkLost):
            for one in _known_rows(bytes(read(bytes.fromhex(chunk)))):
                with suppress(ChunkLost):
                    for digest in needed_by(one.part, read):
                        yield f"file {spelled(one.path)}", digest


def damaged(files: Mapping[str, Any] | None, read: Read) -> Iterator[LostFiles]:
    """Look at every byte of the files of a manifest.

    Yields:
        What is missing or damaged, by file; nothing when all is right.
    """
    for chunk in (files or {}).get("table", ()):
        try:
            rows = _rows(chunk, read)
        except ChunkLost as error:
            yield LostFiles("the list of its files", str(error))
            continue
        for one in rows:
            if isinstance(one, LeftOut) or one.part is None:
                continue
            try:
                for _ in content(one.part, read):
                    pass
            except ChunkLost as error:
                yield LostFiles(f"file {spelled(one.path)}", str(error))


def _known_rows(data: bytes) -> list[Kept]:
    """The files of a chunk of a table; none where a stranger has written something else."""
    try:
        rows = [parsed_row(row) for row in orjson.loads(data)]
    except (ValueError, TypeError):
        return []
    return [one for one in rows if isinstance(one, Kept)]


def _rows(chunk: str, read: Read) -> list[Kept | LeftOut]:
    try:
        return [parsed_row(row) for row in orjson.loads(bytes(read(bytes.fromhex(chunk))))]
    except (ValueError, TypeError) as error:
        raise ChunkLost(f"chunk {chunk[:16]} holds no files: {error}") from None
