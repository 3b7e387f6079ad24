"""Sends variables between the session and a worker: one pickle, its memory beside it.

Called by both sides, in both directions.

    pack ─▶ Packed ─┬─ ship(packed, arena) ─▶ shipment ──────────────┬─▶ unpack ─▶ values by name
                    └─ inline(packed) ─▶ shipment and frames ────────┘

Names that share objects share them afterwards: all go through one pickler, one `dump` each, so that
a failure belongs to a name. What cannot be sent is left out and said. Functions and classes of the
session go by value, with the session's globals replaced by the receiver's; what functions read of
these goes along under its own name, so a rebinding over there is seen by them as it would be here.

A shipment is a JSON object. `arena` is None where the bytes travel as frames, the stream first.

    {"v": 1, "names": […], "along": […], "arena": path, "stream": [offset, nbytes],
     "buffers": [[offset, nbytes, is_readonly], …], "digest": blake2b-16 of the stream}

It is trusted as much as its sender: what unpickles runs code. The digest finds damage, not malice.
"""

import gc
import io
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from flow_kernel.errors import FlowError
from flow_kernel.records.class_parts import MAIN
from flow_kernel.workers.transfer_arena import Arena, Buffer, laid_out, regions
from flow_kernel.workers.transfer_known import CLASSES
from flow_kernel.workers.transfer_pickler import Outbound, owner
from flow_kernel.workers.transfer_receiving import Inbound, loaded, reason_of, received

__all__ = [
    "Arena", "Packed", "Refused", "become_copy", "inline", "pack", "reason_of", "ship", "unpack",
]  # fmt: skip

_VERSION: Final = 1
_SMALL_BYTES: Final = 1 << 20
# IPython's caches, the words of its shell, and what Python keeps in every module.
_NOBODYS: Final = re.compile(
    r"(?:_{1,3}|_i{1,3}|_i?\d+|_oh|_ih|_dh|In|Out|get_ipython|exit|quit|__\w+__)\Z"
)


class Refused(NamedTuple):
    """A variable that cannot be sent: its name, its qualified type, and one sentence why."""

    name: str
    type: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """Variables as bytes. The buffers are the memory of the variables themselves.

    Attributes:
        names: All that are in, in their order.
        along: Those of them that nobody asked for: functions of the session read them.
        refused: Those that are not in.
        reads: Names of the session that functions among them read, and that are not in.
        stream: The pickles, one after the other.
        buffers: What they refer to.
    """

    names: tuple[str, ...]
    along: tuple[str, ...]
    refused: tuple[Refused, ...]
    reads: tuple[str, ...]
    stream: memoryview
    buffers: tuple[Buffer, ...]

    @property
    def nbytes(self) -> int:
        """How much is to be sent."""
        return self.stream.nbytes + sum(view.nbytes for view, _ in self.buffers)

    def digest(self) -> str:
        """Equal for equal contents; never for large ones: hashing costs as much as sending."""
        if self.nbytes > _SMALL_BYTES:
            return os.urandom(16).hex()
        hashed = blake2b(self.stream, digest_size=16)
        for view, _ in self.buffers:
            hashed.update(view)
        return hashed.hexdigest()


def pack(
    values: Mapping[str, object],
    namespace: Mapping[str, object] | None = None,
    *,
    brings: bool = True,
) -> Packed:
    """Take variables apart.

    The good case is one pickle; only after a failure is every variable tried alone.

    Args:
        values: By name.
        namespace: The globals of the session's functions; those of `__main__` by default.
        brings: Whether what functions read comes along; else it is named only.

    Returns:
        What can be sent, and what cannot and why. Nothing of the values was changed.

    Raises:
        KeyboardInterrupt: Somebody was tired of waiting.
    """
    home = vars(sys.modules[MAIN]) if namespace is None else namespace
    refused: dict[str, Refused] = {}
    with _no_gc():
        while True:
            packing = _Packing(values, home, refused, brings=brings)
            if packing.run():
                return packing.packed()


def ship(packed: Packed, arena: Arena) -> dict[str, Any]:
    """Copy into memory that the other process sees; the former content is gone.

    Raises:
        OSError: The arena has no room.
    """
    stream, *places = arena.write([Buffer(packed.stream), *packed.buffers])
    return _shipment(packed, arena.path, stream, places)


def inline(packed: Packed) -> tuple[dict[str, Any], list[bytes]]:
    """The same for a worker on another machine: the shipment, and the frames that go with it."""
    places = laid_out(packed.buffers).places
    frames = [bytes(packed.stream)]
    for begin, end, members in regions(places):
        if len(members) == 1 and begin < end:
            frames.append(bytes(packed.buffers[members[0]].view))
        elif begin < end:
            whole = bytearray(end - begin)
            for member in members:
                offset, nbytes = places[member]
                whole[offset - begin : offset - begin + nbytes] = packed.buffers[member].view
            frames.append(bytes(whole))
    return _shipment(packed, None, (0, len(frames[0])), places), frames


