"""A run as text: a line a step, indented by what it needs; or a line a rank (pure).

Called by the magics, where there is no place for a picture.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from flow_kernel.records.plain import one_line
from flow_kernel.workflow.critical_path import CriticalPath
from flow_kernel.workflow.layout import MOST_BOXES, ranks_of
from flow_kernel.workflow.picture_folded import Fold, folds_of, label_of
from flow_kernel.workflow.picture_sight import (
    MARKS,
    Sight,
    chain_of,
    counts_text,
    critical_of,
    error_text,
    facts_of,
    state_of,
    title_of,
    ways_on,
)
from flow_kernel.workflow.states import StepState

_MOST_INDENT: Final = 12
_NAME_CHARS: Final = 40


def text_of(
    sight: Sight, *, folds: Sequence[Fold] | None = None, path: CriticalPath | None = None
) -> str:
    """The whole of it.

    Args:
        sight: What to show.
        folds: Of its steps, where they are known already.
        path: Its critical path, likewise.
    """
    return "\n".join(_lines(sight, folds, critical_of(sight) if path is None else path))


def _lines(sight: Sight, folds: Sequence[Fold] | None, path: CriticalPath) -> Iterator[str]:
    yield f"{title_of(sight)}  {state_of(sight)}"
    if len(sight.run.steps) > MOST_BOXES:
        yield from _folded(sight, folds_of(sight.steps) if folds is None else folds)
    else:
        yield from _steps(sight)
    chain = chain_of(sight, path)
    if chain:
        yield f"  {chain}"
    for way in ways_on(sight.run):
        yield f"  {way}"


def _steps(sight: Sight) -> Iterator[str]:
    ranks = ranks_of(sight.steps)
    rank = {name: number for number, names in enumerate(ranks) for name in names}
    known = {step.id: step for step in sight.run.steps}
    ordered = [known[name] for names in ranks for name in names if name in known]
    rows = []
    for step in ordered or sight.run.steps:
        indent = "  " * min(rank.get(step.id, 0), _MOST_INDENT)
        told = [facts_of(step, sight.notes.get(step.id, "")), error_text(step, 100)]
        name = f"{indent}{MARKS[step.state]} {one_line(step.name, _NAME_CHARS)}"
        rows.append((name, "  ".join(part for part in told if part)))
    width = max((len(name) for name, _ in rows), default=0)
    for name, words in rows:
        yield f"  {name.ljust(width)}  {words}"


def _folded(sight: Sight, folds: Sequence[Fold]) -> Iterator[str]:
    states = {step.id: step.state for step in sight.run.steps}
    width = max((len(label_of(fold)) for fold in folds), default=0)
    for fold in folds:
        counts = counts_text(states.get(name, StepState.PENDING) for name in fold.names)
        yield f"  {label_of(fold).ljust(width)}  {counts}"
    if not folds:  # its definition is lost
        yield f"  {counts_text(states.values())}"
