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


class _KeysAddress(ctypes.Union):
    _fields_ = [
        ("pointer", ctypes.POINTER(_Keys)),
        ("number", ctypes.c_size_t),
    ]


class _Dict(ctypes.Structure):
    _fields_ = [
        ("ob_refcnt", ctypes.c_ssize_t),
        ("ob_type", ctypes.c_size_t),
        ("ma_used", ctypes.c_ssize_t),
        ("ma_version_tag", ctypes.c_uint64),
        ("ma_keys", _KeysAddress),
        ("ma_values", ctypes.c_size_t),
    ]


_copy: Final = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_ssize_t)(
    ("PyBytes_FromStringAndSize", ctypes.pythonapi)
)


class DictTable:
    """Takes pictures of one dict, which the caller keeps alive."""

    __slots__ = ("_head", "_namespace")

    def __init__(self, namespace: dict[str, object]) -> None:
        self._namespace = namespace
        self._head = _Dict.from_address(id(namespace))

    def picture(self) -> bytes | None:
        """The entries now, 16 bytes each; None when the dict is not of the plain kind.

        About 1 us and 0.3 ns a name.
        """
        if _gettrace() is not None or _getprofile() is not None:
            return None
        head = self._head
        # From here to the copy: no call, no loop.
        where = head.ma_keys
        keys = where.pointer.contents
        if keys.dk_kind != _UNICODE_KEYS or head.ma_values:
            return None
        start = where.number + _KEYS_HEADER + (1 << keys.dk_log2_index_bytes)
        return _copy(start, keys.dk_nentries * ENTRY_BYTES)  # type: ignore[no-any-return]  # bytes


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

    One memcmp when nothing differs; else blocks of 64 kB, of 1 kB, then single entries.
    """
    size = min(len(before), len(after))
    found: list[int] = []
    _descend(before[:size], after[:size], 0, found)
    return found


def _descend(before: bytes, after: bytes, offset: int, found: list[int]) -> None:
    if before == after:
        return
    size = len(before)
    if size == ENTRY_BYTES:
        found.append(offset // ENTRY_BYTES)
        return
    step = 65536 if size > 65536 else 1024 if size > 1024 else 128 if size > 128 else ENTRY_BYTES
    for start in range(0, size, step):
        one, other = before[start : start + step], after[start : start + step]
        if one != other:
            _descend(one, other, offset + start, found)
