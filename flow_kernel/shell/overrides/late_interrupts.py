"""An interrupt that misses its cell loses no reply.

Used by the kernel of `shell.kernel`.

ipykernel raises KeyboardInterrupt from the moment when it takes up a request until the request is
handled. A stop button that is pressed as a short cell ends, or just before one begins, so hits what
publishes the source or sends the reply: there is no reply, and the client waits for ever. Here

    before the cell         it is noted, and the cell is answered as interrupted
    in the cell             KeyboardInterrupt, as ever
    between cell and reply  it has nothing to stop

A handler of the user's for the signal stays the user's, and in the cell Python's own is the one
that is set. Proven for ipykernel 7.0 to 7.4; it adds to the two hooks around a request.
"""

import signal
import threading
from contextlib import suppress
from importlib import import_module
from types import FrameType
from typing import Any, Final

from ipykernel.ipkernel import IPythonKernel
from ipykernel.jsonutil import json_clean

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.shell.overrides.sure_reply import failed_reply

globals()["__builtins__"] = FROZEN_BUILTINS

_SIGINT: Final = signal.SIGINT
_RAISES: Final = signal.default_int_handler
# The functions of C: those of `signal` ask what a cell may have patched.
_get_handler: Final[Any] = import_module("_signal").getsignal
_set_handler: Final[Any] = import_module("_signal").signal
_thread: Final = threading.current_thread
_main: Final = threading.main_thread


class LateInterruptsKernel(IPythonKernel):  # type: ignore[misc]  # ipykernel has no types
    """A kernel whose replies no interrupt takes away."""

    _unanswered: Any = None
    """The request whose cell can be interrupted in the main thread, until that is over."""
    _noter: Any = None
    """The handler while an interrupt is noted."""
    _is_noted: bool = False

    def pre_handler_hook(self) -> None:
        """A request is about to be handled."""
        request = self.get_parent("shell") if _thread() is _main() else None
        if request and request.get("msg_type") == "execute_request":
            self._unanswered, self._is_noted, self._noter = None, False, self._note
            self.saved_sigint_handler: Any = _set_handler(_SIGINT, self._noter)
        else:
            super().pre_handler_hook()

    def hear_interrupts(self) -> None:
        """From here on there is something to interrupt.

        Raises:
            KeyboardInterrupt: There was an interrupt before.
        """
        if _thread() is not _main():
            return
        self._unanswered = self.get_parent("shell")
        handler = _get_handler(_SIGINT)
        if handler is self._noter or handler is _too_late:  # else it is the user's
            _set_handler(_SIGINT, _RAISES)
        is_noted, self._is_noted = self._is_noted, False
        if is_noted:
            raise KeyboardInterrupt

    def hear_no_interrupt(self) -> None:
        """The cell is over: from here to its reply there is nothing to interrupt."""
        if _thread() is _main():
            if _get_handler(_SIGINT) is _RAISES:
                _set_handler(_SIGINT, _too_late)
            self._unanswered = None

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._is_noted = True

    def post_handler_hook(self) -> None:
        """A request of whatever kind was handled."""
        try:
            super().post_handler_hook()
        finally:
            if _thread() is _main():
                request, self._unanswered = self._unanswered, None
                if request and request.get("msg_type") == "execute_request":
                    with suppress(Exception):  # as ipykernel: one that cannot be answered is none
                        self._answer_interrupted(request)

    def _answer_interrupted(self, request: Any) -> None:
        content = request["content"]
        reply = json_clean(failed_reply(self, KeyboardInterrupt()))
        manager = self.shell_channel_thread.manager if self._supports_kernel_subshells else None
        way = (
            self.shell_stream
            if manager is None
            else manager.get_subshell_to_shell_channel_socket(None)
        )
        metadata = self.finish_metadata(request, self.init_metadata(request), reply)
        ident = self._get_shell_context_var(self._shell_parent_ident)
        self.session.send(way, "execute_reply", reply, request, metadata=metadata, ident=ident)
        if not content.get("silent", False) and content.get("stop_on_error", True):
            self._abort_queues(None)


def _too_late(_number: int, _frame: FrameType | None) -> None:
    """An interrupt that has nothing to stop."""
