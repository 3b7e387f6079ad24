"""What is asked about a cell and what is answered (pure).

Read by `reach`, which judges, and made by `reach_tracker` and its callers.
"""

from collections.abc import Collection
from dataclasses import dataclass
from types import CodeType
from typing import Any, Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.session.checkpoints.reach_types import Types

globals()["__builtins__"] = FROZEN_BUILTINS


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What may have changed; `a | b` is what either may have changed.

    Attributes:
        names: Variables. Whatever shares objects with them may have changed with them, and so may
            variables that were WILD when they were saved.
        is_nothing: True when no variable at all can have changed.
        everything: Why anything may have changed; None when it may not.
    """

    names: frozenset[str] = frozenset()
    is_nothing: bool = False
    everything: str | None = None

    def __or__(self, other: "Reach") -> "Reach":
        return Reach(
            names=self.names | other.names,
            is_nothing=self.is_nothing and other.is_nothing,
            everything=self.everything or other.everything,
        )


NOTHING: Final = Reach(is_nothing=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class CellLook:
    """One cell that has ended.

    Attributes:
        codes: What was compiled, in order; nested code is found inside.
        born: Names that were not bound before it.
        removed: Names that were bound before it and are not now.
        imported: Modules that were not loaded before it.
        doubts: Why it may have done anything: it failed, ran a magic.
    """

    codes: tuple[CodeType, ...]
    born: Collection[str] = ()
    removed: Collection[str] = ()
    imported: Collection[str] = ()
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What there is around a cell.

    Attributes:
        namespace: Of the user, after the cell.
        hidden: Names that IPython hides.
        types: What is known of what is loaded.
        doubts: Why code may run that no cell shows: threads, tasks, hooks; before or after it.
    """

    namespace: dict[str, Any]
    hidden: Collection[str]
    types: Types
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of variables between cells.

    Attributes:
        tame: Names of tame values.
        plain: Names of plain ones.
        settled: Names of values that stay where they are in memory when they are looked at.
        fresh: Names that are saved again in any case.
        is_held: True when a value holds a library's own state, which changes as it is used.
        forever: Why no cell can be judged any more.
    """

    tame: Collection[str] = frozenset()
    plain: Collection[str] = frozenset()
    settled: Collection[str] = frozenset()
    fresh: Collection[str] = frozenset()
    is_held: bool = False
    forever: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What a cell may have changed, and what is known after it.

    Attributes:
        reach: The names.
        unknown: Of these names nothing is known any more, but for what follows.
        tame: Names of values that are tame now.
        plain: Names of values that are plain now.
        forever: Why no later cell can be judged.
    """

    reach: Reach
    unknown: frozenset[str] = frozenset()
    tame: frozenset[str] = frozenset()
    plain: frozenset[str] = frozenset()
    forever: str | None = None
