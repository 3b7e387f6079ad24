"""What a way back brings back, loaded beside the session before anything of it is changed.

Called by `rollback`. Of large values memory may be taken over from the session; see `reusing`.
"""

import platform
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

from flow_kernel.errors import CheckpointDamaged, FlowError
from flow_kernel.records.beside import GivenUp, Stop, both
from flow_kernel.session.checkpoints.checkpoint import Checkpoint, LeftName, Part, StoredGroup
from flow_kernel.session.checkpoints.compatibility import code_reason
from flow_kernel.session.checkpoints.hidden_state import is_hidden, prepare
from flow_kernel.session.checkpoints.loading import by_name, load
from flow_kernel.session.checkpoints.plan import Base
from flow_kernel.session.checkpoints.reusing import Overdue, Reused, are_tame, can_reuse, reused
from flow_kernel.session.checkpoints.service import Checkpoints
from flow_kernel.session.checkpoints.shelf import Shelf
from flow_kernel.store.snapshots.segments import ChunkLost


@dataclass(slots=True, kw_only=True)
class Aside:
    """What was loaded, and nothing of the session changed by it.

    Attributes:
        values: By name.
        states: Of random numbers.
        same: Names that are what they were.
        refused: What this Python must not load.
        overdue: What is to be written into memory of the session.
    """

    values: dict[str, Any] = field(default_factory=dict)
    states: dict[str, Any] = field(default_factory=dict)
    same: frozenset[str] = frozenset()
    refused: list[LeftName] = field(default_factory=list)
    overdue: Overdue = field(default_factory=Overdue)

    def leave(self, same: frozenset[str]) -> None:
        """What is the same stays the object that it is."""
        self.same = same
        for name in same:
            self.values.pop(name, None)
            self.states.pop(name, None)
        self.refused = [left for left in self.refused if left.name not in same]


class Filling:
    """A buffer that is read, and proven, by what takes it.

    Args:
        shelf: Where it lies.
        part: Which.
        there: What has it in the session already, if anything does.
        stop: Looked at while it is read.
    """

    def __init__(
        self, shelf: Shelf, part: Part, there: Reused | None, stop: Stop | None = None
    ) -> None:
        self._shelf = shelf
        self._part = part
        self._there = there
        self._stop = stop

    def taken_over(
        self, dtype: Any, shape: tuple[int, ...], order: str, *, is_writeable: bool
    ) -> Any:
        """An array of the session that has it; None where it has to be read.

        Raises:
            ChunkLost: Something of it that the session lacks is missing or damaged.
        """
        if self._there is None:
            return None
        return self._there.taken_over(dtype, shape, order, is_writeable=is_writeable)

    def read_into(self, target: memoryview) -> None:
        """Its bytes, into memory that is as long as it.

        Raises:
            ChunkLost: They are missing or damaged.
            GivenUp: The stop is set.
        """
        self._shelf.read_into(self._part, target, stop=self._stop)


def in_two(
    checkpoints: Checkpoints, target: Checkpoint, same: frozenset[str]
) -> tuple[list[StoredGroup], list[StoredGroup]]:
    """What to load at once, and what once it is known what the session holds.

    Args:
        checkpoints: Of the session.
        target: Where the way back goes.
        same: Names that need not be loaded.
    """
    wanted = [group for group in target.groups if not same.issuperset(group.names)]
    if checkpoints.doubts():  # somebody may write to memory of the session meanwhile
        return wanted, []
    statuses, namespace = target.statuses, checkpoints.namespace
    later = [group for group in wanted if can_reuse(group, statuses, namespace)]
    return [group for group in wanted if group not in later], later


def load_aside(
    checkpoints: Checkpoints,
    target: Checkpoint,
    groups: Iterable[StoredGroup],
    aside: Aside,
    *,
    now: Base | None = None,
) -> None:
    """Load values beside the session; those that this Python must not load are listed.

    Args:
        checkpoints: Of the session.
        target: Where the way back goes.
        groups: Those of it that are wanted.
        aside: Takes them.
        now: What the session holds, where memory of it may be taken over.

    Raises:
        CheckpointDamaged: A part fails its hash, or a value cannot be loaded.
    """
    loader = _Loader(checkpoints, target, now, aside.overdue)
    large: list[StoredGroup] = []
    others: list[StoredGroup] = []
    for group in groups:
        (large if now is None and _is_mere_memory(group, target) else others).append(group)
    if large and others:
        # Reading and hashing leave the interpreter to what is pickled, and to imports.
        _import_for(large, target)
        stop = Stop()
        loaded, more = both(
            lambda: [loader.load(group) for group in others],
            lambda: [loader.load(group, stop) for group in large],
            stop=stop,
        )
        loaded += more
    else:
        loaded = [loader.load(group) for group in (*large, *others)]
    found: dict[str, Any] = {}
    for values, refused in loaded:
        found.update(values)
        aside.refused += refused
    states = {name: found.pop(name) for name in list(found) if is_hidden(name)}
    try:
        prepare(states)
    except ImportError as error:
        raise _damaged(target, tuple(states), str(error)) from None
    aside.values.update(found)
    aside.states.update(states)


