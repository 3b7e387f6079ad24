"""Whether what a manifest says has the form that it must have, field by field (pure).

Called where manifests are read: by `shelf` for the head of each, and by `shelf` and `checkpoint`
for the body. A manifest may be a stranger's: whoever reads a checkpoint counts on these forms.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from flow_kernel.store.snapshots.manifests import ManifestDamaged

Shape = Callable[[object], bool]
_HEX: Final = re.compile(r"(?:[0-9a-f]{2})+\Z")


def check_head(head: Mapping[str, Any]) -> None:
    """Refuse a head that is none.

    Raises:
        ManifestDamaged: It says which field is missing or of another kind.
    """
    if not all(shape(head.get(name)) for name, shape in _SORTED_BY.items()):
        raise ManifestDamaged("has a name or a time that is none")
    _check(head, _HEAD, _MORE_OF_HEAD)


def check_body(body: Mapping[str, Any]) -> None:
    """Refuse a body that is none.

    Raises:
        ManifestDamaged: As above.
    """
    _check(body, _BODY, _MORE_OF_BODY)


def _check(said: Mapping[str, Any], needed: Mapping[str, Shape], more: Mapping[str, Shape]) -> None:
    for name, shape in needed.items():
        if name not in said:
            raise ManifestDamaged(f"lacks something: {name!r}")
        if not shape(said[name]):
            raise ManifestDamaged(f'has a "{name}" of the wrong form')
    for name, shape in more.items():
        if name in said and not shape(said[name]):
            raise ManifestDamaged(f'has a "{name}" of the wrong form')


def _text(value: object) -> bool:
    return type(value) is str


def _count(value: object) -> bool:
    return type(value) is int and value >= 0


def _number(value: object) -> bool:
    return type(value) is int


def _digest(value: object) -> bool:
    return type(value) is str and _HEX.match(value) is not None


def _anything(_: object) -> bool:
    return True


def _perhaps(shape: Shape) -> Shape:
    return lambda value: value is None or shape(value)


def _list(shape: Shape) -> Shape:
    return lambda value: type(value) is list and all(map(shape, value))


def _dict(shape: Shape) -> Shape:
    return lambda value: type(value) is dict and all(map(shape, value.values()))


def _fields(needed: Mapping[str, Shape], more: Mapping[str, Shape], *, is_all: bool) -> Shape:
    """An object with these fields; where they are all that it may have, with no other."""
    known = {**needed, **more}

    def fits(value: object) -> bool:
        if type(value) is not dict or not needed.keys() <= value.keys():
            return False
        if is_all and not value.keys() <= known.keys():
            return False
        return all(known.get(name, _anything)(each) for name, each in value.items())

    return fits


def _part(value: object) -> bool:
    if type(value) is not dict or not _count(value.get("nbytes")):
        return False
    if "list" in value:
        return _digest(value["list"])
    chunks = value.get("chunks")
    return type(chunks) is list and all(map(_digest, chunks))


_LEFT_FILES: Final = _list(
    _fields({"path": _text, "reason": _text}, {"size": _perhaps(_number)}, is_all=False)
)
_LEFT_NAME: Final = _fields(
    {"name": _text, "type": _text, "reason": _text},
    {"seq": _perhaps(_number), "ident": _number},
    is_all=True,
)
_GIT: Final = _fields(
    {"commit": _text},
    {
        "tree": _perhaps(_text),
        "ref": _perhaps(_text),
        "tag": _perhaps(_text),
        "left_out": _LEFT_FILES,
    },
    is_all=False,
)
_FILES: Final = _fields(
    {"table": _list(_digest)},
    {
        "root": _text,
        "tree": _text,
        "count": _count,
        "nbytes": _count,
        "left_out": _LEFT_FILES,
        "left_out_count": _count,
    },
    is_all=False,
)
_GROUP: Final = _fields(
    {"names": _list(_text), "stream": _part, "buffers": _list(_part)},
    {"filled_in": _list(_count)},
    is_all=False,
)
_SORTED_BY: Final[Mapping[str, Shape]] = {"name": _text, "created_at": _text, "seq": _number}
"""Told alike: lists of checkpoints are sorted by them, and named."""
_HEAD: Final[Mapping[str, Shape]] = {
    "checkpoint_id": _text,
    "parent_id": _perhaps(_text),
    "reason": _text,
    "session": _text,
    "plan_id": _text,
    "task_id": _text,
    "step": _perhaps(_text),
    "python": _text,
    "libraries": _dict(_text),
    "git": _perhaps(_GIT),
    "files_reason": _text,
    "bytes_new": _count,
    "not_saved": _list(_LEFT_NAME),
    "counts": _fields({"variables": _count}, {}, is_all=False),
}
_MORE_OF_HEAD: Final[Mapping[str, Shape]] = {"files": _perhaps(_FILES)}
_BODY: Final[Mapping[str, Shape]] = {
    "variables": _dict(lambda value: type(value) is dict),
    "groups": _list(_GROUP),
    "anchors": _list(_text),
}
_MORE_OF_BODY: Final[Mapping[str, Shape]] = {"statuses": _dict(_text), "loose": _list(_text)}
