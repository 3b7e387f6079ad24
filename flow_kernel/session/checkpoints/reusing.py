"""Gives the memory of a value that a way back throws away to the one that it brings back.

Called by `aside`. After the undo of one cell most of what comes back lies in the session already:
400 MB of a frame that lost a column, or had one value set. To read that again takes ten times as
long as the rest of the way back.

Only memory that nobody else can see is taken: each object on the way to it, from the namespace on,
is referred to once. An owner that fits becomes the owner again. What was known of it may be old, so
it is hashed again first; the chunks of it that differ are written into it at the very end, when
nothing can fail any more.
"""

import io
import operator
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from flow_kernel.session.checkpoints.anchors import Anchors
from flow_kernel.session.checkpoints.checkpoint import Part, StoredGroup, part_of
from flow_kernel.session.checkpoints.ownership import address_of, owners
from flow_kernel.session.checkpoints.pickler import Pickler
from flow_kernel.session.checkpoints.plan import Base
from flow_kernel.session.checkpoints.reach_walk import Status
from flow_kernel.session.checkpoints.shelf import Shelf
from flow_kernel.store.snapshots.content import CHUNK_BYTES
from flow_kernel.store.snapshots.proving import unproven

_LEAST_BYTES: Final = 64 * 1024
"""Less is read as quickly as it is looked for."""
_MOST_BESIDE: Final = 64 * 1024
"""What a value may have beside such memory: it is pickled again to find out what lies where."""
_MOST_DIFFERENT: Final = 2
"""At most each second chunk."""


class Overdue:
    """What is to be written into memory of the session, once nothing can fail any more."""

    def __init__(self) -> None:
        self._pieces: list[tuple[memoryview, memoryview]] = []

    def add(self, target: memoryview, content: memoryview) -> None:
        """Note a piece; nothing is changed yet.

        Args:
            target: As long as the content.
            content: Bytes.
        """
        self._pieces.append((target, content))

    def write(self) -> None:
        """Write all of it; copies memory and cannot fail."""
        for target, content in self._pieces:
            target[:] = content
        self._pieces.clear()


class Reused:
    """A buffer that lies in the session, but for some chunks.

    Args:
        array: The owner of its memory.
        there: What it was when it was saved last.
        wanted: The buffer.
        shelf: Has the chunks that differ.
        overdue: Takes what is to be written.
    """

    def __init__(
        self, array: Any, there: Part, wanted: Part, *, shelf: Shelf, overdue: Overdue
    ) -> None:
        self._array = array
        self._there = there
        self._wanted = wanted
        self._shelf = shelf
        self._overdue = overdue

    def taken_over(
        self, dtype: Any, shape: tuple[int, ...], order: str, *, is_writeable: bool
    ) -> Any:
        """The array itself, which gets the content of the buffer; None where it must be read.

        Raises:
            ChunkLost: A chunk that differs is missing or damaged.
        """
        array = self._array
        flags = array.flags
        is_laid_out = flags.c_contiguous if order == "C" else flags.f_contiguous
        if not _is_same_type(array.dtype, dtype) or array.shape != shape or not is_laid_out:
            return None
        # Views that are open yet would open a closed one for a moment: see `array_rebuild.view`.
        if not (flags.writeable and is_writeable):
            return None
        memory = memoryview(array.reshape(-1, order=order).view("u1"))
        pieces = self._differing(memory)
        if pieces is None:
            return None
        for start, content in pieces:
            self._overdue.add(memory[start : start + len(content)], content)
        return array

    def _differing(self, memory: memoryview) -> list[tuple[int, memoryview]] | None:
        """The chunks to write, and where each begins; None where they are too many."""
        shelf, wanted = self._shelf, self._wanted
        new = shelf.digests(wanted)
        old = new if self._there == wanted else shelf.digests(self._there)
        places, alike = [], []
        for place, (digest, before) in enumerate(zip(new, old, strict=True)):
            if digest == before:
                alike.append((place, digest))
            else:
                places.append(place)
        if len(places) * _MOST_DIFFERENT <= len(new):
            # Somebody may have written to it since: what a load before this one has run, for one.
            places = sorted((*places, *unproven(shelf.chunks, alike, memory)))
        if len(places) * _MOST_DIFFERENT > len(new):
            return None
        found = []
        for place in places:
            nbytes = min(CHUNK_BYTES, wanted.nbytes - place * CHUNK_BYTES)
            chunk = Part(nbytes=nbytes, chunks=(new[place].hex(),))
            found.append((place * CHUNK_BYTES, shelf.content(chunk, is_code=False)))
        return found


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
    overdue: Overdue,
) -> dict[int, Reused]:
    """The buffers of a group that lie in the session, by number.

    Args:
        group: Of the checkpoint that is gone back to; see `can_reuse`.
        now: What the variables are, a moment after which nothing has changed.
        namespace: Of the session.
        shelf: Has the chunks that differ.
        anchors: Of the session.
        overdue: Takes what is to be written.
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
        found[number] = Reused(
            memory.pop(place), parts[place], wanted, shelf=shelf, overdue=overdue
        )
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
