"""How a worker signs and sends: as any kernel; the reply to a cell may carry variables.

Made by `shell.worker.app`. ipykernel has no place for buffers in a reply.

The reply to a job goes on the IOPub channel, in the place of the word that the kernel is idle: it
follows all that the cell has said, and wakes one thread of the session once. One with buffers, and
one to another machine, where that channel may lose what it is given, goes as ipykernel sends it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from jupyter_client.session import Session

from flow_kernel.shell.worker.credit import Credit
from flow_kernel.workers.backlog import MESSAGE_BYTES
from flow_kernel.workers.job import JOB
from flow_kernel.workers.messages import PASSED_ON

_SHOWN: Final = PASSED_ON - {"stream"}
"""What streams say is counted when it is written."""


class LoadedSession(Session):  # type: ignore[misc]  # jupyter_client has no types
    """jupyter_client's session."""

    reply_buffers: Sequence[bytes] = ()
    """Sent with the next reply to a cell, once."""
    holds_replies: bool = False
    """True where the reply to a job waits for the word that the kernel is idle."""
    _held: dict[str, Any] | None = None
    credit: Credit | None = None
    """Of the worker, once it has started."""

    def send(self, stream: Any, msg_or_type: Any, *args: Any, **kwargs: Any) -> Any:
        """Send as jupyter_client does."""
        if msg_or_type == "execute_reply":
            if self.reply_buffers:
                kwargs["buffers"], self.reply_buffers = self.reply_buffers, ()
            elif self.holds_replies and JOB in (kwargs.get("metadata") or ()):
                self._held = self._reply(*args, **kwargs)
                return self._held
        elif self.credit is not None and (buffers := _buffers(msg_or_type, kwargs)):
            self.credit.spend(sum(memoryview(each).nbytes for each in buffers))
        return super().send(stream, msg_or_type, *args, **kwargs)

    def take_reply(self, parent: Any) -> dict[str, Any] | None:
        """The reply to a request that waits; once."""
        held = self._held
        if held is None or held["parent_header"].get("msg_id") != parent["header"].get("msg_id"):
            return None  # of the control channel, or of a subshell
        self._held = None
        return held

    def _reply(
        self, content: Any, parent: Any, ident: Any = None, *, metadata: Any = None
    ) -> dict[str, Any]:
        reply: dict[str, Any] = self.msg(
            "execute_reply", content=content, parent=parent, metadata=metadata
        )
        return reply

    def serialize(self, msg: Any, ident: Any = None) -> Any:
        """Serialise as jupyter_client does; before a display is sent, there has to be room."""
        frames = super().serialize(msg, ident)
        if self.credit is not None and msg["header"]["msg_type"] in _SHOWN:
            self.credit.spend(MESSAGE_BYTES + sum(map(len, frames)))
        return frames


def _buffers(msg_or_type: Any, options: Mapping[str, Any]) -> Sequence[Any]:
    """What goes with a message that is shown, beside its frames."""
    is_whole = isinstance(msg_or_type, dict)
    kind = msg_or_type["header"]["msg_type"] if is_whole else msg_or_type
    if kind not in _SHOWN:
        return ()
    return options.get("buffers") or (msg_or_type.get("buffers") if is_whole else None) or ()
