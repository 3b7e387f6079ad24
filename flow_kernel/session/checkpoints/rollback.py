"""The way back to a checkpoint: only what differs is replaced, or nothing is.

Called by the `%rollback` magic and by users through `flow_kernel.current_session()`.

    safety checkpoint ─▶ what differs is verified and loaded aside ─▶ files ─▶ namespace patched

Each part can refuse, and until the files are restored nothing was changed. The namespace comes
last, because assigning names cannot fail. Every byte that is loaded is proven first; what the
session holds already is not read.
"""

import platform
from dataclasses import dataclass, field, replace
from typing import Any

from flow_kernel.errors import CheckpointDamaged, FlowError, UntrustedCheckpoint
from flow_kernel.records.interrupts import NotedInterrupts
from flow_kernel.session.checkpoints.checkpoint import Checkpoint, LeftName, Part
from flow_kernel.session.checkpoints.compatibility import code_reason
from flow_kernel.session.checkpoints.hidden_state import is_hidden, prepare, restore
from flow_kernel.session.checkpoints.loading import load
from flow_kernel.session.checkpoints.plan import same_names
from flow_kernel.session.checkpoints.service import Checkpoints
from flow_kernel.session.checkpoints.shelf import Shelf
from flow_kernel.session.checkpoints.taking import Taking, waited_for
from flow_kernel.session.checkpoints.tombstone import Tombstone
from flow_kernel.store.files.entries import spelled
from flow_kernel.store.git.rules import NO_CHANGES, FileChanges
from flow_kernel.store.snapshots.segments import ChunkLost


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """What a way back did, or would do.

    Attributes:
        target: Where it went.
        safety: The checkpoint that undoes it; None for a dry run.
        restored: Names whose value is another object now.
        removed: Names that were born later.
        lost: Names that the checkpoint could not hold, or this Python cannot load; tombstones now.
        kept: Names that it could not hold and that are the same objects still.
        files: Paths that were changed.
        files_reason: Why no files were; empty when they were, or not asked for.
        is_dry_run: True when nothing was changed.
        unnoted: Why the log could not note it; empty when it did.
    """

    target: Checkpoint
    safety: Checkpoint | None
    restored: list[str]
    removed: list[str]
    lost: list[LeftName]
    kept: list[str]
    files: FileChanges
    files_reason: str
    is_dry_run: bool
    unnoted: str = ""


def go_back(
    checkpoints: Checkpoints,
    target: Checkpoint,
    *,
    what: str = "all",
    dry_run: bool = False,
    trusts: bool = False,
) -> Rollback:
    """Make session and files as they were at a checkpoint.

    Half a way back is none: an interrupt waits while things are changed.

    Args:
        checkpoints: Of the session.
        target: Where to.
        what: all, state or files.
        dry_run: True to say what would happen, and to change nothing.
        trusts: True to load a checkpoint that this user has not signed.

    Raises:
        UntrustedCheckpoint: It is signed by somebody else; its values would run their code.
        CheckpointDamaged: A part fails its hash, or a value cannot be loaded; nothing was changed.
        StoreError: The safety checkpoint could not be taken, or git refuses; nothing was changed.
    """
    if not (target.is_trusted or trusts or what == "files"):
        raise UntrustedCheckpoint(
            f"checkpoint {target.checkpoint_id} was not signed with your key: restoring it would "
            "run whatever code is in it; nothing was changed",
            hint="if you know where it comes from: --trust",
        )
    return checkpoints.turns.settled(
        lambda: _go_back(checkpoints, target, what=what, dry_run=dry_run)
    )


def _go_back(checkpoints: Checkpoints, target: Checkpoint, *, what: str, dry_run: bool) -> Rollback:
    """While no other thread takes a checkpoint or goes back."""
    namespace = checkpoints.namespace
    safety, aside = None, Aside()
    if dry_run:
        aside = _compared(checkpoints, target) if what != "files" else aside
    else:
        before = checkpoints.base
        taking = _safety(checkpoints, with_files=what != "state")
        if what != "files":
            # Both take a while and neither needs the other, but for what turns out to be the same.
            sure = same_names(before, target) & taking.taken_over if before else frozenset()
            aside = _loaded(checkpoints, target, sure)
        safety = waited_for(taking)
        if checkpoints.base is not None:
            aside.leave(same_names(checkpoints.base, target))
    values, states = aside.values, aside.states
    removed: list[str] = []
    lost: list[LeftName] = []
    kept: list[str] = []
    if what != "files":
        lost, kept = _left(checkpoints, target)
        lost += aside.refused
        there = {*values, *aside.same, *kept, *(left.name for left in lost)}
        removed = sorted(checkpoints.variables().keys() - there)
    files, files_reason = NO_CHANGES, ""
    with NotedInterrupts() as held:
        if what != "state":
            files, files_reason = checkpoints.files.restore(
                target, must=what == "files", dry_run=dry_run
            )
        if not dry_run:
            for name in removed:
                namespace.pop(name, None)
            namespace.update(values)
            restore(states)
            namespace.update({left.name: Tombstone(left.name, _epitaph(left)) for left in lost})
        done = Rollback(
            target=target,
            safety=safety,
            restored=sorted(values),
            removed=removed,
            lost=lost,
            kept=kept,
            files=files,
            files_reason=files_reason,
            is_dry_run=dry_run,
        )
        if safety is not None:
            unnoted = checkpoints.moved(
                target,
                {
                    "what": what,
                    "safety_id": safety.checkpoint_id,
                    "restored": done.restored,
                    "removed": removed,
                    "lost": [left.name for left in lost],
                    "files": [*map(spelled, (*files.added, *files.changed, *files.removed))],
                },
                lost=[left.name for left in lost],
            )
            done = replace(done, unnoted=unnoted)
    held.pass_on()
    return done


