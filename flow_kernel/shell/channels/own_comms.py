"""Comms of ours are heard while a cell keeps the main thread.

Used by the kernel of `shell.kernel`; `shell.panel.wire` brings its widgets in and takes them out.

A front end that knows no subshells (VS Code) sends what a button says to the main shell, where it
waits for the end of the cell that waits for the button. From 7.4 on, ipykernel sends what others
say there as well: to whichever shell has used the comm last. What is for a comm of ours is taken
out in the thread that reads the shell channel, and its callback is called right there: it sets an
event, puts something into a queue or writes an answer into the store, and never runs a user's code.
So a press makes no kernel busy, and no event of IPython goes off.

All other messages go their way, and while there is no comm of ours none is looked at. Proven for
ipykernel 7.0 to 7.4; where the reading has another shape, the comms are heard as ipykernel does it.
"""

import inspect
import logging
from collections.abc import Sequence
from typing import Any, Final, Protocol

from ipykernel.ipkernel import IPythonKernel
from jupyter_client.session import DELIM, Session

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.quick_turns import QuickTurns

globals()["__builtins__"] = FROZEN_BUILTINS

_COMM: Final = b"comm_"
_log: Final = logging.getLogger(__name__)


class OwnComm(Protocol):
    """One comm; ipykernel's manager holds it as well, and needs the same of it."""

    comm_id: str
    target_name: str

    def handle_msg(self, message: dict[str, Any]) -> None:
        """The front end says something."""

    def handle_close(self, message: dict[str, Any]) -> None:
        """The front end closes it."""

    def close(self) -> None:
        """Close it from here."""


class OwnComms:
    """Those of one attachment; safe with several threads.

    Args:
        kernel: Of ipykernel.
        turns: Held by a comm while what it has heard is handled.
    """

    def __init__(self, kernel: Any, turns: QuickTurns) -> None:
        self._kernel = kernel
        self.turns: QuickTurns = turns
        self._comms: dict[str, OwnComm] = {}

    @property
    def is_heard_at_once(self) -> bool:
        """True where a press reaches us also while a cell keeps the main thread."""
        return _IS_USABLE and isinstance(self._kernel, OwnCommsKernel)

    def add(self, comm: OwnComm) -> None:
        """Hear what is for this one from now on."""
        self._comms[comm.comm_id] = comm
        self._kernel.comm_manager.comms[comm.comm_id] = comm

    def remove(self, comm_id: str) -> None:
        """Hear it no longer; harmless the second time."""
        self._comms.pop(comm_id, None)
        self._kernel.comm_manager.comms.pop(comm_id, None)

    def close(self) -> None:
        """Close all that are there."""
        for comm in list(self._comms.values()):
            comm.close()

    def takes(self, frames: Sequence[Any]) -> bool:
        """Call back for a message that is for one of ours.

        Args:
            frames: Of ZeroMQ, as they came.

        Returns:
            False for every other one: nothing has happened to it.
        """
        if not self._comms or not _may_be_of_a_comm(frames):
            return False
        session = self._kernel.session
        try:
            _, parts = session.feed_identities(frames, copy=False)
            # Without its content a signature is looked at and not remembered: it may be another's.
            peeked = session.deserialize(parts, content=False, copy=False)
            kind = peeked["header"]["msg_type"]
            comm = self._comms.get(session.unpack(peeked["content"]).get("comm_id"))
            if comm is None or kind not in ("comm_msg", "comm_close"):
                return False
            message = session.deserialize(parts, copy=False)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            return False  # ipykernel says what is wrong with it
        try:
            (comm.handle_msg if kind == "comm_msg" else comm.handle_close)(message)
        except Exception:  # noqa: BLE001 - logged as ipykernel does; the channel goes on
            _log.exception("what a panel was told was not handled")
        return True


def _may_be_of_a_comm(frames: Sequence[Any]) -> bool:
    for number, frame in enumerate(frames):
        if frame.bytes == DELIM:
            return len(frames) > number + 2 and _COMM in frames[number + 2].bytes
    return False


def is_usable() -> bool:
    """True where ipykernel reads the shell channel as we know it."""
    try:
        reads = IPythonKernel.shell_channel_thread_main
        return (
            inspect.iscoroutinefunction(reads)
            and [*inspect.signature(reads).parameters] == ["self", "msg"]
            and _takes(Session.feed_identities, "msg_list", "copy")
            and _takes(Session.deserialize, "msg_list", "content", "copy")
        )
    except (AttributeError, TypeError, ValueError):
        return False


def _takes(method: Any, *names: str) -> bool:
    return [*inspect.signature(method).parameters] == ["self", *names]


_IS_USABLE: Final = is_usable()


class OwnCommsKernel(IPythonKernel):  # type: ignore[misc]  # ipykernel has no types
    """A kernel that hears comms of ours in the thread of the shell channel."""

    own_comms: OwnComms | None = None

    def shell_channel_thread_main(self, msg: Sequence[Any]) -> Any:
        """Pass a request on, unless it is for us; called in the thread of the shell channel."""
        comms = self.own_comms
        if comms is not None and _IS_USABLE and comms.takes(msg):
            return None
        return super().shell_channel_thread_main(msg)
