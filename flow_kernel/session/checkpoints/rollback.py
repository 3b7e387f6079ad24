"""The way back to a checkpoint: only what differs is replaced, or nothing is.

Called by the `%rollback` magic and by users through `flow_kernel.current_session()`.

    safety checkpoint ─▶ what differs is verified and loaded aside ─▶ files ─▶ namespace patched

Each part can refuse, and until the files are restored nothing was changed. The namespace comes
last, because assigning names cannot fail, nor can writing into memory that it gets back. Every byte
of a value that comes back is proven first, in the store or where the session holds it already.
"""

import gc
from dataclasses import dataclass, replace

from flow_kernel.errors import UntrustedCheckpoint
from flow_kernel.records.interrupts import NotedInterrupts
from flow_kernel.session.checkpoints.aside import Aside, in_two, load_aside
from flow_kernel.session.checkpoints.checkpoint import Checkpoint, LeftName
from flow_kernel.session.checkpoints.hidden_state import is_hidden, restore
from flow_kernel.session.checkpoints.plan import same_names
from flow_kernel.session.checkpoints.service import Checkpoints
from flow_kernel.session.checkpoints.taking import Taking, waited_for
from flow_kernel.session.checkpoints.tombstone import Tombstone
from flow_kernel.store.files.entries import spelled
from flow_kernel.store.git.rules import NO_CHANGES, FileChanges


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """What a way back did, or would do.

    Attributes:
        target: Where it went.
        safety: The checkpoint that undoes it; None for a dry run.
        restored: Names whose value was brought back.
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
    has_collector = gc.isenabled()
    try:
        gc.disable()  # a finalizer may change what was just proven
        return _gone_back(checkpoints, target, Aside(), what=what, dry_run=dry_run)
    finally:
        if has_collector:
            gc.enable()


def _gone_back(
    checkpoints: Checkpoints, target: Checkpoint, aside: Aside, *, what: str, dry_run: bool
) -> Rollback:
    namespace = checkpoints.namespace
    safety = None
    if not dry_run:
        safety = _prepare(checkpoints, target, aside, what=what)
    elif what != "files":
        _compare(checkpoints, target, aside)
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
            aside.overdue.write()
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


def _prepare(
    checkpoints: Checkpoints, target: Checkpoint, aside: Aside, *, what: str
) -> Checkpoint:
    """Take what undoes the way back, and load what differs. Returns the safety checkpoint."""
    before = checkpoints.base
    taking = _safety(checkpoints, with_files=what != "state")
    if what == "files":
        return waited_for(taking)
    # Both take a while and neither needs the other, but for what turns out to be the same.
    sure = same_names(before, target) & taking.taken_over if before else frozenset()
    at_once, later = in_two(checkpoints, target, sure)
    load_aside(checkpoints, target, at_once, aside)
    safety = waited_for(taking)
    if (now := checkpoints.base) is not None:
        aside.leave(same_names(now, target))
    wanted = [group for group in later if not aside.same.issuperset(group.names)]
    # What was loaded may have begun something that writes to what the session holds.
    load_aside(checkpoints, target, wanted, aside, now=None if checkpoints.doubts() else now)
    return safety


def _safety(checkpoints: Checkpoints, *, with_files: bool) -> Taking:
    """What undoes the way back: a checkpoint of now, or the last one where nothing differs."""
    return checkpoints.begin(
        reason="safety", whole=False, with_files=with_files, only_if_changed=True
    )


def _compare(checkpoints: Checkpoints, target: Checkpoint, aside: Aside) -> None:
    """What would be loaded; nothing is."""
    aside.same = same_names(checkpoints.peek(whole=False), target)
    names = (name for group in target.groups for name in group.names if name not in aside.same)
    aside.values = {name: None for name in names if not is_hidden(name)}


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
