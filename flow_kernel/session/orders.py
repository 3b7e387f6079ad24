"""What a session does because somebody outside wants it: answer a question, give up, interrupt.

Called by `shell.control_channel`, in the thread of the control channel, while a cell may keep the
main thread busy.

    approve    {"approval_id", "decision": yes|no|skip, "by"?, "channel"?, "comment"?}
    cancel     {"msg_id"} the running cell | {"approval_id"} a question | {"job_id"} a cell apart
    interrupt  {"worker_id"} what a worker does
"""

from collections.abc import Callable, Mapping
from typing import Final

from flow_kernel.errors import NotFound, UsageError
from flow_kernel.session.approval_text import document_of
from flow_kernel.session.person import user_name
from flow_kernel.session.session import Session

DECISIONS: Final = {
    "yes": "approve",
    "approve": "approve",
    "no": "reject",
    "reject": "reject",
    "skip": "skip",
}
_CHANNEL: Final = "control"
_WORD_CHARS: Final = 200
_TARGETS: Final = ("msg_id", "approval_id", "job_id")


def approve(session: Session, asked: Mapping[str, object]) -> dict[str, object]:
    """Answer a question; the first valid answer counts.

    Returns:
        The question as it is now.

    Raises:
        UsageError: An argument cannot be used.
        NotFound: There is no such question.
        AlreadyDecided: Another answer was first, or the time is over.
    """
    word = _text(asked, "decision")
    if word not in DECISIONS:
        raise UsageError(f"a decision is one of {', '.join(DECISIONS)}, not {word[:40]!r}")
    with session.recorder.own_imports():
        row = session.approvals.decide(
            _text(asked, "approval_id"),
            DECISIONS[word],
            by=_text(asked, "by", user_name()),
            channel=_text(asked, "channel", _CHANNEL),
            comment=_text(asked, "comment", ""),
        )
    return document_of(row)


def cancel(
    session: Session, asked: Mapping[str, object], interrupt: Callable[[], None]
) -> dict[str, object]:
    """Give up one thing, named by what it is.

    Args:
        session: Whose.
        asked: One of `msg_id`, `approval_id`, `job_id`.
        interrupt: Interrupts the cell that runs in the main thread.

    Returns:
        `cancelled`: False where it had ended or not begun, and nothing was done.
    """
    named = [key for key in _TARGETS if asked.get(key) is not None]
    if len(named) != 1:
        raise UsageError(f"name one of {', '.join(_TARGETS)}")
    target = _text(asked, named[0])
    if named[0] == "msg_id":
        cell = session.recorder.running()
        # Only the cell that is meant: the one after it must not pay for a late wish.
        is_meant = cell is not None and cell.request.msg_id == target
        if is_meant:
            interrupt()
        return {"cancelled": is_meant}
    if named[0] == "job_id":
        isolation = session.find_isolation()
        if isolation is None:
            raise NotFound(f"no cell in the background is named {target[:40]!r}")
        return {"cancelled": isolation.background.find(target).cancel()}
    with session.recorder.own_imports():
        row = session.approvals.withdraw(target, by=user_name(), channel=_CHANNEL)
    return {"cancelled": row.status == "cancelled", "approval": document_of(row)}


def interrupt_worker(session: Session, asked: Mapping[str, object]) -> dict[str, object]:
    """Interrupt what a worker does, as Ctrl-C would; it lives on.

    Raises:
        NotFound: There is no such worker.
    """
    word = _text(asked, "worker_id")
    isolation = session.find_isolation()
    if isolation is None:
        raise NotFound(f"there is no worker {word[:40]!r}")
    return {"interrupted": isolation.steering.interrupt(word)}


def _text(asked: Mapping[str, object], key: str, default: str | None = None) -> str:
    value = asked.get(key, default)
    if type(value) is not str or (not value and default is None):
        raise UsageError(f"{key} is a text, not {value!r:.60}")
    if key != "comment" and len(value) > _WORD_CHARS:
        raise UsageError(f"{key} has at most {_WORD_CHARS} characters")
    return value
