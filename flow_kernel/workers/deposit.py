"""Large content that a worker leaves in memory which its session sees too (both sides).

Made by `last_words`, in whose memory it lies. Written by the IOPub channel of `shell.worker.app`,
read by `worker`. A megabyte need not go through a socket whose buffer holds a fifth of it: what is
sent in its place is a reference of a few bytes, and clients are sent what lies here.

    page 0:   for each place whether it is in use (1)
    the rest: places, of whole grains

A place is in use until nobody in the session has a view of it any more, ZeroMQ among them. Content
goes to the first gap that is large enough, so that little output touches little memory. Where there
is none it goes through the socket, behind what was sent before.
"""

import ctypes
import mmap
import os
import struct
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

LEAST_BYTES: Final = 1 << 17
"""Of content that is left here: less costs no more in the socket."""
MOST_BYTES: Final = 4 << 20
"""In use as a rule: who writes waits a little for the rest to be sent."""
PATIENCE_S: Final = 0.1
_NAP_S: Final = 0.0005
_GRAIN: Final = 1 << 16
_PLACES: Final = 64
_ROOM: Final = 8 << 20
_HEAD: Final = mmap.ALLOCATIONGRANULARITY
NBYTES: Final = _HEAD + _ROOM
_REFERENCE: Final = struct.Struct("<10sBII")
_MARK: Final = b"\0flow_left"  # no JSON begins so
_DELIMITER: Final = b"<IDS|MSG>"
_FROM_DELIMITER: Final = 6
"""Frames of a message without buffers, from there on."""
_getpid: Final = os.getpid
_monotonic: Final = time.monotonic
_sleep: Final = time.sleep


class _Place(NamedTuple):
    number: int
    begin: int
    end: int


class Deposit:
    """That memory in one process.

    Args:
        fd: Of memory with room for it; it may be closed afterwards.
        offset: Where it begins, in whole pages.
    """

    def __init__(self, fd: int, offset: int) -> None:
        self._memory: Any = mmap.mmap(fd, NBYTES, offset=offset)
        self._pid = _getpid()
        self._used: list[_Place] = []
        """Of the worker, in order; some may be free by now."""
        self._most = MOST_BYTES
        self._types: dict[int, Any] = {}
        self._lent: dict[int, weakref.ref[Any]] = {}

    def close(self) -> None:
        """Let it go, as soon as nobody has a view of it any more."""
        self._lent.clear()
        memory, self._memory = self._memory, None
        if memory is not None:
            with suppress(BufferError):  # it goes with the last of them
                memory.close()

    def left(self, frames: Sequence[Any]) -> bytes | None:
        """Leave the content of a message here; not in two threads at once.

        Returns:
            What is to be sent as its last frame; None where that stays as it is.
        """
        content = frames[-1]
        if type(content) is not bytes or len(content) < LEAST_BYTES or not _is_content(frames):
            return None
        place = self._room(len(content))
        if place is None:
            return None
        begin, nbytes = _HEAD + place.begin, len(content)
        self._memory[begin : begin + nbytes] = content
        self._memory[place.number] = 1
        return _REFERENCE.pack(_MARK, place.number, place.begin, nbytes)

    def give_back(self, reference: bytes) -> None:
        """What `left` has returned was not sent: nobody will look at the content."""
        self._memory[_REFERENCE.unpack(reference)[1]] = 0

    def wait(self) -> None:
        """Have most of it taken first, for a while; what somebody keeps is waited for once."""
        if self._nbytes() <= self._most:
            return
        until_s = _monotonic() + PATIENCE_S
        while (nbytes := self._nbytes()) > self._most and _monotonic() < until_s:
            _sleep(_NAP_S)
        self._most = max(MOST_BYTES, nbytes)

    def whole(self, frames: Sequence[Any]) -> Sequence[Any]:
        """The frames of a message; in the place of a reference a view of the content."""
        last = frames[-1]
        if type(last) is not bytes or not last.startswith(_MARK) or not _is_content(frames):
            return frames
        _, number, begin, nbytes = _REFERENCE.unpack(last)
        return [*frames[:-1], self._lend(number, begin, nbytes)]

    def _nbytes(self) -> int:
        return sum(each.end - each.begin for each in self._used if self._memory[each.number])

    def _room(self, nbytes: int) -> _Place | None:
        self._used = used = [each for each in self._used if self._memory[each.number]]
        begin, at = 0, len(used)
        for number, each in enumerate(used):
            if each.begin - begin >= nbytes:
                at = number
                break
            begin = each.end
        free = set(range(_PLACES)).difference(each.number for each in used)
        end = begin + -(-nbytes // _GRAIN) * _GRAIN
        if end > _ROOM or not free:
            return None
        used.insert(at, _Place(min(free), begin, end))
        return used[at]

    def _lend(self, number: int, begin: int, nbytes: int) -> memoryview:
        memory, pid = self._memory, self._pid
        # All views are views of it: when it goes, none is left.
        lent = self._type(nbytes).from_buffer(memory, _HEAD + begin)

        def come_back(_: object) -> None:
            if _getpid() == pid:  # the views of a fork are its own
                memory[number] = 0

        self._lent[number] = weakref.ref(lent, come_back)
        return memoryview(lent).cast("B")[:nbytes]

    def _type(self, nbytes: int) -> Any:
        """Each class is made once: to make one takes longer than the rest."""
        grains = -(-nbytes // _GRAIN)
        if grains not in self._types:
            self._types[grains] = ctypes.c_ubyte * (grains * _GRAIN)
        return self._types[grains]


def _is_content(frames: Sequence[Any]) -> bool:
    """The last one is no buffer, which may begin as it likes."""
    return len(frames) >= _FROM_DELIMITER and frames[-_FROM_DELIMITER] == _DELIMITER
