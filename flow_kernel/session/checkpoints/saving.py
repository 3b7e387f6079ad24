"""Turns variables into bytes, so that what shares memory or objects comes back sharing it.

Called by `session.checkpoints.capture`, in a forked child or in the session itself.

Each variable is pickled by itself first. The memo of the pickler then holds every object that it
consists of; two variables with a mutable object in common belong to one group, and groups of
several are pickled again as one. Comparing memos is work of C code, whatever the objects are.
"""

import gc
import io
import pickle
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from flow_kernel.session.checkpoints.anchors import Anchors
from flow_kernel.session.checkpoints.array_reducers import is_filled_in
from flow_kernel.session.checkpoints.by_name import is_by_value
from flow_kernel.session.checkpoints.groups import Groups
from flow_kernel.session.checkpoints.overlaps import overlapping, refuse_overlaps
from flow_kernel.session.checkpoints.pickler import Pickler
from flow_kernel.session.checkpoints.refusals import Unsaveable

_IMMUTABLE: Final = frozenset(
    [
        str,
        bytes,
        int,
        float,
        complex,
        bool,
        tuple,
        frozenset,
        range,
        slice,
        type,
        types.ModuleType,
        types.BuiltinFunctionType,
        types.CodeType,
        type(None),
    ]
)
_BARE: Final = frozenset(map(id, (list, dict, tuple, set, frozenset, str, bytes)))
_OBJECT: Final = itemgetter(1)
"""Of an entry of a memo."""
_IMMUTABLE_MODULES: Final = ("numpy.dtypes", "datetime", "decimal", "zoneinfo", "_cython_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Variables that share something, as bytes.

    Attributes:
        names: Sorted.
        stream: A pickle of the tuple of their values in this order; of one where that has all the
            names.
        buffers: What it refers to out of band.
        filled_in: Which of these a load may leave to what takes them; by number.
    """

    names: tuple[str, ...]
    stream: bytes
    buffers: Sequence[memoryview]
    filled_in: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSaved:
    """A variable that could not be saved, and why."""

    name: str
    type: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What became of each variable.

    Attributes:
        groups: Those that were saved.
        not_saved: The others.
        holding: Names of values that hold an object of `Landmarks.owned`.
        bare: Names of values that consist of nothing but containers and texts of Python.
    """

    groups: list[Group]
    not_saved: list[NotSaved]
    holding: frozenset[str] = frozenset()
    bare: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Landmarks:
    """Objects to look out for on the way, by id.

    Attributes:
        owned: What belongs to a library and may change at any time.
        strange: Containers that are more than that: the shell's. None where a memo does not tell
            what a value consists of.
    """

    owned: frozenset[int] = frozenset()
    strange: frozenset[int] | None = frozenset()


NOTHING_SPECIAL: Final = Landmarks()


_Memo = Mapping[int, tuple[int, object]]
_LARGE_MEMO: Final = 20_000
_MOST_LARGE: Final = 20


@dataclass(frozen=True, slots=True)
class _Pickled:
    stream: bytes
    buffers: list[pickle.PickleBuffer]
    memo: _Memo


def save(
    values: Mapping[str, object],
    anchors: Anchors,
    *,
    on_name: Callable[[str], object] = len,
    landmarks: Landmarks = NOTHING_SPECIAL,
) -> Saved:
    """Turn variables into bytes.

    Args:
        values: By name.
        anchors: What is referred to and not saved.
        on_name: Told each variable before its classes' own code may run.
        landmarks: Objects to look out for.

    Returns:
        Each name in one group or among those not saved. Nothing of the values was changed.
    """
    with _no_gc():
        singles: dict[str, _Pickled] = {}
        not_saved = []
        same: dict[int, str] = {}
        for name, value in values.items():
            if (twin := same.setdefault(id(value), name)) in singles:
                singles[name] = singles[twin]  # another name of the same object
                continue
            on_name(name)
            try:
                singles[name] = _pickled((value,), anchors)
            except Exception as error:  # noqa: BLE001 - code of the user's classes may raise anything
                not_saved.append(NotSaved(name=name, type=_type_name(value), reason=_reason(error)))
        groups = Groups(singles)
        _unite(singles, groups, anchors)
        owned, strange = landmarks.owned, landmarks.strange
        holding = [n for n, single in singles.items() if not owned.isdisjoint(single.memo)]
        kept = anchors.ids()
        bare = [
            name
            for name, single in singles.items()
            if id(values[name]) not in kept and _is_bare(single.memo, kept, strange)
        ]
        made = []
        for names in groups.all():
            single = singles[names[0]]
            if any(singles[name] is not single for name in names):
                on_name(names[0])
                try:
                    single = _pickled(tuple(values[n] for n in names), anchors)
                except Exception as error:  # noqa: BLE001 - as above
                    not_saved += [
                        NotSaved(name=n, type=_type_name(values[n]), reason=_reason(error))
                        for n in names
                    ]
                    continue
            buffers = [buffer.raw() for buffer in single.buffers]
            made.append(
                Group(
                    names=names,
                    stream=single.stream,
                    buffers=buffers,
                    filled_in=[n for n, one in enumerate(buffers) if is_filled_in(one)],
                )
            )
    return Saved(
        groups=made,
        not_saved=sorted(not_saved, key=lambda left: left.name),
        holding=frozenset(holding),
        bare=frozenset(bare),
    )


def _unite(singles: Mapping[str, _Pickled], groups: Groups, anchors: Anchors) -> None:
    """Put names together whose memos have a mutable object in common."""
    namespace = anchors.by_name["namespace"]
    owners: dict[int, str] = {}
    large: dict[str, _Memo] = {}  # to put them together takes longer than to look through a few
    twins: dict[int, str] = {}
    for name, single in singles.items():
        memo = single.memo
        if (twin := twins.setdefault(id(single), name)) != name:
            if any(_is_shareable(value, namespace) for _, value in memo.values()):
                groups.unite(name, twin)
            continue
        joined: set[str] = set()
        for common, owner in _in_common(memo, owners, large):
            # One thing in common is enough; there may be a hundred thousand.
            if owner not in joined and _is_shareable(memo[common][1], namespace):
                groups.unite(name, owner)
                joined.add(owner)
        if len(memo) > _LARGE_MEMO and len(large) < _MOST_LARGE:
            large[name] = memo
        else:
            owners.update(dict.fromkeys(memo, name))
    for one, other in overlapping({name: single.buffers for name, single in singles.items()}):
        groups.unite(one, other)


def _in_common(
    memo: _Memo, owners: Mapping[int, str], large: Mapping[str, _Memo]
) -> Iterator[tuple[int, str]]:
    """What a memo holds that an earlier one holds as well, and whose that is."""
    for common in owners.keys() & memo.keys():
        yield common, owners[common]
    for owner, other in large.items():
        for common in other.keys() & memo.keys():
            yield common, owner


def _is_shareable(value: object, namespace: object) -> bool:
    """True when a change through one variable would be seen through the other."""
    kind = type(value)
    if isinstance(value, type | types.FunctionType):
        return is_by_value(value) or getattr(value, "__globals__", None) is namespace
    return kind not in _IMMUTABLE and not kind.__module__.startswith(_IMMUTABLE_MODULES)


def _pickled(values: tuple[object, ...], anchors: Anchors) -> _Pickled:
    file = io.BytesIO()
    buffers: list[pickle.PickleBuffer] = []
    pickler = Pickler(file, buffers, anchors)
    pickler.dump(values)
    refuse_overlaps(buffers)
    memo = pickler.memo.copy()
    for ident in anchors.ids():  # it began with them
        memo.pop(ident, None)
    return _Pickled(file.getvalue(), buffers, memo)


def _is_bare(memo: _Memo, anchors: frozenset[int], strange: frozenset[int] | None) -> bool:
    """True when all that was written is containers, texts and numbers of Python.

    Numbers are in no memo, but for those of a class of their own. A container that holds an anchor
    is no mere one; anchors are in no memo either, so what the containers refer to is looked at.
    """
    if strange is None or not strange.isdisjoint(memo):
        return False
    if not set(map(id, map(type, map(_OBJECT, memo.values())))) <= _BARE:
        return False
    return anchors.isdisjoint(map(id, gc.get_referents(*map(_OBJECT, memo.values()))))


def _type_name(value: object) -> str:
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")


def _reason(error: Exception) -> str:
    kind = type(error)
    text = str(error) if kind in _OURS or kind.__module__ in ("builtins", "_pickle") else ""
    return text[:200] or kind.__qualname__


_OURS: Final = (Unsaveable, TypeError, pickle.PicklingError)


@contextmanager
def _no_gc() -> Iterator[None]:
    """Without the garbage collector, which looks at each new object of a memo: twice as fast."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
