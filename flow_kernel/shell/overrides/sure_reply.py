"""A request to run a cell is answered, whatever is raised around the cell.

Used by the kernels of `shell.kernel` and `shell.worker.app`.

ipykernel expects no error from IPython's side of a cell. When there is one (a transformer that
raises SystemExit, a builtin that a cell has patched and IPython calls, a cell that cancels all
tasks), it sends no reply and the client waits for ever, or the kernel ends. Here the cell has
failed with that error.

Proven for ipykernel 7.0 to 7.4; nothing of it is replaced but what is made for that.
"""

from collections.abc import Callable
from contextlib import suppress
from traceback import format_tb
from typing import Any, Final

from ipykernel.ipkernel import IPythonKernel

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.shell.channels.packed_text import pack_all
from flow_kernel.shell.channels.short_digests import shorten_digests
from flow_kernel.shell.overrides.lasting_loop import keep_running
from flow_kernel.shell.overrides.patched_functions import keep_clocks
from flow_kernel.shell.overrides.repairs import Repairs

globals()["__builtins__"] = FROZEN_BUILTINS

_FRAMES: Final = -20


class AnsweringKernel(IPythonKernel):  # type: ignore[misc]  # ipykernel has no types
    """A kernel that has a reply for each request to run a cell."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.repairs: Repairs = Repairs(self, self.say)
        pack_all(self.session)
        shorten_digests(self.session)

    def start(self) -> None:
        """Begin to handle requests."""
        super().start()
        keep_clocks([self.io_loop])
        keep_running(self)

    def answered(self) -> "Answer":
        """What there is to reply after the block, whatever was raised in it."""
        return Answer(self)

    def post_handler_hook(self) -> None:
        """A request of whatever kind was handled."""
        self.repairs.end()
        super().post_handler_hook()

    def say(self, text: str) -> None:
        """Tell the person something about the cell."""
        self._stderr.write(f"flow: {text}\n")


class Answer:
    """The reply to one request. A block, and no function around the cell, which has its depth."""

    __slots__ = ("_kernel", "reply")

    def __init__(self, kernel: AnsweringKernel) -> None:
        self._kernel = kernel
        self.reply: Any = None

    def __enter__(self) -> "Answer":
        self._kernel.repairs.begin()
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _where: object) -> bool:
        kernel, repairs = self._kernel, self._kernel.repairs
        if error is not None:
            repairs.after_failure()
            self.reply = failed_reply(kernel, error)
        elif self.reply.get("status") == "error":
            repairs.look_at(self.reply, getattr(kernel.shell, "last_execution_result", None))
        repairs.end()
        return True

    def give_after(self, interrupt: KeyboardInterrupt) -> None:
        """One more came, behind the cell or as its failure was shown."""
        if self.reply is None:
            self.reply = failed_reply(self._kernel, interrupt)


def failed_reply(kernel: Any, error: BaseException) -> dict[str, Any]:
    """The reply to a request whose cell `error` has ended from outside; shows it as well."""
    shell = kernel.shell
    name, text = type(error).__name__, _call(lambda: str(error)) or ""
    shell._last_traceback = None
    _call(lambda: shell.showtraceback((type(error), error, error.__traceback__)))
    lines = shell._last_traceback
    if not lines:  # what has failed may be what shows errors
        lines = [*(_call(lambda: format_tb(error.__traceback__, _FRAMES)) or ()), f"{name}: {text}"]
    _call(shell.payload_manager.clear_payload)
    return {
        "status": "error",
        "ename": name,
        "evalue": text,
        "traceback": lines,
        "execution_count": shell.execution_count - 1,
        "user_expressions": {},
        "payload": [],
    }


def _call(work: Callable[[], Any]) -> Any:
    with suppress(BaseException):  # code of a user's class, or what a cell has patched
        return work()
    return None
