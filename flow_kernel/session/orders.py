"""What a session does because somebody outside wants it: answer a question, give up, interrupt.

Called by `shell.channels.control_channel`, in the thread of the control channel, while a cell may
keep the main thread busy.

    ask        {"message", "payload"?, "code"?, "by"?, "timeout_s"?, "on_timeout"?}
    approve    {"approval_id", "decision": yes|no|skip, "by"?, "channel"?, "comment"?}
    use        {"approval_id", "by"} the answer to a question of one's own
    cancel     {"msg_id", "unbegun"?} the running cell, or with `unbegun: true` one that waits, too
               {"approval_id"} a question | {"job_id"} a cell apart
    interrupt  {"worker_id"} what a worker does
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from flow_kernel.errors import ApprovalPending, NotFound, UsageError
from flow_kernel.session.approval_parts import Wish
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
_AGENTS: Final = "mcp"
"""The channel of answers that a program may have given for a person."""
_WORD_CHARS: Final = 200
_MESSAGE_CHARS: Final = 5000
_TARGETS: Final = ("msg_id", "approval_id", "job_id")


def ask(session: Session, asked: Mapping[str, object]) -> dict[str, object]:
    """Ask a person, and wait for nobody.

    The answer is bound to the message, the payload and the code that is to run with it. Asked again
    with the same ones after the answer, it is used.

    Returns:
        The question: open, or with the answer that this request uses.
    """
    timeout_s = asked.get("timeout_s")
    if timeout_s is not None and type(timeout_s) not in (int, float):
        raise UsageError(f"timeout_s is a number of seconds, not {timeout_s!r:.60}")
    code = asked.get("code", "")
    if type(code) is not str:
        raise UsageError(f"code is a text, not {code!r:.60}")
    wish = Wish(
        message=_text(asked, "message", chars=_MESSAGE_CHARS),
        payload=asked.get("payload"),
        timeout_s=None if timeout_s is None else float(timeout_s),  # type: ignore[arg-type]  # a number
        on_timeout=_text(asked, "on_timeout", "reject"),
        park=True,
        source=code,
        ordinal=0,
        by=_text(asked, "by", ""),
    )
    with session.recorder.own_imports():
        try:
            row = session.beside.request(wish)
        except ApprovalPending as pending:
            row = session.beside.get(pending.approval_id)
    return document_of(row)


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
    channel = _text(asked, "channel", _CHANNEL)
    if channel == _AGENTS and session.settings.human_only:
        raise UsageError(
            "this session takes answers of people alone; nothing was changed",
            hint="answer in the notebook, or: jupyter flow approve ID",
        )
    if word not in DECISIONS:
        raise UsageError(f"a decision is one of {', '.join(DECISIONS)}, not {word[:40]!r}")
    with session.recorder.own_imports():
        row = session.beside.decide(
            _text(asked, "approval_id"),
            DECISIONS[word],
            by=_text(asked, "by", user_name()),
            channel=channel,
            comment=_text(asked, "comment", ""),
        )
    return document_of(row)


def use(session: Session, asked: Mapping[str, object]) -> dict[str, object]:
    """Act on the answer to a question of one's own: once.

    Returns:
        `used`: True where this call has used it. `approval`: the question.

    Raises:
        UsageError: An argument cannot be used.
        NotFound: There is no such question.
    """
    approval_id = _text(asked, "approval_id")
    with session.recorder.own_imports():
        row = session.beside.use(approval_id, by=_text(asked, "by"))
        known = row or session.beside.get(approval_id)
    return {"used": row is not None, "approval": document_of(known)}


@dataclass(frozen=True, slots=True, kw_only=True)
class MainCell:
    """What the shell knows of the thread that runs the cells.

    Attributes:
        running: The id of the request whose cell runs there now, recorded or not; None while none
            does, or where the shell cannot tell.
        interrupt: Interrupts what runs there.
    """

    running: Callable[[], str | None]
    interrupt: Callable[[], None]


def cancel(session: Session, asked: Mapping[str, object], main: MainCell) -> dict[str, object]:
    """Give up one thing, named by what it is.

    Args:
        session: Whose.
        asked: One of `msg_id`, `approval_id`, `job_id`.
        main: The cell that runs in the main thread.

    Returns:
        `cancelled`: False where it had ended or not begun, and nothing was done. With `unbegun`
        also `withdrawn`: True where it had not begun, and never will.
    """
    named = [key for key in _TARGETS if asked.get(key) is not None]
    if len(named) != 1:
        raise UsageError(f"name one of {', '.join(_TARGETS)}")
    target = _text(asked, named[0])
    if named[0] == "msg_id":
        if asked.get("unbegun") is not True:
            return {"cancelled": _interrupt(session, target, main)}
        is_withdrawn = session.withdrawn.withdraw(target)
        is_meant = is_withdrawn or _interrupt(session, target, main)
        return {"cancelled": is_meant, "withdrawn": is_withdrawn}
    if named[0] == "job_id":
        isolation = session.find_isolation()
        if isolation is None:
            raise NotFound(f"no cell in the background is named {target[:40]!r}")
        return {"cancelled": isolation.background.find(target).cancel()}
    with session.recorder.own_imports():
        row = session.beside.withdraw(target, by=user_name(), channel=_CHANNEL)
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


def _interrupt(session: Session, target: str, main: MainCell) -> bool:
    """Interrupt the cell that is meant: the one after it must not pay for a late wish."""
    is_under_way = not session.recorder.is_over(target)
    is_meant = (is_under_way and main.running() == target) or _recorded(session) == target
    if is_meant:
        main.interrupt()
    return is_meant


def _recorded(session: Session) -> str | None:
    """The request whose cell runs in the main thread, as the recorder knows it."""
    cell = session.recorder.running()
    if cell is None or cell.thread != threading.main_thread().ident:
        return None  # an interrupt reaches no other thread
    return cell.request.msg_id


def _text(
    asked: Mapping[str, object], key: str, default: str | None = None, *, chars: int = _WORD_CHARS
) -> str:
    value = asked.get(key, default)
    if type(value) is not str or (not value and default is None):
        raise UsageError(f"{key} is a text, not {value!r:.60}")
    if key != "comment" and len(value) > chars:
        raise UsageError(f"{key} has at most {chars} characters")
    return value
