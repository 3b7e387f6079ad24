"""Where workers of the pool that run steps say what they say.

Built by `kernel_runs`; called in the relay's thread, and passes on to the loop.

    bytes of descriptors 1 and 2    the step's stdout and stderr
    text of a stream                likewise: native code of the kernel, a handler made before
    what is displayed               the hook of the executor
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from flow_kernel.workers.backlog import LIMIT_BYTES, Backlog
from flow_kernel.workers.messages import Message
from flow_kernel.workers.steps.running import Running

Display = Callable[[Mapping[str, Any]], object]
_DISPLAYS: Final = ("display_data", "update_display_data", "execute_result")
_STDOUT: Final = "stdout"


class StepOutlet:
    """See the module.

    Args:
        loop: Where steps are waited for.
        on_display: Takes what scripts display.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, on_display: Display) -> None:
        self._loop = loop
        self._on_display = on_display
        self._running: dict[str, Running] = {}
        self._backlog = _Waiting()

    @property
    def backlog(self) -> Backlog:
        """What the loop has not taken yet: no pipe is read while that is much."""
        return self._backlog

    def listen(self, worker_id: str, running: Running) -> None:
        """What a worker says is said by that step; in the loop."""
        self._running[worker_id] = running

    def forget(self, worker_id: str) -> None:
        """Its step is over."""
        self._running.pop(worker_id, None)

    def publish(self, worker_id: str, message: Message) -> None:
        """A message that clients of a kernel would see."""
        content = message.content
        if message.kind == "stream":
            text = str(content.get("text", "")).encode("utf-8", "surrogateescape")
            self._pass_on(worker_id, str(content.get("name")), text)
        elif message.kind in _DISPLAYS:
            self._soon(partial(self._on_display, content))

    def text(self, worker_id: str, parent: Mapping[str, Any], name: str, data: bytes) -> None:
        """Bytes that were written to a descriptor."""
        self._pass_on(worker_id, name, data)

    def has_target(self, worker_id: str, target: str) -> None:
        """Nobody opens comms here."""

    def died(self, worker_id: str) -> None:
        """Whoever runs the step hears it from the pool."""

    def idle(self, worker_id: str, msg_id: str | None) -> None:
        """Nothing but the step was asked of it."""

    # -- inside ------------------------------------------------------------------------------------

    def _pass_on(self, worker_id: str, name: str, data: bytes) -> None:
        self._backlog.nbytes += len(data)
        self._soon(partial(self._take, worker_id, name, data))

    def _take(self, worker_id: str, name: str, data: bytes) -> None:
        self._backlog.nbytes -= len(data)
        running = self._running.get(worker_id)
        if running is not None:
            (running.hear_out if name == _STDOUT else running.hear_err)(data)

    def _soon(self, call: Callable[[], object]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)


class _Waiting(Backlog):
    """What waits for the loop; nothing of it goes to a socket."""

    def __init__(self) -> None:
        super().__init__()
        self.nbytes = 0

    @property
    def is_full(self) -> bool:
        """True while nobody should add to it."""
        return self.nbytes > LIMIT_BYTES

    def look(self) -> None:
        """The loop counts for itself."""
