"""Answers `flow_request` on the control channel, also while a cell keeps the main thread busy.

Built by `shell.attach` in the Flow kernel and in a stock ipykernel; asked by `apps.control_client`.

    flow_request {"op": "status"}  ──▶  flow_reply {"ok": true, "data": {…}}
                                        flow_reply {"ok": false, "error": {type, message, hint}}

    register     nonce and key of the events, which are on from then
    status       task, running cell, open questions, workers         `session.inquiries`
    history      records since a number                              `session.inquiries`
    variables    what the last records say of each                   `session.inquiries`
    record       the record that one request has left                `session.inquiries`
    ask          a question that nobody waits for                    `session.orders`
    approve      the answer to a question                            `session.orders`
    use          the answer to a question of one's own               `session.orders`
    cancel       the running cell, a question, a cell apart          `session.orders`
    interrupt    what a worker does                                  `session.orders`

Beside its own arguments a request may say who makes it and with which tool of theirs (`actor`,
`tool`): the log tells who has looked at what. Only who knows the key of the connection can ask. A
request never raises into the kernel, and none waits for what a cell holds.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, Final

from flow_kernel.errors import FlowError, UsageError
from flow_kernel.records.plain import one_line
from flow_kernel.session.session import Session
from flow_kernel.shell.channels.quick_answers import answered
from flow_kernel.shell.channels.request_marks import ACTOR_CHARS

REQUEST: Final = "flow_request"
REPLY: Final = "flow_reply"


class ControlChannel:
    """The handler of a kernel for requests of ours."""

    def __init__(self, kernel: Any, session: Session) -> None:
        self._kernel = kernel
        self._session = session

    def install(self) -> None:
        """Begin to answer."""
        self._kernel.control_handlers[REQUEST] = self._handle

    def remove(self) -> None:
        """Leave the kernel as it was."""
        self._kernel.control_handlers.pop(REQUEST, None)

    def _handle(self, stream: Any, ident: Any, parent: Any) -> None:
        content = parent.get("content")
        reply = answer(self._session, content, self._kernel)
        self._kernel.session.send(stream, REPLY, reply, parent, ident)


def answer(session: Session, content: Any, kernel: Any) -> dict[str, object]:
    """The reply to one request.

    Args:
        session: Who is asked.
        content: `op` and its arguments, from outside: anything.
        kernel: Runs its cells.
    """
    try:
        return {"ok": True, "data": _data(session, content, kernel)}
    except FlowError as error:
        return _refusal(type(error).__name__, error.message, error.hint)
    except Exception as error:  # noqa: BLE001 - the boundary of the process: a peer gets an answer
        return _refusal(type(error).__name__, str(error)[:300], "")


def _data(session: Session, content: Any, kernel: Any) -> dict[str, object]:
    op = content.get("op") if type(content) is dict else None
    if type(op) is not str or op not in OPS:
        named = f"there is no op {op[:60]!r}" if type(op) is str else "a request names its op"
        raise UsageError(named, hint=f"an op is one of: {', '.join(OPS)}")
    _note(session, content)
    with answered(session.turns) if op in _ORDERS else nullcontext():
        return OPS[op](session, content, kernel)


def _note(session: Session, content: Mapping[str, object]) -> None:
    """Have the log say who looks, where they say it."""
    actor, tool = content.get("actor"), content.get("tool")
    if type(actor) is str and type(tool) is str:
        session.recorder.asked(one_line(actor, ACTOR_CHARS), one_line(tool, ACTOR_CHARS))


def _register(session: Session, _content: Mapping[str, object], _kernel: Any) -> dict[str, object]:
    given = session.announcer.register()
    place = session.where.now
    return {
        "session": given.session,
        "nonce": given.nonce,
        "key": given.key,
        "seq": given.seq,
        "events": given.is_on,
        "reason": given.reason or None,
        "home": str(session.home.root),
        "plan_id": place.plan_id,
        "task_id": place.task_id,
    }


_Op = Callable[[Session, Mapping[str, object], Any], dict[str, object]]


def _inquiry(name: str) -> _Op:
    def work(session: Session, content: Mapping[str, object], _kernel: Any) -> dict[str, object]:
        with session.recorder.own_imports():  # what it loads is no import of the cell
            from flow_kernel.session import inquiries  # a starting kernel need not pay for it
        answered: dict[str, object] = getattr(inquiries, name)(session, content)
        return answered

    return work


def _order(name: str) -> _Op:
    def work(session: Session, content: Mapping[str, object], kernel: Any) -> dict[str, object]:
        with session.recorder.own_imports():
            from flow_kernel.session import orders  # as above
        more: list[object] = []
        if name == "cancel":
            interrupt = kernel._send_interrupt_children
            more = [orders.MainCell(running=lambda: running_request(kernel), interrupt=interrupt)]
        answered: dict[str, object] = getattr(orders, name)(session, content, *more)
        return answered

    return work


OPS: Final[dict[str, _Op]] = {
    "register": _register,
    "status": _inquiry("status"),
    "history": _inquiry("history"),
    "variables": _inquiry("variables"),
    "record": _inquiry("record"),
    "ask": _order("ask"),
    "approve": _order("approve"),
    "use": _order("use"),
    "cancel": _order("cancel"),
    "interrupt": _order("interrupt_worker"),
}
"""What can be asked for, and who answers."""
_ORDERS: Final = frozenset({"ask", "approve", "use", "cancel", "interrupt"})
"""After which something goes on, or somebody."""


def running_request(kernel: Any) -> str | None:
    """The id of the request whose cell the main thread runs now; None where nobody can tell."""
    lock = getattr(kernel, "_main_asyncio_lock", None)
    if lock is None or not lock.locked():
        return None
    header = kernel.get_parent("shell").get("header") or {}
    is_cell = header.get("msg_type") == "execute_request" and header.get("subshell_id") is None
    # What was asked for last stays there: it is of this run only while it is not answered.
    return header.get("msg_id") if is_cell and lock.locked() else None


def _refusal(kind: str, message: str, hint: str) -> dict[str, object]:
    return {"ok": False, "error": {"type": kind, "message": message, "hint": hint}}
