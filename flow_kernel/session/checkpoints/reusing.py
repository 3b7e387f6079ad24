"""Gives the memory of a value that a way back throws away to the one that it brings back.

Called by `aside`. After the undo of one cell most of what comes back lies in the session already:
400 MB of a frame that lost a column, or had one value set. To read that again takes ten times as
long as the rest of the way back.

Only memory that nobody else can see is taken: each object on the way to it, from the namespace on,
is referred to once. An owner that fits becomes the owner again, and the chunks of it that differ
are written into it; `undo` writes back what was there.
"""

import io
import operator
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from flow_kernel.session.checkpoints.anchors import Anchors
from flow_kernel.session.checkpoints.checkpoint import Part, StoredGroup, part_of
from flow_kernel.session.checkpoints.ownership import address_of, owners
from flow_kernel.session.checkpoints.pickler import Pickler
from flow_kernel.session.checkpoints.plan import Base
from flow_kernel.session.checkpoints.reach_walk import Status
from flow_kernel.session.checkpoints.shelf import Shelf
from flow_kernel.store.snapshots.content import CHUNK_BYTES

_LEAST_BYTES: Final = 64 * 1024
"""Less is read as quickly as it is looked for."""
_MOST_BESIDE: Final = 64 * 1024
"""What a value may have beside such memory: it is pickled again to find out what lies where."""
_MOST_DIFFERENT: Final = 2
"""At most each second chunk."""


@dataclass(slots=True)
class Written:
    """What was overwritten, and what was there; a memory of changes that can be undone."""

    _before: list[tuple[memoryview, bytes]] = field(default_factory=list)

    def write(self, target: memoryview, content: memoryview | bytes) -> None:
        """Overwrite memory.

        Args:
            target: As long as the content.
            content: Bytes.
        """
        self._before.append((target, bytes(target)))
        target[:] = content

    def keep(self) -> None:
        """Nothing of it is to be undone any more."""
        self._before.clear()

    def undo(self) -> None:
        """As it was, whatever was written."""
        while self._before:
            target, before = self._before.pop()
            target[:] = before


class Reused:
    """A buffer that lies in the session, but for some chunks.

    Args:
        array: The owner of its memory.
        pieces: What differs: where it begins, and its bytes.
        written: Notes what is overwritten.
    """

    def __init__(
        self, array: Any, pieces: Sequence[tuple[int, memoryview]], written: Written
    ) -> None:
        self._array = array
        self._pieces = pieces
        self._written = written

    def taken_over(
        self, dtype: Any, shape: tuple[int, ...], order: str, *, is_writeable: bool
    ) -> Any:
        """The array itself, with the content of the buffer; None where it is another kind."""
        array = self._array
        flags = array.flags
        is_laid_out = flags.c_contiguous if order == "C" else flags.f_contiguous
        if not _is_same_type(array.dtype, dtype) or array.shape != shape or not is_laid_out:
            return None
        if flags.writeable != is_writeable or (self._pieces and not is_writeable):
            return None
        memory = memoryview(array.reshape(-1, order=order).view("u1"))
        for start, content in self._pieces:
            self._written.write(memory[start : start + len(content)], content)
        return array


def can_reuse(
    group: StoredGroup, statuses: Mapping[str, str], namespace: Mapping[str, Any]
) -> bool:
    """True when it pays to wait until it is known what is in the session.

    Args:
        group: Of the checkpoint that is gone back to.
        statuses: Of its variables; no code but that of known types may see memory of the session.
        namespace: Of the session.
    """
    if not namespace.keys() >= {*group.names} or not are_tame(group.names, statuses):
        return False
    if sum(group.buffers[number].nbytes for number in group.filled_in) < _LEAST_BYTES:
        return False
    return bool(owners(namespace, group.names))


