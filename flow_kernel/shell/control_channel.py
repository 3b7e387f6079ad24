"""Answers `flow_request` on the control channel, also while a cell keeps the main thread busy.

Built by `shell.attach` in the Flow kernel and in a stock ipykernel.

    flow_request {"op": "register"}  ──▶  flow_reply {"ok": true, "data": {…}}
                                          flow_reply {"ok": false, "error": {type, message, hint}}

Only who knows the key of the connection can ask. A request never raises into the kernel.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from flow_kernel._version import __version__
from flow_kernel.errors import FlowError, UsageError
from flow_kernel.session.session import Session

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
        reply = answer(self._session, parent.get("content"))
        self._kernel.session.send(stream, REPLY, reply, parent, ident)


def answer(session: Session, content: Any) -> dict[str, object]:
    """The reply to one request.

    Args:
        session: Who is asked.
        content: `op` and its arguments, from outside: anything.
    """
    try:
        return {"ok": True, "data": _work(content)(session, content)}
    except FlowError as error:
        return _refusal(type(error).__name__, error.message, error.hint)
    except Exception as error:  # noqa: BLE001 - the boundary of the process: a peer gets an answer
        return _refusal(type(error).__name__, str(error)[:300], "")


def _work(content: Any) -> "_Op":
    op = content.get("op") if type(content) is dict else None
    if type(op) is not str or op not in OPS:
        named = f"there is no op {op[:60]!r}" if type(op) is str else "a request names its op"
        raise UsageError(named, hint=f"an op is one of: {', '.join(OPS)}")
    return OPS[op]


def _register(session: Session, _content: Mapping[str, object]) -> dict[str, object]:
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


def _status(session: Session, _content: Mapping[str, object]) -> dict[str, object]:
    place = session.where.now
    return {
        "version": __version__,
        "session": session.identity.session,
        "pid": session.pid,
        "home": str(session.home.root),
        "plan_id": place.plan_id,
        "task_id": place.task_id,
        "step": place.step,
        "recording": not session.recorder.is_paused,
        "events": session.announcer.is_on,
        "seq": session.announcer.seq,
    }


_Op = Callable[[Session, Mapping[str, object]], dict[str, object]]

OPS: Final[dict[str, _Op]] = {
    "register": _register,
    "status": _status,
}
"""What can be asked for, and who answers."""


def _refusal(kind: str, message: str, hint: str) -> dict[str, object]:
    return {"ok": False, "error": {"type": kind, "message": message, "hint": hint}}
