"""The session of this process, for code that runs inside a notebook.

Called by users as `flow_kernel.current_session()`; set by `shell` when it attaches and detaches,
and in each worker.
"""

from typing import TYPE_CHECKING, Any

from flow_kernel.errors import NotFound

if TYPE_CHECKING:
    from flow_kernel.session.session import Session

_current: "list[Any]" = []


def current_session() -> "Session":
    """The session that records this process.

    Raises:
        NotFound: Neither the Flow kernel nor the extension is active here.
    """
    if not _current:
        raise NotFound(
            "no flow session in this process",
            hint="choose the kernel Flow (Python 3), or run %load_ext flow_kernel",
        )
    session: Session = _current[-1]
    return session


def enter(session: object) -> None:
    """Make `session` the current one: a session, or what stands for it in a worker."""
    _current.append(session)


def leave(session: object) -> None:
    """Undo `enter`."""
    if session in _current:
        _current.remove(session)
