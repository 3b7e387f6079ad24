"""Checkpoints as answers of the magics: text in a terminal, HTML in a notebook, a value in code.

Called by `shell.magics.checkpoint_answers`. Everything a user named is escaped.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from flow_kernel.records.plain import counted, human_bytes, one_line
from flow_kernel.session.checkpoints.checkpoint import Checkpoint, Difference, LeftName
from flow_kernel.session.checkpoints.comparison import (
    NameChange,
    document,
    name_changes,
    summary_of,
    type_words,
)
from flow_kernel.session.checkpoints.files_text import files_line, left_files
from flow_kernel.session.checkpoints.pruning import Pruned
from flow_kernel.session.checkpoints.recipe import Recipe, labels_of
from flow_kernel.session.checkpoints.rollback import Rollback
from flow_kernel.session.checkpoints.shelf import Trouble
from flow_kernel.session.checkpoints.tree_text import taken_at
from flow_kernel.shell.views.checkpoint_lines import Lines

_MOST: Final = 12
_SUMMARY_CHARS: Final = 100
NOT_SIGNED: Final = (
    "not signed with your key: what is in it is code of whoever made it, which restoring would "
    "run; it is restored only with --trust"
)


class CheckpointCard(Lines):
    """One checkpoint, as it was taken; `checkpoint` holds the values."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        warnings = [*_left_names(checkpoint.not_saved, {}), *left_files(checkpoint)]
        if len(warnings) > _MOST:
            warnings = [*warnings[:_MOST], f"… {len(warnings) - _MOST} more: %checkpoint show"]
        super().__init__(_title(checkpoint), [files_line(checkpoint)], warnings)


class CheckpointPage(Lines):
    """All that is known of one checkpoint; `checkpoint` and `recipes` hold the values."""

    def __init__(self, checkpoint: Checkpoint, recipes: Sequence[Recipe] = ()) -> None:
        self.checkpoint = checkpoint
        self.recipes: list[Recipe] = [*recipes]
        one = checkpoint
        when = f"taken {taken_at(one)} UTC ({one_line(one.reason, 40)})"
        place = f"{one.plan_id}/{one.task_id}{f', step {one.step}' if one.step else ''}"
        after = f", after {one_line(one.parent_id, 40)}" if one.parent_id else ""
        libraries = [f"{name} {version}" for name, version in one.libraries.items()]
        lines = [
            files_line(one),
            f"{when} in {one_line(place, 80)}, record {one.seq}{after}",
            one_line(", ".join([f"Python {one.python}", *libraries]), 200),
        ]
        by_name = {recipe.name: recipe for recipe in recipes}
        warnings = [*_left_names(one.not_saved, by_name), *left_files(one)]
        if not one.is_trusted:
            warnings.append(NOT_SIGNED)
        rows = [
            (one_line(name, 40), one_line(summary_of(one, name) or "", _SUMMARY_CHARS))
            for name in one.variables
        ]
        super().__init__(_title(one), lines, warnings, rows=rows)


class DifferenceCard(Lines):
    """How two checkpoints differ; `difference` and `changes` hold the values."""

    def __init__(self, before: Checkpoint, after: Checkpoint, difference: Difference) -> None:
        self.difference = difference
        self.changes: list[NameChange] = name_changes(before, after, difference)
        names = f"{one_line(before.name, 40)} → {one_line(after.name, 40) or 'now'}"
        rows = [
            (f"{change.sign} {one_line(change.name, 60)}", one_line(change.words, _SUMMARY_CHARS))
            for change in self.changes
        ]
        files = difference.files
        found = (
            ("files added", files.added, "+"),
            ("files changed", files.changed, "~"),
            ("files removed", files.removed, "-"),
        )
        lines = [f"{title}: {_named(paths, sign)}" for title, paths, sign in found if paths]
        if not rows and not lines:
            lines = ["nothing differs"]
        super().__init__(names, lines, rows=rows)

    def document(self) -> dict[str, object]:
        """As JSON."""
        return document(self.changes, self.difference)


