"""What the magics `%checkpoint` and `%rollback` answer.

Called by `shell.magics.checkpoint_magics`, which loads this when one of them is first used: a
kernel that starts need not pay for it.
"""

import platform
from collections.abc import Callable
from typing import Final, Protocol

from IPython.core.getipython import get_ipython
from IPython.core.inputtransformer2 import TransformerManager

from flow_kernel.errors import UsageError
from flow_kernel.records.home import Home
from flow_kernel.session.checkpoints.checkpoint import Checkpoint
from flow_kernel.session.checkpoints.compatibility import warnings_of
from flow_kernel.session.checkpoints.near import find_near
from flow_kernel.session.checkpoints.rebuilding import explain_all, recipes_for
from flow_kernel.session.checkpoints.rollback import go_back
from flow_kernel.session.checkpoints.service import Checkpoints
from flow_kernel.session.checkpoints.surroundings import DEFAULT_KEEP, FLAGS, WHAT
from flow_kernel.session.checkpoints.versions import installed
from flow_kernel.session.notices import Notices
from flow_kernel.shell.views.checkpoint_display import (
    CheckpointCard,
    CheckpointPage,
    DifferenceCard,
    PruneCard,
    RollbackCard,
    VerifyCard,
)
from flow_kernel.shell.views.checkpoint_list import CheckpointList
from flow_kernel.shell.views.checkpoint_pending import PendingCard


class KeepsCheckpoints(Protocol):
    """A session, or a worker that holds its variables, as far as checkpoints go."""

    @property
    def checkpoints(self) -> Checkpoints:
        """The time machine."""

    @property
    def home(self) -> Home:
        """Where they lie."""

    @property
    def notices(self) -> Notices:
        """Sentences for the person."""


def checkpoint(session: KeepsCheckpoints, words: list[str], *, must_wait: bool = False) -> object:
    """Take one, or answer a verb.

    Args:
        session: Whose.
        words: Behind the name of the magic.
        must_wait: True to wait for the disk, whatever the words say.

    Raises:
        FlowError: It cannot be done; the message says why.
    """
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
    waits = True if must_wait or "--wait" in words else False if "--no-wait" in words else None
    taking = session.checkpoints.keep(name, tag="--tag" in words, wait=waits)
    if taking.is_done:
        return CheckpointCard(taking.wait())
    # In a terminal nothing can be drawn again.
    is_terminal = getattr(get_ipython(), "kernel", None) is None
    return PendingCard(taking, session.notices.say if is_terminal else None)


_FLAGS: Final = ("--tag", "--wait", "--no-wait")


def _list(session: KeepsCheckpoints, words: list[str], *, is_tree: bool = False) -> CheckpointList:
    _none_of(words)
    session.checkpoints.settle()  # the one on its way to the disk is one of them
    shelf, here = session.checkpoints.shelf, session.checkpoints.head_id
    return CheckpointList(shelf.all(), dict(shelf.damaged), here=here, is_tree=is_tree)


def _tree(session: KeepsCheckpoints, words: list[str]) -> CheckpointList:
    return _list(session, words, is_tree=True)


def _show(session: KeepsCheckpoints, words: list[str]) -> CheckpointPage:
    one = _found(session, _one_of(words))
    names = [left.name for left in one.not_saved]
    return CheckpointPage(one, recipes_for(session.home, one, names, transform=_python_of))


def _diff(session: KeepsCheckpoints, words: list[str]) -> DifferenceCard:
    if len(words) not in (1, 2):
        raise UsageError("name one or two checkpoints", hint="%checkpoint diff A B")
    checkpoints = session.checkpoints
    before = _found(session, words[0])
    after = _found(session, words[1]) if len(words) == 2 else None
    difference = checkpoints.difference(before, after)
    return DifferenceCard(before, after or checkpoints.now(), difference)


def _verify(session: KeepsCheckpoints, words: list[str]) -> VerifyCard:
    session.checkpoints.settle()
    shelf = session.checkpoints.shelf
    chosen = [_found(session, _one_of(words))] if words else shelf.all()
    trouble = [
        one
        for checkpoint in chosen
        for one in (*shelf.verify(checkpoint), *shelf.verify_files(checkpoint))
    ]
    return VerifyCard(len(chosen), trouble, {} if words else dict(shelf.damaged))


def _prune(session: KeepsCheckpoints, words: list[str]) -> PruneCard:
    is_sure = "--yes" in words
    words = [word for word in words if word != "--yes"]
    keep = DEFAULT_KEEP
    if words:
        if len(words) != 2 or words[0] != "--keep" or not words[1].isdigit() or int(words[1]) < 1:
            raise UsageError("prune takes --keep N, from 1 on, and --yes")
        keep = int(words[1])
    if not is_sure:
        count = max(len(session.checkpoints.shelf.all()) - keep, 0)
        return PruneCard(None, count=count, keep=keep)
    return PruneCard(session.checkpoints.prune(keep=keep))


def names_of(session: KeepsCheckpoints) -> set[str]:
    """The names of all checkpoints of its home."""
    session.checkpoints.settle()
    return {one.name for one in session.checkpoints.shelf.all()}


def rollback(session: KeepsCheckpoints, words: list[str]) -> RollbackCard:
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
    target = _found(session, " ".join(names))
    what = chosen[0] if chosen else "files" if _holds_files_alone(session, target) else "all"
    back = go_back(
        session.checkpoints,
        target,
        what=what,
        dry_run="--dry-run" in flags,
        trusts="--trust" in flags,
    )
    lost = [left.name for left in back.lost]
    found = recipes_for(session.home, target, lost, transform=_python_of)
    if not back.is_dry_run:
        explain_all(session.checkpoints.namespace, found)
    return RollbackCard(back, found, _remarks(target) if what != "files" else [])


def _holds_files_alone(session: KeepsCheckpoints, target: Checkpoint) -> bool:
    """True for one that `jupyter flow rollback --files` has taken: it knows no variable."""
    return (
        target.reason == "safety"
        and target.session != session.checkpoints.session
        and not target.variables
        and not target.not_saved
    )


def _remarks(target: Checkpoint) -> list[str]:
    version_of = installed(target.libraries).get
    return warnings_of(target, python=platform.python_version(), version_of=version_of)


def _python_of(source: str) -> str:
    return str(TransformerManager().transform_cell(source))


_ANSWERS: Final[dict[str, Callable[[KeepsCheckpoints, list[str]], object]]] = {
    "list": _list,
    "tree": _tree,
    "show": _show,
    "diff": _diff,
    "verify": _verify,
    "prune": _prune,
}


def _found(session: KeepsCheckpoints, name: str) -> Checkpoint:
    session.checkpoints.settle()  # it may be the one on its way to the disk
    return find_near(session.checkpoints.shelf, name, session=session.checkpoints.session)


def _one_of(words: list[str]) -> str:
    if not words:
        raise UsageError("name a checkpoint", hint="see: %checkpoint list")
    return " ".join(words)


def _none_of(words: list[str]) -> None:
    if words:
        raise UsageError(f'"{" ".join(words)[:40]}" is not understood', hint="try: %checkpoint?")
