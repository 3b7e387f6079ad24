"""What the magics `%checkpoint` and `%rollback` answer.

Called by `shell.checkpoint_magics`, which loads this when one of them is first used: a kernel that
starts need not pay for it.
"""

from collections.abc import Callable
from typing import Any, Final

from IPython.core.getipython import get_ipython

from flow_kernel.errors import UsageError
from flow_kernel.session.checkpoints.rollback import go_back
from flow_kernel.session.checkpoints.surroundings import DEFAULT_KEEP, FLAGS, WHAT
from flow_kernel.session.session import Session
from flow_kernel.shell.checkpoint_display import (
    CheckpointCard,
    CheckpointTable,
    DifferenceCard,
    PruneCard,
    RollbackCard,
    VerifyCard,
)
from flow_kernel.shell.checkpoint_pending import PendingCard
from flow_kernel.shell.guard import HeldInterrupts


def checkpoint(session: Session, words: list[str]) -> object:
    """Take one, or answer a verb."""
    verb = words[0] if words else ""
    if verb in _ANSWERS:
        return _ANSWERS[verb](session, words[1:])
    names = [word for word in words if word not in _FLAGS]
    if "--wait" in words and "--no-wait" in words:
        raise UsageError("--wait and --no-wait exclude one another")
    for word in names:
        if word.startswith("--"):
            raise UsageError(f"there is no option {word[:40]}", hint="try: %checkpoint?")
    name = " ".join(names) or None
    waits = True if "--wait" in words else False if "--no-wait" in words else None
    taking = session.checkpoint(name, tag="--tag" in words, wait=waits)
    if taking.is_done:
        return CheckpointCard(taking.wait())
    # In a terminal nothing can be drawn again.
    is_terminal = getattr(get_ipython(), "kernel", None) is None
    return PendingCard(taking, session.notices.say if is_terminal else None)


_FLAGS: Final = ("--tag", "--wait", "--no-wait")


def _list(session: Session, words: list[str]) -> CheckpointTable:
    _none_of(words)
    shelf = session.checkpoints.shelf
    return CheckpointTable(shelf.all(), dict(shelf.damaged))


def _show(session: Session, words: list[str]) -> CheckpointCard:
    return CheckpointCard(_found(session, _one_of(words)), is_long=True)


def _diff(session: Session, words: list[str]) -> DifferenceCard:
    if len(words) not in (1, 2):
        raise UsageError("name one or two checkpoints", hint="%checkpoint diff A B")
    checkpoints = session.checkpoints
    before = _found(session, words[0])
    after = _found(session, words[1]) if len(words) == 2 else None
    return DifferenceCard(before, after, checkpoints.difference(before, after))


def _verify(session: Session, words: list[str]) -> VerifyCard:
    shelf = session.checkpoints.shelf
    chosen = [_found(session, _one_of(words))] if words else shelf.all()
    trouble = [one for checkpoint in chosen for one in shelf.verify(checkpoint)]
    return VerifyCard(len(chosen), trouble, {} if words else dict(shelf.damaged))


def _prune(session: Session, words: list[str]) -> PruneCard:
    keep = DEFAULT_KEEP
    if words:
        if len(words) != 2 or words[0] != "--keep" or not words[1].isdigit() or words[1] == "0":
            raise UsageError("prune takes --keep N, from 1 on")
        keep = int(words[1])
    return PruneCard(session.checkpoints.prune(keep=keep))


def rollback(session: Session, words: list[str]) -> RollbackCard:
    """Go back, or say what that would change."""
    flags = [word for word in words if word.startswith("--")]
    names = [word for word in words if not word.startswith("--")]
    if unknown := [flag for flag in flags if flag not in FLAGS]:
        raise UsageError(f"there is no option {unknown[0][:40]}", hint="try: %rollback?")
    if not names:
        raise UsageError("name a checkpoint", hint="%rollback -1, or see: %checkpoint list")
    chosen = [FLAGS[flag] for flag in flags if FLAGS[flag] in WHAT]
    if len(chosen) > 1:
        raise UsageError("--state, --files and --all exclude one another")
    return RollbackCard(
        go_back(
            session.checkpoints,
            _found(session, " ".join(names)),
            what=chosen[0] if chosen else "all",
            dry_run="--dry-run" in flags,
            trusts="--trust" in flags,
            hold=HeldInterrupts,
        )
    )


_ANSWERS: Final[dict[str, Callable[[Session, list[str]], object]]] = {
    "list": _list,
    "show": _show,
    "diff": _diff,
    "verify": _verify,
    "prune": _prune,
}


def _found(session: Session, name: str) -> Any:
    return session.checkpoints.shelf.find(name, session=session.identity.session)


def _one_of(words: list[str]) -> str:
    if not words:
        raise UsageError("name a checkpoint", hint="see: %checkpoint list")
    return " ".join(words)


def _none_of(words: list[str]) -> None:
    if words:
        raise UsageError(f'"{" ".join(words)[:40]}" is not understood', hint="try: %checkpoint?")
