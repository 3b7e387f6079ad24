"""The way from the code of a cell in a worker to its session, and back.

Made by `shell.worker.app`; called by `shell.worker.session` and `shell.worker.magics`.

How a call travels, and why it is answered exactly once: see `workers.calls`.
"""

import os
import sys
import threading
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from flow_kernel.errors import NotFound
from flow_kernel.records.interrupts import NotedInterrupts
from flow_kernel.shell.worker.call_wire import call_text, value_of, wishes_of
from flow_kernel.workers.calls import KIND

if TYPE_CHECKING:
    from collections.abc import Callable

    from flow_kernel.session.checkpoints.errands import Wish

# An interrupt is noticed between two slices; an answer at once.
_SLICE_MS: Final = 20
_GIVING_UP_S: Final = 5.0


class WorkerCalls:
    """See the module.

    Args:
        kernel: Of the worker.
    """

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._thread: int | None = None
        self._pid = os.getpid()
        self._parent: Any = None
        self._count = 0
        self._is_calling = False
        self.on_wishes: Callable[[list[Wish]], None] = lambda _: None
        """Takes the checkpoints that the session wants before what was called for goes on."""

    def open(self) -> None:
        """A cell of the session begins in this thread: it may call."""
        self._thread = threading.get_ident()
        self._parent = self._kernel.get_parent("shell")

    def close(self) -> None:
        """It has ended."""
        self._thread = self._parent = None

    def __call__(self, op: str, **args: object) -> object:
        """Have the session do something, and wait for it.

        Args:
            op: What; see `shell.isolated.calls`.
            args: JSON, by name.

        Returns:
            JSON, or what the session shows.

        Raises:
            NotFound: Nothing can be called from here.
            UsageError: An argument is not JSON.
            BaseException: What the session raised.
        """
        self._check()
        text = call_text(op, args)
        self._count += 1
        call_id = str(self._count)
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # a cell may have put anything there
                stream.flush()
        self._is_calling = True
        try:
            with NotedInterrupts() as held:
                answer = self._answered(call_id, text, held)
            held.pass_on()
        finally:
            self._is_calling = False
        if wishes := wishes_of(answer):
            self.on_wishes(wishes)
        return value_of(answer)

    # -- inside ------------------------------------------------------------------------------------

    def _check(self) -> None:
        if os.getpid() != self._pid:
            raise NotFound(
                "a forked process cannot call the session",
                hint="hand the value to the process that runs the cell",
            )
        if self._thread is None:
            raise NotFound(
                "no cell of the session runs in this worker now, and nothing else can call it",
                hint="call it in a cell",
            )
        if self._thread != threading.get_ident():
            raise NotFound(
                "only the thread that runs the cell can call the session",
                hint="hand the value to that thread, e.g. in a queue",
            )
        if self._is_calling:  # a finaliser, or a handler of a signal
            raise NotFound(
                "the session is at work on another call of this cell",
                hint="call it when that has returned",
            )

    def _answered(self, call_id: str, text: str, held: NotedInterrupts) -> str:
        self._tell({"id": call_id, "call": text})
        try:
            while (answer := self._answer(call_id)) is None:
                held.pass_on()
        except BaseException:
            self._give_up(call_id)
            raise
        return answer

    def _tell(self, content: dict[str, object]) -> None:
        kernel = self._kernel
        kernel.session.send(
            kernel.iopub_socket, KIND, content, self._parent, ident=kernel._topic(KIND)
        )

    def _answer(self, call_id: str) -> str | None:
        """The answer, if it comes within a slice; what belongs to nothing any more is dropped."""
        kernel = self._kernel
        if not kernel.stdin_socket.poll(_SLICE_MS):
            return None
        try:
            _, message = kernel.session.recv(kernel.stdin_socket)
        except (ValueError, TypeError, KeyError):  # none of our session's
            return None
        content = message["content"] if message else {}
        return str(content.get("value", "")) if content.get(KIND) == call_id else None

    def _give_up(self, call_id: str) -> None:
        """Nobody waits for the answer any more: take it away, so that no `input()` gets it."""
        self._tell({"id": call_id, "call": None})
        deadline_s = monotonic() + _GIVING_UP_S
        while self._answer(call_id) is None and monotonic() < deadline_s:
            pass
