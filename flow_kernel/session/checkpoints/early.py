"""Begins to write large arrays while the rest of the variables is still being pickled.

Used by `capture`, in the child that saves.

    writer:  fork ── pickles everything ──────────▶ waits ─▶ writes the rest
    early:           hashes and writes large arrays ─▶ gone

The disk takes a second for a gigabyte and pickling half of one; threads would wait for the
interpreter instead. What was written early is known again by where it lies: both see the arrays of
one moment, and the writer holds them, so that nothing else comes to lie there. Whatever goes wrong
here costs time and nothing else: the writer writes what it does not find.
"""

import os
import select
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

import orjson

from flow_kernel.session.checkpoints.anchors import Anchors
from flow_kernel.session.checkpoints.keeper import fork
from flow_kernel.session.checkpoints.ownership import address_of
from flow_kernel.session.checkpoints.reach_types import Types, is_plain_kind
from flow_kernel.session.checkpoints.reach_walk import Status, walk
from flow_kernel.session.checkpoints.saving import save
from flow_kernel.session.checkpoints.sizes import is_small
from flow_kernel.store.snapshots.content import pieces_of
from flow_kernel.store.snapshots.fast import Content
from flow_kernel.store.snapshots.files import write_all
from flow_kernel.store.snapshots.writer import Writer

_LARGE_BYTES: Final = 32 << 20
"""Of one variable: below it a process more pays for nothing."""
_BUFFER_BYTES: Final = 4 << 20
_MOUTH: Final = 3
_MOST_FILES: Final = 1 << 20
_READ_BYTES: Final = 1 << 16
_PIECES_A_SIGN: Final = 16
_SILENCE_MS: Final = 20_000


Place = tuple[int, int]
"""Where memory begins, and its length."""


class Early(NamedTuple):
    """What was written early.

    Attributes:
        bytes_new: How much.
        digests: Of the chunks of what lies somewhere.
    """

    bytes_new: int = 0
    digests: Mapping[Place, Sequence[bytes]] = {}


class EarlyWriter:
    """The process that writes large arrays.

    Args:
        pid: Of it; 0 for none.
        reader: Where it tells of itself: a dot now and then, and at last what it has written.
        held: What it writes. Code of the user's classes may drop arrays while they are pickled;
            for as long as this is there, their memory is not given to others.
    """

    def __init__(self, pid: int = 0, reader: int = -1, held: Sequence[object] = ()) -> None:
        self._pid = pid
        self._reader = reader
        self._held = held

    @classmethod
    def begin(
        cls,
        values: Mapping[str, object],
        anchors: Anchors,
        writer: Callable[[], Writer],
        types: Types,
        namespace: dict[str, Any],
    ) -> "EarlyWriter":
        """Start it, where there is something for it to do.

        Args:
            values: All that is to be saved.
            anchors: What is referred to and not saved.
            writer: Makes a writer of chunks.
            types: What is known of types; nothing else is touched.
            namespace: Of the notebook.
        """
        large, held = {}, []
        for name, value in values.items():
            if not _is_array(value, types) or is_small([value], most_bytes=_LARGE_BYTES):
                continue
            # The memory is the array's own, which nobody changes in a copy of the process.
            walked = walk(value, types, namespace)
            if walked.status is Status.TAME:
                large[name] = value
                held.append(walked.seen)
        if not large:
            return cls()
        owner = os.getpid()
        try:
            reader, mouth = os.pipe()
        except OSError:
            return cls()
        try:
            pid = fork()
        except OSError:
            os.close(reader)
            os.close(mouth)
            return cls()
        if pid == 0:
            try:
                # The pipes of the writer end with the writer.
                os.dup2(mouth, _MOUTH)
                os.closerange(_MOUTH + 1, _MOST_FILES)
                _write(large, anchors, writer, owner)
            finally:
                os._exit(0)
        os.close(mouth)
        return cls(pid, reader, held)

    def finish(self) -> Early:
        """What it has written; ends it when it gives no sign of life."""
        pid, self._pid = self._pid, 0
        if not pid:
            return Early()
        said = bytearray()
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        while poll.poll(_SILENCE_MS) and (got := os.read(self._reader, _READ_BYTES)):
            said += got
        os.close(self._reader)
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)
        return _heard(bytes(said).lstrip(b"."))


def place_of(buffer: memoryview) -> Place:
    """Where the memory of an array lies.

    Args:
        buffer: Of a large array: numpy is loaded.
    """
    np = sys.modules["numpy"]
    return address_of(np.frombuffer(buffer, np.uint8)), buffer.nbytes


def _heard(said: bytes) -> Early:
    """What it has said at its end; nothing where it did not get there."""
    try:
        bytes_new, places = orjson.loads(said)
    except orjson.JSONDecodeError:
        return Early()
    digests = {
        (address, nbytes): [bytes.fromhex(one) for one in chunks]
        for address, nbytes, chunks in places
    }
    return Early(bytes_new, digests)


def _is_array(value: object, types: Types) -> bool:
    kind = type(value)
    return is_plain_kind(kind) and (kind in types.arrays or kind in types.holders)


def _write(
    values: Mapping[str, object], anchors: Anchors, writer: Callable[[], Writer], owner: int
) -> None:
    """The life of the process."""
    made = writer()
    done: dict[Place, list[str]] = {}
    for name, value in values.items():
        for group in save({name: value}, anchors).groups:
            for number in group.filled_in:  # others may be made for the pickle, each anew
                buffer = group.buffers[number]
                if buffer.nbytes < _BUFFER_BYTES or (place := place_of(buffer)) in done:
                    continue
                pieces = _while_wanted(pieces_of(buffer), owner)
                digests = made.put_all(pieces, is_code=False, is_still=True)
                done[place] = [one.hex() for one in digests]
    made.sync()
    made.close()
    places = [(*place, chunks) for place, chunks in done.items()]
    write_all(_MOUTH, orjson.dumps([made.bytes_new, places]))


def _while_wanted(pieces: Iterator[Content], owner: int) -> Iterator[Content]:
    for number, piece in enumerate(pieces):
        if os.getppid() != owner:
            os._exit(0)  # the writer was killed
        if number % _PIECES_A_SIGN == 0:
            os.write(_MOUTH, b".")
        yield piece