def _safety(checkpoints: Checkpoints, *, with_files: bool) -> Taking:
    """What undoes the way back: a checkpoint of now, or the last one where nothing differs."""
    return checkpoints.begin(
        reason="safety", whole=False, with_files=with_files, only_if_changed=True
    )


@dataclass(slots=True, kw_only=True)
class Aside:
    """What was loaded, and nothing of the session changed by it.

    Attributes:
        values: By name.
        states: Of random numbers.
        same: Names that are what they were.
        refused: What this Python must not load.
    """

    values: dict[str, Any] = field(default_factory=dict)
    states: dict[str, Any] = field(default_factory=dict)
    same: frozenset[str] = frozenset()
    refused: list[LeftName] = field(default_factory=list)

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
    """

    def __init__(self, shelf: Shelf, part: Part) -> None:
        self._shelf = shelf
        self._part = part

    def read_into(self, target: memoryview) -> None:
        """Its bytes, into memory that is as long as it.

        Raises:
            ChunkLost: They are missing or damaged.
        """
        self._shelf.read_into(self._part, target)


def _compared(checkpoints: Checkpoints, target: Checkpoint) -> Aside:
    """What would be loaded; nothing is."""
    same = same_names(checkpoints.peek(whole=False), target)
    names = [name for group in target.groups for name in group.names if name not in same]
    return Aside(values={name: None for name in names if not is_hidden(name)}, same=same)


def _loaded(checkpoints: Checkpoints, target: Checkpoint, same: frozenset[str]) -> Aside:
    """The values that differ, loaded aside; those that this Python must not load are listed."""
    found: dict[str, Any] = {}
    refused: list[LeftName] = []
    here = platform.python_version()
    anchors = checkpoints.anchors()
    shelf = checkpoints.shelf
    for group in target.groups:
        if same.issuperset(group.names):
            continue
        try:
            buffers = [
                Filling(shelf, part) if number in group.filled_in
                else shelf.content(part, is_code=False)
                for number, part in enumerate(group.buffers)
            ]  # fmt: skip
            stream = bytes(shelf.content(group.stream))
            if (reason := code_reason(stream, taken=target.python, here=here)) is not None:
                refused += [
                    LeftName(name=name, type=_type_of(target, name), reason=reason)
                    for name in group.names
                ]
                continue
            values = load(stream, buffers, anchors, list(target.anchors))
        except (ChunkLost, FlowError) as error:
            raise _damaged(target, group.names, str(error)) from None
        except Exception as error:  # code of the values' classes may raise anything
            raise _damaged(target, group.names, f"{type(error).__name__}: {error}") from error
        found.update(zip(group.names, values, strict=True))
    states = {name: found.pop(name) for name in list(found) if is_hidden(name)}
    try:
        prepare(states)
    except ImportError as error:
        raise _damaged(target, tuple(states), str(error)) from None
    return Aside(values=found, states=states, same=same, refused=refused)


def _type_of(target: Checkpoint, name: str) -> str:
    return str(target.variables.get(name, {}).get("type", "value"))


def _damaged(target: Checkpoint, names: tuple[str, ...], reason: str) -> CheckpointDamaged:
    return CheckpointDamaged(
        f"checkpoint {target.checkpoint_id}: {', '.join(names)} cannot be loaded: {reason[:300]}; "
        "nothing was changed",
        variables=names,
    )


def _left(checkpoints: Checkpoints, target: Checkpoint) -> tuple[list[LeftName], list[str]]:
    """What the target could not hold: gone, or the same object still."""
    lost, kept = [], []
    now = checkpoints.variables()
    for left in target.not_saved:
        is_same = (
            target.session == checkpoints.session
            and left.name in now
            and checkpoints.unsaved.is_same(target.checkpoint_id, left, now[left.name])
        )
        if is_same:
            kept.append(left.name)
        else:
            lost.append(left)
    return lost, kept


def _epitaph(left: LeftName) -> str:
    made = f"; it was made by record {left.seq}" if left.seq is not None else ""
    return f"a {left.type} cannot be kept in a checkpoint ({left.reason}){made}"