class RollbackCard(Lines):
    """What a way back did; `rollback` and `recipes` hold the values.

    Args:
        rollback: What it did.
        recipes: How what was lost is made again.
        remarks: What is another here than where the checkpoint was taken.
        undo: What undoes it, with the id of a checkpoint behind it.
    """

    def __init__(
        self,
        rollback: Rollback,
        recipes: Sequence[Recipe] = (),
        remarks: Sequence[str] = (),
        *,
        undo: str = "%rollback",
    ) -> None:
        self.rollback = rollback
        self.recipes: list[Recipe] = [*recipes]
        self.remarks: list[str] = [*remarks]
        name = one_line(rollback.target.name, 60)
        title = f"{'would go' if rollback.is_dry_run else 'went'} back to {name}"
        files = rollback.files
        rows = [
            ("restored", rollback.restored, "~"),
            ("removed", rollback.removed, "-"),
            ("files changed", [*files.changed, *files.added], "~"),
            ("files removed", files.removed, "-"),
        ]
        lines = [f"{title}: {_named(found, sign)}" for title, found, sign in rows if found]
        lines = lines or ["nothing differed"]
        if rollback.safety is not None:
            lines.append(f"to undo it: {undo} {rollback.safety.checkpoint_id}")
        warnings = [
            f"not restored: {one_line(left.name, 40)} ({one_line(left.type, 60)})"
            + (f"; made by record {left.seq}" if left.seq is not None else "")
            for left in rollback.lost
        ]
        warnings += recipe_lines(recipes)
        if rollback.kept:
            warnings.append(f"left as they are, they cannot be kept: {_named(rollback.kept, '')}")
        if rollback.files_reason:
            warnings.append(f"files are as they were: {one_line(rollback.files_reason, 160)}")
        if rollback.unnoted:
            warnings.append(f"the log could not note it: {one_line(rollback.unnoted, 200)}")
        warnings += [one_line(remark, 200) for remark in remarks]
        super().__init__(title, lines, warnings)

    def document(self) -> dict[str, object]:
        """As JSON."""
        back = self.rollback
        return {
            "checkpoint_id": back.target.checkpoint_id,
            "safety_id": back.safety.checkpoint_id if back.safety is not None else None,
            "restored": back.restored,
            "removed": back.removed,
            "lost": [
                {"name": left.name, "type": left.type, "reason": left.reason, "seq": left.seq}
                for left in back.lost
            ],
            "kept": back.kept,
            "files": {
                "added": back.files.added,
                "changed": back.files.changed,
                "removed": back.files.removed,
            },
            "files_reason": back.files_reason,
            "recipes": [recipe.document() for recipe in self.recipes],
            "warnings": self.remarks,
            "is_dry_run": back.is_dry_run,
        }

    def json(self) -> str:
        """The same as text, for a client that has only text."""
        return json.dumps(self.document())


class VerifyCard(Lines):
    """What a look at every byte found; false when something is wrong."""

    def __init__(self, count: int, trouble: list[Trouble], damaged: Mapping[str, str]) -> None:
        self.trouble = trouble
        self.damaged = damaged
        title = f"{counted(count, 'checkpoint')} verified"
        warnings = [one_line(f"{one.checkpoint_id}: {one.said}", 300) for one in trouble]
        warnings += [one_line(f"{one}: its manifest {why}", 300) for one, why in damaged.items()]
        super().__init__(title, [] if warnings else ["all bytes are right"], warnings)

    def __bool__(self) -> bool:
        return not (self.trouble or self.damaged)


class PruneCard(Lines):
    """What was thrown away; `pruned` holds the values, None where only the number was asked."""

    def __init__(self, pruned: Pruned | None, *, count: int = 0, keep: int = 0) -> None:
        self.pruned = pruned
        count = count if pruned is None else pruned.checkpoints
        noun = counted(count, "checkpoint")
        if pruned is not None:
            super().__init__(f"{noun} deleted, {human_bytes(pruned.bytes_freed)} freed", [])
        elif count:
            super().__init__(
                f"{noun} would be deleted, the oldest of this project",
                [f"to do it: %checkpoint prune --keep {keep} --yes"],
            )
        else:
            super().__init__(f"nothing to delete: there are no more than {keep}", [])


def recipe_lines(recipes: Sequence[Recipe]) -> list[str]:
    """What people read of recipes; variables that the same cells make stand together."""
    together: dict[tuple[int, ...], list[Recipe]] = {}
    for recipe in recipes:
        together.setdefault(tuple(cell.seq for cell in recipe.cells), []).append(recipe)
    lines = []
    for group in together.values():
        first = group[0]
        names = ", ".join(one_line(recipe.name, 40) for recipe in group)
        if not first.cells:
            lines += [f"{one_line(r.name, 40)} cannot be rebuilt: {r.reason}" for r in group]
            continue
        lines.append(f"to rebuild {names}: run {first.numbers}")
        lines += [
            f"  {cell.label} {one_line(cell.code, 60)}"
            + (f"  (it {', '.join(cell.risks)})" if cell.risks else "")
            for cell in first.cells
        ]
        if used := tuple(dict.fromkeys(cell for recipe in group for cell in recipe.used_by)):
            lines.append(f"  {labels_of(used)} used {'it' if len(group) == 1 else 'them'} since")
        if sets := sorted({name for recipe in group for name in recipe.also_sets}):
            lines.append(f"  running them sets these, too: {_named(sets, '')}")
        if since := sorted({name for recipe in group for name in recipe.changed_since}):
            lines.append(f"  changed since, so the result may differ: {_named(since, '')}")
    return lines


def _title(one: Checkpoint) -> str:
    count = len(one.variables)
    return (
        f"checkpoint {one_line(one.name, 60)}  [{one_line(one.checkpoint_id, 40)}]  "
        f"{counted(count, 'variable')}, {human_bytes(one.bytes_new)} new"
    )


def _left_names(left: Sequence[LeftName], recipes: Mapping[str, Recipe]) -> list[str]:
    found = []
    for one in left:
        told = (
            f"not kept: {one_line(one.name, 40)} ({one_line(type_words(one), 60)}): "
            f"{one_line(one.reason, 120)}"
        )
        recipe = recipes.get(one.name)
        if recipe is not None and recipe.cells:
            told += f"; to rebuild it: run {recipe.numbers}"
        elif recipe is not None:
            told += f"; {recipe.reason}"
        found.append(told)
    return found


def _named(names: Sequence[str], sign: str) -> str:
    shown = [f"{sign}{one_line(name, 60)}" for name in names[:_MOST]]
    if len(names) > _MOST:
        shown.append(f"… {len(names) - _MOST} more")
    return " ".join(shown)
