"""Turns bytes of `saving` into values again.

Called by `session.checkpoints.rollback`. Loading runs code that the bytes name: only for
checkpoints that the user has signed, or trusts.
"""

import io
import pickle
import pickletools
from collections.abc import Sequence
from typing import Any, Final

from flow_kernel.session.checkpoints.anchors import Anchors

# Opcodes of pickle that put objects into the memo of an unpickler, as numbers 0, 1, …; setting its
# attribute `memo` from a dict leaves it empty (CPython 3.11 to 3.13).
_PROTOCOL_5: Final = b"\x80\x05"
_INTO_MEMO: Final = b"K%cQ\x940"  # a number, the object that persistent_load gives for it, kept
_END: Final = b"N."


def load(
    stream: bytes,
    buffers: Sequence[object],
    anchors: Anchors,
    names: list[str],
) -> tuple[object, ...]:
    """The values of a group.

    Args:
        stream: The pickle.
        buffers: What it refers to: memory, or something that fills it.
        anchors: Of the session that loads.
        names: The anchors of the session that saved, in their order.

    Raises:
        LookupError: The values refer to an anchor that is not in this session.
        Exception: Whatever the classes of the values raise.
    """
    known = anchors.in_order(names)
    missing = {n: name for n, name in enumerate(names) if name not in anchors.by_name}
    if missing and (used := missing.keys() & _referred_to(stream)):
        raise LookupError(f"there is no {missing[min(used)]} in this session")
    entries = b"".join(_INTO_MEMO % number for number in range(len(known)))
    file = io.BytesIO(_PROTOCOL_5 + entries + _END + stream)
    unpickler = _Unpickler(file, buffers, known)
    unpickler.load()
    found: tuple[object, ...] = unpickler.load()
    return found


def by_name(names: Sequence[str], values: tuple[object, ...]) -> dict[str, object]:
    """The values of a group by their names; one that has several is there once."""
    if len(values) == 1:
        values *= len(names)
    return dict(zip(names, values, strict=True))


class _Unpickler(pickle.Unpickler):  # noqa: S301 - see above
    """Begins with objects that it is given; assigning `persistent_load` fails in CPython 3.13.0."""

    def __init__(self, file: io.BytesIO, buffers: Sequence[Any], known: Sequence[object]) -> None:
        super().__init__(file, buffers=buffers)
        self._known = known

    def persistent_load(self, pid: Any) -> object:
        """The anchor of a number."""
        return self._known[pid]


def _referred_to(stream: bytes) -> set[int]:
    """The numbers of the objects that a stream takes out of the memo. Cost: 1 µs a byte or so."""
    return {
        int(argument)
        for opcode, argument, _ in pickletools.genops(stream)
        if opcode.name in ("BINGET", "LONG_BINGET") and argument is not None
    }