def reused(
    group: StoredGroup,
    now: Base,
    namespace: Mapping[str, Any],
    shelf: Shelf,
    anchors: Anchors,
    written: Written,
) -> dict[int, Reused]:
    """The buffers of a group that lie in the session, by number.

    Args:
        group: Of the checkpoint that is gone back to; see `can_reuse`.
        now: What the variables are, a moment after which nothing has changed.
        namespace: Of the session.
        shelf: Has the chunks that differ.
        anchors: Of the session.
        written: Notes what is overwritten.

    Raises:
        ChunkLost: One that differs is missing or damaged.
    """
    names = [*group.names]
    there = next((one for one in now.groups if one["names"] == names), None)
    if there is None or not are_tame(names, now.statuses):
        return {}
    parts = [part_of(one) for one in there["buffers"]]
    filled_in = there["filled_in"]
    beside = sum(one.nbytes for number, one in enumerate(parts) if number not in filled_in)
    if beside + there["stream"]["nbytes"] > _MOST_BESIDE:
        return {}
    memory = _memory_of(namespace, names, anchors, parts)
    found: dict[int, Reused] = {}
    for number in group.filled_in:
        wanted = group.buffers[number]
        place = _nearest(wanted, number, parts, memory)
        if place is None:
            continue
        pieces = _differing(parts[place], wanted, shelf)
        if pieces is not None:
            found[number] = Reused(memory.pop(place), pieces, written)
    return found


def are_tame(names: Iterable[str], statuses: Mapping[str, str]) -> bool:
    """True when all of these are of known types, all the way down."""
    return all(statuses.get(name) == Status.TAME.value for name in names)


def _is_same_type(one: Any, other: Any) -> bool:
    """True for types that cannot be told apart; numpy's `==` does not look at all of it."""
    kept = operator.attrgetter("char", "isalignedstruct", "metadata")
    return one == other and kept(one) == kept(other) and one.__reduce__() == other.__reduce__()


def _nearest(
    wanted: Part, number: int, parts: Sequence[Part], memory: Mapping[int, Any]
) -> int | None:
    """Which of the buffers of now has most of what is wanted; None for none of them."""
    if wanted in parts and (place := parts.index(wanted)) in memory:
        return place
    is_alike = number in memory and parts[number].nbytes == wanted.nbytes
    return number if is_alike else None


def _differing(there: Part, wanted: Part, shelf: Shelf) -> list[tuple[int, memoryview]] | None:
    """The chunks to write; None where they are too many.

    Raises:
        ChunkLost: One of them is missing or damaged.
    """
    if there == wanted:
        return []
    old, new = shelf.digests(there), shelf.digests(wanted)
    places = [n for n, (one, other) in enumerate(zip(old, new, strict=True)) if one != other]
    if len(places) * _MOST_DIFFERENT > len(new):
        return None
    found = []
    for place in places:
        nbytes = min(CHUNK_BYTES, wanted.nbytes - place * CHUNK_BYTES)
        chunk = Part(nbytes=nbytes, chunks=(new[place].hex(),))
        found.append((place * CHUNK_BYTES, shelf.content(chunk, is_code=False)))
    return found


def _memory_of(
    namespace: Mapping[str, Any], names: Sequence[str], anchors: Anchors, parts: Sequence[Part]
) -> dict[int, Any]:
    """The owners of memory that can be had from variables, by the number of their buffer."""
    owned = {address_of(one): one for one in owners(namespace, names)}
    buffers: list[Any] = []
    Pickler(io.BytesIO(), buffers, anchors).dump(tuple(namespace[name] for name in names))
    raw = [one.raw() for one in buffers]
    if [one.nbytes for one in raw] != [one.nbytes for one in parts]:
        return {}
    np = sys.modules["numpy"]
    places = ((n, address_of(np.frombuffer(one, np.uint8))) for n, one in enumerate(raw) if one)
    return {
        number: owned[address]
        for number, address in places
        if address in owned and owned[address].nbytes == parts[number].nbytes
    }
