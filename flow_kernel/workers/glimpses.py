"""What the sampler of a worker sees of the code of a cell, in memory that both sides share.

Written by `shell.worker.sampler` ten times a second at most; read by `session.isolation.watchdog`.
Both work while the main thread of the worker is busy; the session reads without a word from the
worker. That nothing new is written says something too: whoever writes needs the GIL.

    number (8), odd while it is being written | length (4) | JSON
"""

import json
import struct
from dataclasses import asdict, dataclass
from mmap import mmap
from typing import Any, Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.workers.loop_proof import Verdict

globals()["__builtins__"] = FROZEN_BUILTINS

REQUEST: Final = "flow_watch"
"""Asks a worker for its sampler, on the control channel; names the request that runs."""
NBYTES: Final = 4096
_HEAD: Final = struct.Struct("<QI")
_MOST_FRAMES: Final = 12
_MOST_OURS: Final = 64
"""One that is left out is taken for the user's: nothing is certain then."""
_NAME_CHARS: Final = 80
_FILE_CHARS: Final = 160
_encode: Final = json.JSONEncoder(separators=(",", ":")).encode
_decode: Final = json.JSONDecoder().decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Glimpse:
    """One look of the sampler.

    Attributes:
        msg_id: Of the request that runs.
        place: Tells where the code stands, as a number: the same one for the same place.
        alike: How many looks in a row have seen that place, this one among them.
        loop: What can be said of the loop that it is in.
        ours: The threads of the system that are the worker's own: all others are the user's.
        is_open: True where something else than threads may wake or change the code: a handler of a
            signal, a trace function, a widget.
        takes_dump: True where SIGUSR2 is still ours, and has the stacks written.
        stack: File, line and function, the innermost first; of the user's code alone.
    """

    msg_id: str
    place: int
    alike: int
    loop: Verdict
    ours: tuple[int, ...]
    is_open: bool
    takes_dump: bool
    stack: tuple[tuple[str, int, str], ...]


def nothing(msg_id: str, *, ours: tuple[int, ...] = ()) -> Glimpse:
    """A look at which nothing could be seen.

    Args:
        msg_id: Of the cell.
        ours: Threads that are not the cell's, as far as they are known.
    """
    return Glimpse(
        msg_id=msg_id,
        place=0,
        alike=1,
        loop=Verdict.OPEN,
        ours=ours,
        is_open=True,
        takes_dump=False,
        stack=(),
    )


class Glimpses:
    """That memory in one process.

    Args:
        memory: Shared.
        at: Where in it.
    """

    def __init__(self, memory: mmap, at: int) -> None:
        self._memory = memory
        self._at = at

    def close(self) -> None:
        """Let the memory go; from then on there is nothing to be read."""
        self._memory.close()

    def write(self, glimpse: Glimpse) -> None:
        """Put a new one in the place of the last."""
        data = _encode(_fields(glimpse, _MOST_FRAMES)).encode()
        if len(data) > NBYTES - _HEAD.size:
            data = _encode(_fields(glimpse, 1)).encode()[: NBYTES - _HEAD.size]
        number = _HEAD.unpack_from(self._memory, self._at)[0] | 1
        _HEAD.pack_into(self._memory, self._at, number, len(data))
        begin = self._at + _HEAD.size
        self._memory[begin : begin + len(data)] = data
        _HEAD.pack_into(self._memory, self._at, number + 1, len(data))

    def number(self) -> int:
        """Of the last one; it rises with each."""
        try:
            found: int = _HEAD.unpack_from(self._memory, self._at)[0]
        except ValueError:  # it was closed: the worker is gone
            return 0
        return found

    def read(self) -> Glimpse | None:
        """The last one; None for none, or half of one."""
        try:
            number, length = _HEAD.unpack_from(self._memory, self._at)
            begin = self._at + _HEAD.size
            data = self._memory[begin : begin + min(length, NBYTES - _HEAD.size)]
            if number % 2 or number != self.number():
                return None
            return _glimpse(_decode(data.decode()))
        # The memory is the worker's to write: anything may stand there.
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return None


def _fields(glimpse: Glimpse, most: int) -> dict[str, Any]:
    stack = [
        (file[-_FILE_CHARS:], line, name[:_NAME_CHARS]) for file, line, name in glimpse.stack[:most]
    ]
    return asdict(glimpse) | {
        "loop": glimpse.loop.value,
        "stack": stack,
        "ours": glimpse.ours[:_MOST_OURS],
    }


def _glimpse(said: dict[str, Any]) -> Glimpse:
    return Glimpse(
        msg_id=str(said["msg_id"]),
        place=int(said["place"]),
        alike=int(said["alike"]),
        loop=Verdict(said["loop"]),
        ours=tuple(int(each) for each in said["ours"]),
        is_open=said["is_open"] is True,
        takes_dump=said["takes_dump"] is True,
        stack=tuple((str(file), int(line), str(name)) for file, line, name in said["stack"]),
    )