def unpack(
    shipment: Mapping[str, Any],
    buffers: Sequence[Any] = (),
    *,
    home: dict[str, Any] | None = None,
    into: dict[str, Any] | None = None,
    along: bool = True,
) -> dict[str, object]:
    """Put variables together again, in memory of our own: nothing of the sender is needed any more.

    Args:
        shipment: What the other side said.
        buffers: The frames that came with it, for one that has no arena.
        home: The globals of the functions that come; those of `__main__` by default. Nothing is
            bound in them.
        into: Where each value is bound as soon as it is there, since classes of the later ones may
            read it while they are put together; as it was before, when that fails.
        along: Whether to return also what nobody asked for and functions read.

    Raises:
        FlowError: The bytes are damaged or gone, or a value cannot be made here; the cause tells.
    """
    if shipment.get("v") != _VERSION:
        raise FlowError("the variables come from another version of flow_kernel")
    names: Sequence[str] = shipment["names"]
    if not names:
        return {}
    with _no_gc():
        stream, own = received(shipment, buffers)
        if blake2b(stream, digest_size=16).hexdigest() != shipment["digest"]:
            raise FlowError("variables were damaged on their way", hint="send them again")
        inbound = Inbound(stream, own, vars(sys.modules[MAIN]) if home is None else home)
        if into is None:
            values = {name: loaded(inbound, name) for name in names}
        else:
            values = _bound(inbound, names, into)
    if not along:
        for name in shipment["along"]:
            del values[name]
    return values


def become_copy() -> None:
    """This process is a copy of the one that it sends to: classes of that one need not be sent."""
    CLASSES.become_copy()


class _Packing:
    """One attempt to put all into one stream."""

    def __init__(
        self,
        values: Mapping[str, object],
        home: Mapping[str, object],
        refused: dict[str, Refused],
        *,
        brings: bool,
    ) -> None:
        self._values = values
        self._brings = brings
        self._home = home
        self._refused = refused
        self._file = io.BytesIO()
        self._owners = _owners(values.values())
        self._pickler = Outbound(self._file, home, self._owners)
        self._sent: dict[str, None] = {}

    def run(self) -> bool:
        """False when a variable was refused: what it left behind is in the stream."""
        todo = self._left(self._values)
        while todo:
            names = list(todo)
            for place, name in enumerate(names):
                if not self._try(self._pickler, name, todo[name]):
                    for other in names[place + 1 :]:
                        alone = Outbound(io.BytesIO(), self._home, self._owners)
                        self._try(alone, other, todo[other])
                    return False
                self._sent[name] = None
            # Functions come to light while they are written, and may read others.
            todo = self._read() if self._brings else {}
        return True

    def packed(self) -> Packed:
        """What came of it."""
        names = tuple(self._sent)
        return Packed(
            names=names,
            along=tuple(name for name in names if name not in self._values),
            refused=tuple(self._refused.values()),
            reads=tuple(self._read()),
            stream=memoryview(self._file.getvalue()),
            buffers=tuple(self._pickler.buffers),
        )

    def _read(self) -> dict[str, object]:
        left = self._left(self._pickler.needed)
        return {name: value for name, value in left.items() if not _is_nobodys(name)}

    def _left(self, values: Mapping[str, object]) -> dict[str, object]:
        return {
            name: value
            for name, value in values.items()
            if name not in self._sent and name not in self._refused
        }

    def _try(self, pickler: Outbound, name: str, value: object) -> bool:
        try:
            pickler.dump(value)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - code of the values' classes may raise anything
            self._refused[name] = Refused(name, _type_name(value), reason_of(error))
            return False
        return True


def _bound(inbound: Inbound, names: Sequence[str], into: dict[str, Any]) -> dict[str, object]:
    """The values, bound one by one; nothing has changed where one of them fails."""
    before: dict[str, object] = {}
    values: dict[str, object] = {}
    try:
        for name in names:
            values[name] = loaded(inbound, name)
            if name in into:
                before[name] = into[name]
            into[name] = values[name]
    except BaseException:
        for name in values:
            into.pop(name, None)
        into.update(before)
        raise
    return values


def _shipment(
    packed: Packed, arena: str | None, stream: tuple[int, int], places: Iterable[tuple[int, int]]
) -> dict[str, Any]:
    return {
        "v": _VERSION,
        "names": list(packed.names),
        "along": list(packed.along),
        "arena": arena,
        "stream": list(stream),
        "buffers": [
            [offset, nbytes, one.view.readonly]
            for (offset, nbytes), one in zip(places, packed.buffers, strict=True)
        ],
        "digest": blake2b(packed.stream, digest_size=16).hexdigest(),
    }


def _owners(values: Iterable[object]) -> frozenset[int]:
    """Ids of the arrays whose memory is sent, whole or nearly."""
    numpy: Any = sys.modules.get("numpy")
    kind = getattr(numpy, "ndarray", None)
    arrays: list[Any] = [value for value in values if type(value) is kind]
    owners = ((array.nbytes, owner(array)) for array in arrays)
    return frozenset(id(one) for nbytes, one in owners if 2 * nbytes >= one.nbytes)


def _is_nobodys(name: str) -> bool:
    return _NOBODYS.match(name) is not None


def _type_name(value: object) -> str:
    kind = type(value)
    try:
        return f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    except Exception:  # noqa: BLE001 - a metaclass of the session may raise anything
        return "unknown"


@contextmanager
def _no_gc() -> Iterator[None]:
    """Without the garbage collector, which looks at each new object: up to twice as fast."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
