"""A job of a worker, what can come of it, and who is told what it says (pure).

Called by `worker`, which drives it, and by `session.isolation`, which waits for it.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, Protocol

from flow_kernel.workers.backlog import Backlog
from flow_kernel.workers.messages import Message
from flow_kernel.workers.processes import Ended

if TYPE_CHECKING:
    from flow_kernel.workers.calls import Called

JOB: Final = "flow_job"
"""Where a request names its job in its metadata, and the reply what came of it."""
KEEP: Final = "flow_keep_request"
"""Asks a worker for a checkpoint of its variables, while no job runs there."""
TORN: Final = (
    "the connection to the worker broke, and its cell ended meanwhile: how is not known; the worker"
    " and its variables live on"
)
_NONCE: Final = "flow_nonce"


class Outlet(Protocol):
    """Where what workers say goes; called in the relay's thread."""

    @property
    def backlog(self) -> Backlog:
        """What was passed on and has not left this process yet."""

    def publish(self, worker_id: str, message: Message) -> None:
        """A message that clients may see."""

    def has_target(self, worker_id: str, target: str) -> None:
        """A worker takes comms that clients open under that name."""

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
    is_wanted: Callable[[], bool]
    """False once nobody waits for the answer any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The cell has ended, and everything that it said was passed on.

    Attributes:
        reply: Content of the execute reply.
        metadata: Of the reply.
        buffers: Of the reply.
        was_lost: True where there was no reply: an interrupt came between the cell and its end.
        was_torn: True where the connection broke: something of what the cell said is missing.
    """

    reply: dict[str, Any]
    metadata: dict[str, Any]
    buffers: Sequence[bytes]
    was_lost: bool = False
    was_torn: bool = False


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
    is_missed: bool = False
    """True once its reply, which does not come, was asked after."""
    is_torn: bool = False
    """True once the connection to its worker broke."""
    output_bytes: int = 0

    @property
    def msg_id(self) -> str:
        """Of the request."""
        return str(self.header["msg_id"])

    def message(self) -> dict[str, Any]:
        """What is sent.

        A cell may have the same code run twice, under its one header: the second message would be
        taken for a repetition of the first by a receiver that remembers signatures.
        """
        return {
            "header": {key: value for key, value in self.header.items() if key != "subshell_id"},
            "parent_header": {},
            "metadata": {**self.metadata, _NONCE: uuid.uuid4().hex},
            "content": self.content,
        }


def end_of(reply: Message, *, was_torn: bool = False) -> Done:
    """The end of a job whose reply is here."""
    return Done(
        reply=reply.content, metadata=reply.metadata, buffers=reply.buffers, was_torn=was_torn
    )


def lost() -> Done:
    """The end of a job whose worker has ended it without a reply."""
    what = "the worker was interrupted beside the code of the cell"
    reply = _error("KeyboardInterrupt", "", f"KeyboardInterrupt: {what}")
    return Done(reply=reply, metadata={}, buffers=(), was_lost=True)


def torn(reply: Message | None) -> Done:
    """The end of a job whose worker could not be reached for a while; None for no reply."""
    if reply is not None:
        return end_of(reply, was_torn=True)
    error = _error("ConnectionResetError", TORN, f"ConnectionResetError: {TORN}")
    return Done(reply=error, metadata={}, buffers=(), was_lost=True, was_torn=True)


def _error(name: str, value: str, shown: str) -> dict[str, Any]:
    return {
        "status": "error",
        "ename": name,
        "evalue": value,
        "traceback": [shown],
        "user_expressions": {},
        "payload": [],
    }
