"""How two checkpoints differ, in words: names, what they held before and after, files (pure).

Called by `tree`, by the magics and by `jupyter flow diff`. Nothing is loaded: what is told comes
from the manifests, where each variable has its hashes and a summary of what it was.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from flow_kernel.session.checkpoints.checkpoint import (
    Checkpoint,
    Difference,
    LeftName,
    differing,
)
from flow_kernel.store.git.rules import NO_CHANGES

_TOMBSTONE = "flow_kernel.session.checkpoints.tombstone.Tombstone"
SAME_WORDS = "other content"
"""Stands for what a variable holds now where its summary is the one that it had before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NameChange:
    """One variable that differs.

    Attributes:
        sign: `+` added, `~` changed, `-` removed.
        name: Its name.
        before: What it held in the first checkpoint; None where it was not there.
        after: What it holds in the second one; None where it is not there any more.
    """

    sign: str
    name: str
    before: str | None
    after: str | None

    @property
    def words(self) -> str:
        """`1 → 2`, or the one side that there is."""
        if self.before is None or self.after is None:
            return self.after or self.before or ""
        after = SAME_WORDS if self.before == self.after else self.after
        return f"{self.before} → {after}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a checkpoint changed against the one before it; names sorted."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    has_files: bool

    @property
    def is_empty(self) -> bool:
        """True when nothing differs."""
        return not (self.added or self.changed or self.removed or self.has_files)

    def words(self) -> Iterator[tuple[str, str]]:
        """Each name with its sign; files as one word at the end."""
        for sign, names in (("+", self.added), ("~", self.changed), ("-", self.removed)):
            for name in names:
                yield sign, name
        if self.has_files:
            yield "", "files"


def change_of(before: Checkpoint, after: Checkpoint) -> Change:
    """What differs, by hashes alone.

    A name that neither of them holds is left out: nothing can be said about it.
    """
    found = differing(before, after, NO_CHANGES)
    unknown = _left(before) & _left(after)
    return Change(
        added=tuple(found.added),
        changed=tuple(name for name in found.changed if name not in unknown),
        removed=tuple(found.removed),
        has_files=_have_other_files(before, after),
    )


def name_changes(before: Checkpoint, after: Checkpoint, difference: Difference) -> list[NameChange]:
    """The variables of a difference with what they held, in the order of their names."""
    signs = (("+", difference.added), ("~", difference.changed), ("-", difference.removed))
    found = [
        NameChange(
            sign=sign,
            name=name,
            before=summary_of(before, name),
            after=summary_of(after, name),
        )
        for sign, names in signs
        for name in names
    ]
    return sorted(found, key=lambda one: one.name)


def document(changes: Iterable[NameChange], difference: Difference) -> dict[str, object]:
    """A difference as JSON."""
    summaries = {one.name: {"before": one.before, "after": one.after} for one in changes}
    return {**difference.document(), "summaries": summaries}


def summary_of(checkpoint: Checkpoint, name: str) -> str | None:
    """What a variable held, in words; None where the checkpoint knows nothing of it."""
    said = checkpoint.variables.get(name)
    if said is not None:
        return str(said.get("summary") or said.get("type") or "")
    for left in checkpoint.not_saved:
        if left.name == name:
            return f"{type_words(left)}, not kept"
    return None


def type_words(left: LeftName) -> str:
    """The type of what is not kept, for people."""
    return "not restored before" if left.type == _TOMBSTONE else left.type


def _left(checkpoint: Checkpoint) -> frozenset[str]:
    return frozenset(left.name for left in checkpoint.not_saved)


def _have_other_files(before: Checkpoint, after: Checkpoint) -> bool:
    """True when the files are known to differ; where one has none of them, nothing is known."""
    old, new = _trees_of(before), _trees_of(after)
    return any(old) and any(new) and old != new


def _trees_of(checkpoint: Checkpoint) -> tuple[object, object]:
    """What is equal for equal files: in git, and in chunks of ours."""
    git, files = checkpoint.git or {}, checkpoint.files or {}
    return git.get("tree"), files.get("tree")