class _Loader:
    """Loads groups of one checkpoint; in several threads at once.

    Args:
        checkpoints: Of the session.
        target: Which.
        now: What the session holds, where memory of it may be taken over.
        overdue: Takes what is to be written into memory of the session.
    """

    def __init__(
        self, checkpoints: Checkpoints, target: Checkpoint, now: Base | None, overdue: Overdue
    ) -> None:
        self._shelf = checkpoints.shelf
        self._namespace = checkpoints.namespace
        self._anchors = checkpoints.anchors()
        self._target = target
        self._now = now
        self._overdue = overdue

    def load(
        self, group: StoredGroup, stop: Stop | None = None
    ) -> tuple[dict[str, object], list[LeftName]]:
        """The values of a group by name, or what this Python must not load of it.

        Args:
            group: Which.
            stop: Looked at while large parts are read.

        Raises:
            CheckpointDamaged: A part fails its hash, or a value cannot be loaded.
            GivenUp: The stop is set.
        """
        target, shelf = self._target, self._shelf
        try:
            there = self._there(group)
            buffers = [
                Filling(shelf, part, there.get(number), stop) if number in group.filled_in
                else shelf.content(part, is_code=False)
                for number, part in enumerate(group.buffers)
            ]  # fmt: skip
            stream = bytes(shelf.content(group.stream))
            reason = code_reason(stream, taken=target.python, here=platform.python_version())
            if reason is not None:
                return {}, [
                    LeftName(name=name, type=_type_of(target, name), reason=reason)
                    for name in group.names
                ]
            values = load(stream, buffers, self._anchors, list(target.anchors))
            return by_name(group.names, values), []
        except (ChunkLost, FlowError) as error:
            raise _damaged(target, group.names, str(error)) from None
        except GivenUp:
            raise
        except Exception as error:  # code of the values' classes may raise anything
            raise _damaged(target, group.names, f"{type(error).__name__}: {error}") from error

    def _there(self, group: StoredGroup) -> Mapping[int, Reused]:
        if self._now is None:
            return {}
        return reused(group, self._now, self._namespace, self._shelf, self._anchors, self._overdue)


_LARGE_BYTES: Final = 16 << 20
_LIBRARIES: Final = ("numpy", "pandas")


def _is_mere_memory(group: StoredGroup, target: Checkpoint) -> bool:
    """True for arrays and frames that take long to read and run no code but their library's."""
    return (
        sum(group.buffers[number].nbytes for number in group.filled_in) >= _LARGE_BYTES
        and are_tame(group.names, target.statuses)
        and all(_library_of(target, name) in _LIBRARIES for name in group.names)
    )


def _import_for(groups: Iterable[StoredGroup], target: Checkpoint) -> None:
    """Import what groups need, before two threads do at once."""
    libraries = {_library_of(target, name) for group in groups for name in group.names}
    for module in (*sorted(libraries), *_REBUILDING):
        with suppress(ImportError):  # whoever needs it says so
            import_module(module)


_REBUILDING: Final = tuple(
    f"flow_kernel.session.checkpoints.{name}_rebuild" for name in ("array", "pandas")
)


def _library_of(target: Checkpoint, name: str) -> str:
    return _type_of(target, name).partition(".")[0]


def _type_of(target: Checkpoint, name: str) -> str:
    return str(target.variables.get(name, {}).get("type", "value"))


def _damaged(target: Checkpoint, names: tuple[str, ...], reason: str) -> CheckpointDamaged:
    return CheckpointDamaged(
        f"checkpoint {target.checkpoint_id}: {', '.join(names)} cannot be loaded: {reason[:300]}; "
        "nothing was changed",
        variables=names,
    )
