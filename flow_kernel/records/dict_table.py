"""The entry table of a dict as bytes: a capture that hardly depends on the number of names.

Called by `capture` where the interpreter is known; everything else takes the portable way.

A dict of CPython keeps its entries in order of insertion in one array of (key, value) pointers, so
a copy of that array is a picture of all identities, and two pictures are compared with memcmp. The
pointers are only ever compared as numbers, never followed.

    PyDictObject        … ma_keys at 32
    PyDictKeysObject    dk_log2_index_bytes at 9, dk_kind at 10, dk_nentries at 24, indices at 32,
                        then the entries

No other thread may resize the dict between reading its address and copying from it. CPython gives
the interpreter lock away only at calls, function entries and backward jumps: `picture` has none of
them between the first read and the copy, and refuses to work under a tracer, which would add some.

Source: CPython `Include/internal/pycore_dict.h` and `Objects/dictobject.c`, 3.11 to 3.13, builds
with the lock. `is_supported` compares the layout with dicts of known content first.
"""

import ctypes
import sys
from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

ENTRY_BYTES: Final = 16
_UNICODE_KEYS: Final = 1
_FIRST_WINDOW: Final = 512
_MA_KEYS: Final = 4  # words from the start of a PyDictObject
_MA_VALUES: Final = 5
_TRIES: Final = range(4)
_KEYS_HEADER: Final = 32
_gettrace: Final = sys.gettrace
_getprofile: Final = sys.getprofile


class _Keys(ctypes.Structure):
    _fields_ = [
        ("dk_refcnt", ctypes.c_ssize_t),
        ("dk_log2_size", ctypes.c_uint8),
        ("dk_log2_index_bytes", ctypes.c_uint8),
        ("dk_kind", ctypes.c_uint8),
        ("dk_flags", ctypes.c_uint8),
        ("dk_version", ctypes.c_uint32),
        ("dk_usable", ctypes.c_ssize_t),
        ("dk_nentries", ctypes.c_ssize_t),
    ]


class _Dict(ctypes.Structure):
    _fields_ = [
        ("ob_refcnt", ctypes.c_ssize_t),
        ("ob_type", ctypes.c_size_t),
        ("ma_used", ctypes.c_ssize_t),
        ("ma_version_tag", ctypes.c_uint64),
        ("ma_keys", ctypes.c_size_t),
        ("ma_values", ctypes.c_size_t),
    ]


_copy: Final = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_ssize_t)(
    ("PyBytes_FromStringAndSize", ctypes.pythonapi)
)


def _words(structure: ctypes.Structure) -> memoryview:
    """The memory of `structure` as words: an index into it is no call, as a field's look-up is."""
    return memoryview(structure).cast("B").cast("Q")


class DictTable:
    """Takes pictures of one dict, which the caller keeps alive."""

    __slots__ = ("_head", "_keys", "_namespace", "_where")

    def __init__(self, namespace: dict[str, object]) -> None:
        self._namespace = namespace
        self._head = _words(_Dict.from_address(id(namespace)))
        self._where = 0
        self._keys = self._head

    def picture(self) -> bytes | None:
        """The entries now, 16 bytes each; None when the dict is not of the plain kind.

        About 1 us and 0.3 ns a name.
        """
        if _gettrace() is not None or _getprofile() is not None:
            return None
        head = self._head
        for _ in _TRIES:
            # From here to the copy: no call, no loop. The words of the keys are read only while the
            # dict says that they are there.
            where = head[_MA_KEYS]
            if where == self._where:
                keys = self._keys
                sizes = keys[1]
                if sizes >> 16 & 0xFF != _UNICODE_KEYS or head[_MA_VALUES]:
                    return None
                start = where + _KEYS_HEADER + (1 << (sizes >> 8 & 0xFF))
                return _copy(start, keys[3] * ENTRY_BYTES)  # type: ignore[no-any-return]  # bytes
            # A dict that grows moves its keys, a few times in a session.
            self._keys, self._where = _words(_Keys.from_address(where)), where
        return None


def is_supported() -> bool:
    """True when dicts of this interpreter are laid out as this module expects."""
    if sys.implementation.name != "cpython" or ctypes.sizeof(ctypes.c_void_p) != 8:
        return False
    if not (3, 11) <= sys.version_info[:2] <= (3, 13) or sys.byteorder != "little":
        return False
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return False
    try:
        return all(_is_readable(size) for size in (1, 7, 200))
    except (ValueError, TypeError, AttributeError):
        return False


def _is_readable(size: int) -> bool:
    scratch: dict[str, object] = {f"name{i}": object() for i in range(size)}
    if dict_fields(scratch) != (size, 0):
        return False
    if DictTable(scratch).picture() != expected_picture(scratch):
        return False
    scratch["more"] = object()
    del scratch["name0"]
    picture = DictTable(scratch).picture()
    return picture is not None and picture.endswith(expected_picture(scratch)[-ENTRY_BYTES:])


def dict_fields(namespace: dict[str, object]) -> tuple[int, int]:
    """`ma_used` and `ma_values` as the layout says; read before any pointer is followed."""
    head = _Dict.from_address(id(namespace))
    return head.ma_used, head.ma_values


def expected_picture(namespace: dict[str, object]) -> bytes:
    """What `picture` must give for a dict without deletions, computed the portable way."""
    return b"".join(
        id(key).to_bytes(8, "little") + id(value).to_bytes(8, "little")
        for key, value in namespace.items()
    )


def differing_entries(before: bytes, after: bytes) -> list[int]:
    """Indices of the entries that differ in the common part of two pictures.

    Windows that grow while nothing differs and halve towards what does: about 2 us for a few
    neighbours among 200 names, one memcmp of everything when nothing differs.
    """
    size = min(len(before), len(after))
    before = before[:size]
    found: list[int] = []
    at, width, is_near = 0, _FIRST_WINDOW, False
    while at < size:
        if after.startswith(before[at : at + width], at):
            at += width
            if not is_near:
                width *= 4
            elif width > ENTRY_BYTES:
                width //= 2
        elif width == ENTRY_BYTES:
            found.append(at // ENTRY_BYTES)
            at += ENTRY_BYTES
            is_near = False
        else:
            width //= 2
            is_near = True
    return found
