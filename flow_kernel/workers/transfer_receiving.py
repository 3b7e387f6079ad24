"""The receiving half of a sending: bytes into memory of our own, and values out of them.

Called by `transfer`.
"""

import io
import mmap
import os
import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from flow_kernel.errors import FlowError
from flow_kernel.records.class_parts import MAIN
from flow_kernel.workers.transfer_arena import ALIGNMENT, regions, room

# Opcodes of pickle that put what `persistent_load` gives into the memo twice, where the sender's
# has its globals. Setting the attribute `memo` from a dict leaves it empty (CPython 3.11 to 3.13).
_BEGINNING: Final = b"\x80\x05" + b"NQ\x940" * 2 + b"N."
_REASON_CHARS: Final = 200


class Inbound(pickle.Unpickler):  # noqa: S301 - what unpickles trusts its sender
    """Reads the stream of an `Outbound`."""

    def __init__(self, stream: bytes, buffers: Iterable[Any], home: dict[str, Any]) -> None:
        super().__init__(io.BytesIO(_BEGINNING + stream), buffers=buffers)
        self._home = home
        self.load()

    def persistent_load(self, _: Any) -> Any:
        """Our globals, for those of the sender."""
        return self._home

    def find_class(self, module: str, name: str) -> Any:
        """A class or function by its name; those of the session are in our globals or nowhere."""
        first, *rest = name.split(".")
        if module == MAIN and first in self._home:
            found: Any = self._home[first]
            for part in rest:
                found = getattr(found, part)
            return found
        return super().find_class(module, name)


def loaded(inbound: Inbound, name: str) -> object:
    """The next value.

    Raises:
        FlowError: It cannot be made here; the cause tells why.
    """
    try:
        return inbound.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise FlowError(f"{name} cannot be put together here: {reason_of(error)}") from error


def received(shipment: Mapping[str, Any], frames: Sequence[Any]) -> tuple[bytes, list[memoryview]]:
    """The stream and the buffers, in memory of our own."""
    offset, nbytes = shipment["stream"]
    places = [(begin, size) for begin, size, _ in shipment["buffers"]]
    if shipment["arena"] is None:
        parts = iter(frames)
        stream = bytes(next(parts, b""))
        own = _in_rooms(places, lambda _begin, _end: next(parts))
    else:
        with _opened(shipment["arena"]) as source:
            stream = bytes(source[offset : offset + nbytes])
            own = _in_rooms(places, lambda begin, end: source[begin:end])
    return stream, [
        view.toreadonly() if is_readonly else view
        for view, (_, _, is_readonly) in zip(own, shipment["buffers"], strict=True)
    ]


def _in_rooms(places: Sequence[tuple[int, int]], bytes_of: Any) -> list[memoryview]:
    own = [memoryview(bytearray(0))] * len(places)
    for begin, end, members in regions(places):
        if begin == end:
            continue
        lead = begin % ALIGNMENT
        whole = memoryview(room(lead + end - begin))
        try:
            whole[lead:] = bytes_of(begin, end)
        except (ValueError, StopIteration):
            raise FlowError("variables were cut on their way", hint="send them again") from None
        for member in members:
            offset, nbytes = places[member]
            own[member] = whole[lead + offset - begin :][:nbytes]
    return own


@contextmanager
def _opened(path: str) -> Iterator[memoryview]:
    """An arena of another process, to be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise FlowError("the sender of variables is gone", hint="send them again") from error
    try:
        mapping = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
    finally:
        os.close(fd)
    with mapping, memoryview(mapping) as view:
        yield view


def reason_of(error: BaseException) -> str:
    """An error in one sentence: its class, and what it says of itself."""
    kind = type(error).__name__
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - an error of the session may have no text
        text = ""
    return (f"{kind}: {text}" if text else kind)[:_REASON_CHARS]
