"""Which cells would make a variable again: a slice backwards through the log (pure).

Called by `rebuilding` for what a checkpoint could not hold. Nothing is ever run.

    needed = {g}      [7] next(g)            mutates g: part of it, g is needed still
                      [5] g = stream(data)   makes g: part of it; needs stream and data
                      [3] def stream(…)      not needed: the checkpoint holds stream

It goes by what each cell loaded and stored, so it names too many cells rather than too few where
one cell does several things. What a cell reached through functions is not seen.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Final

_WRITES: Final = ("stores", "added_vars", "changed_vars", "mutated_vars")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeCell:
    """One cell that has to be run.

    Attributes:
        seq: Its record.
        execution_count: The number in `In [n]`; None where that is not known.
        code: Its source, as the log has it.
        risks: What else it does, in words: deletes files, uses the network.
    """

    seq: int
    execution_count: int | None
    code: str
    risks: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """`[3]`, or the number of its record."""
        count = self.execution_count
        return f"[{count}]" if count is not None else f"record {self.seq}"

    def document(self) -> dict[str, object]:
        """As JSON."""
        return {
            "seq": self.seq,
            "execution_count": self.execution_count,
            "code": self.code,
            "risks": list(self.risks),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a variable would be made again.

    Attributes:
        name: Of the variable.
        cells: To run, in this order; empty where nobody knows.
        reason: Why it is not known, in words; empty when it is.
        changed_since: Variables that these cells read and that are another now.
        also_sets: Variables that the checkpoint holds and that these cells write, too.
        used_by: Cells that read the variable after it was made; where they took something out of
            it, as `next` does, the log does not show it.
    """

    name: str
    cells: tuple[RecipeCell, ...]
    reason: str = ""
    changed_since: tuple[str, ...] = ()
    also_sets: tuple[str, ...] = ()
    used_by: tuple[RecipeCell, ...] = ()

    @property
    def numbers(self) -> str:
        """`cells [3], [7]`."""
        return labels_of(self.cells)

    def document(self) -> dict[str, object]:
        """As JSON."""
        return {
            "name": self.name,
            "cells": [cell.document() for cell in self.cells],
            "reason": self.reason,
            "changed_since": list(self.changed_since),
            "also_sets": list(self.also_sets),
            "used_by": [cell.document() for cell in self.used_by],
        }


def labels_of(cells: Sequence[RecipeCell]) -> str:
    """`cells [3], [7]`."""
    word = "cell" if len(cells) == 1 else "cells"
    return f"{word} {', '.join(cell.label for cell in cells)}"


def recipes(
    records: Iterable[Mapping[str, Any]],
    names: Sequence[str],
    *,
    held: AbstractSet[str],
    seq: int,
    risks_of: Callable[[str], tuple[str, ...]] = lambda _: (),
) -> list[Recipe]:
    """How to make variables again.

    Args:
        records: Of the session, in any order.
        names: What is missing.
        held: What the checkpoint holds: there is no need to make that.
        seq: The last record before the checkpoint.
        risks_of: Says what else a source does.

    Returns:
        One for each name, in their order.
    """
    steps = _steps(records, seq)
    return [_recipe(steps, name, held, risks_of) for name in names]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """A cell, as far as it matters here."""

    seq: int
    begin: int
    count: int | None
    code: str
    is_ok: bool
    reads: frozenset[str]
    writes: frozenset[str]
    born: frozenset[str]
    removes: frozenset[str]


def _recipe(
    steps: Sequence[_Step],
    name: str,
    held: AbstractSet[str],
    risks_of: Callable[[str], tuple[str, ...]],
) -> Recipe:
    needed = {name}
    found: list[_Step] = []
    made: set[str] = set()
    failed: _Step | None = None
    for step in reversed(steps):
        hit = step.writes & needed
        if hit and not step.is_ok:
            failed = failed or (step if name in hit else None)
            continue
        if hit:
            found.append(step)
            made |= hit
            # A name that was not bound before, or that the cell did not read, begins here.
            needed -= {one for one in hit if one in step.born or one not in step.reads}
            needed |= step.reads - held - step.born
        needed -= step.removes
        if not needed:
            break
    if name not in made:
        return Recipe(name=name, cells=(), reason=_unknown(failed))
    found.reverse()
    last = max(step.seq for step in found if name in step.writes)
    return Recipe(
        name=name,
        cells=tuple(_cell(step, risks_of(step.code)) for step in found),
        changed_since=tuple(sorted(_changed_since(steps, found, held))),
        also_sets=tuple(sorted(held & frozenset[str]().union(*(step.writes for step in found)))),
        used_by=tuple(
            _cell(step) for step in steps if step.seq > last and step.is_ok and name in step.reads
        ),
    )


