"""A job of a worker, what can come of it, and who is told what it says (pure).

Called by `worker`, which drives it, and by `session.isolation`, which waits for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from flow_kernel.workers.messages import Message
from flow_kernel.workers.processes import Ended

if TYPE_CHECKING:
    from flow_kernel.workers.calls import Called


class Outlet(Protocol):
    """Where what workers say goes; called in the relay's thread."""

    def publish(self, worker_id: str, message: Message) -> None:
        """A message that clients may see."""

    def died(self, worker_id: str) -> None:
        """A worker is gone."""

    def idle(self, worker_id: str, msg_id: str | None) -> None:
        """A worker is done with a request that is no job; with all of them where none is named."""

    def text(self, worker_id: str, parent: Mapping[str, Any], name: str, data: bytes) -> None:
        """Bytes that native code or a subprocess wrote to stdout or stderr."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputWanted:
    """The cell calls `input()`."""

    prompt: str
    is_password: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The cell has ended, and everything that it said was passed on.

    Attributes:
        reply: Content of the execute reply.
        metadata: Of the reply.
        buffers: Of the reply.
    """

    reply: dict[str, Any]
    metadata: dict[str, Any]
    buffers: Sequence[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Died:
    """The worker is gone, and everything that it said was passed on.

    Attributes:
        ended: How.
        fault: The stacks at a fatal signal; empty where there was none.
        last_output: The end of what it said.
    """

    ended: Ended
    fault: str
    last_output: str


@dataclass(slots=True, kw_only=True)
class Job:
    """One request to a worker.

    Attributes:
        header: Of the request of the client: what comes of it belongs to that request.
        content: Of the execute request.
        metadata: Of the execute request.
        happened: What its sender has to react to; None for no more than a look.
    """

    header: dict[str, Any]
    content: dict[str, Any]
    metadata: dict[str, Any] = field(default_factory=dict)
    buffers: Sequence[bytes] = ()
    happened: "SimpleQueue[InputWanted | Called | Done | Died | None]" = field(
        default_factory=SimpleQueue
    )
    reply: Message | None = None
    is_idle: bool = False
    output_bytes: int = 0

    @property
    def msg_id(self) -> str:
        """Of the request."""
        return str(self.header["msg_id"])