def _cell(step: _Step, risks: tuple[str, ...] = ()) -> RecipeCell:
    return RecipeCell(seq=step.seq, execution_count=step.count, code=step.code, risks=risks)


def _unknown(failed: _Step | None) -> str:
    if failed is None:
        return "no recorded cell made it"
    label = f"[{failed.count}]" if failed.count is not None else f"record {failed.seq}"
    return f"the cell that made it failed: {label}"


def _changed_since(
    steps: Sequence[_Step], chosen: Sequence[_Step], held: AbstractSet[str]
) -> set[str]:
    """What chosen cells read and later ones, which are not chosen, wrote."""
    seqs = {step.seq for step in chosen}
    latest: dict[str, int] = {}
    for step in steps:
        if step.seq not in seqs:
            latest.update(dict.fromkeys(step.writes, step.seq))
    return {
        name
        for step in chosen
        for name in step.reads & held
        if latest.get(name, 0) > step.seq and name not in step.writes
    }


@dataclass(slots=True)
class _Events:
    """What is read from the log before it is put in order."""

    begun: dict[str, int] = field(default_factory=dict)
    cells: list[Mapping[str, Any]] = field(default_factory=list)
    taken: dict[str, int] = field(default_factory=dict)
    jumps: list[tuple[int, str]] = field(default_factory=list)


def _steps(records: Iterable[Mapping[str, Any]], seq: int) -> list[_Step]:
    """The cells that led to the state after `seq`, oldest first: what was undone is no part."""
    events = _read(records)
    marks: list[tuple[int, _Step | str]] = [
        (begin, _step(cell, begin))
        for cell in events.cells
        if (begin := events.begun.get(str(cell.get("span_id")), _number(cell, "seq") - 1)) <= seq
    ]
    marks += [(at, target) for at, target in events.jumps if at <= seq]
    marks.sort(key=lambda mark: mark[0], reverse=True)
    found = []
    end = seq
    for at, mark in marks:
        if at > end:
            continue
        if isinstance(mark, _Step):
            found.append(mark)
        else:  # a way back: go on where it led to; one to another session leads out of this log
            end = events.taken.get(mark, 0)
    return found[::-1]


def _read(records: Iterable[Mapping[str, Any]]) -> _Events:
    events = _Events()
    for record in records:
        kind, seq = record.get("kind"), _number(record, "seq")
        if kind == "cell_started":
            events.begun[str(record.get("span_id"))] = seq
        elif kind == "cell" and not record.get("parent_span_id"):
            events.cells.append(record)
        elif kind == "checkpoint":
            events.taken[str(record.get("checkpoint_id"))] = _number(record, "after_seq")
        elif kind == "rollback" and record.get("what") != "files":
            events.jumps.append((seq, str(record.get("checkpoint_id"))))
    return events


def _step(cell: Mapping[str, Any], begin: int) -> _Step:
    count = cell.get("execution_count")
    removes = _names(cell, "removed_vars")
    return _Step(
        seq=_number(cell, "seq"),
        begin=begin,
        count=count if isinstance(count, int) else None,
        code=str(cell.get("code", "")),
        is_ok=cell.get("success") is True,
        reads=_names(cell, "loads"),
        # `del x` is a store of x to the bytecode.
        writes=frozenset[str]().union(*(_names(cell, one) for one in _WRITES)) - removes,
        born=_names(cell, "added_vars"),
        removes=removes,
    )


def _names(record: Mapping[str, Any], field_name: str) -> frozenset[str]:
    value = record.get(field_name)
    return frozenset(str(name) for name in value) if isinstance(value, list) else frozenset()


def _number(record: Mapping[str, Any], field_name: str) -> int:
    value = record.get(field_name)
    return value if isinstance(value, int) else 0
