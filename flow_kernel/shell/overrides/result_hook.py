"""Results of cells that run at once, each under its own request.

Used by the shell of `shell.flow_shell`, which publishes results through it.

ipykernel has one display hook for all subshells and builds the message of a result in it: of two
cells that end at once one result is sent twice and the other is lost, or a cell fails that did not.
Here each thread has its own message and its own result; and what was printed before a result is
kept before it, see `kept_prints`. Proven for ipykernel 7.0 to 7.4 and IPython
9.x; where the hook looks otherwise, that of ipykernel is used as it is.
"""

import sys
from typing import Any

from ipykernel.displayhook import ZMQShellDisplayHook
from IPython.core.displayhook import DisplayHook

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.shell.overrides.kept_prints import send_now
from flow_kernel.shell.overrides.sections import SectionsOnce
from flow_kernel.shell.streams.flushed_streams import FlushingDisplayHook

globals()["__builtins__"] = FROZEN_BUILTINS


class ResultHook(SectionsOnce, FlushingDisplayHook):
    """ipykernel's display hook, with what belongs to one result kept by thread."""

    def start_displayhook(self) -> None:
        """A result is about to be shown."""
        send_now(sys.stdout)
        super().start_displayhook()

    @property
    def msg(self) -> Any:
        """The message of the result that this thread shows; None between two."""
        return getattr(self._thread_local, "msg", None)

    @msg.setter
    def msg(self, message: Any) -> None:
        self._thread_local.msg = message

    @property
    def exec_result(self) -> Any:
        """What IPython returns for the cell that this thread runs."""
        return getattr(self._thread_local, "exec_result", None)

    @exec_result.setter
    def exec_result(self, result: Any) -> None:
        self._thread_local.exec_result = result


# The names that libraries see are those of ipykernel.
ResultHook.__name__ = ResultHook.__qualname__ = ZMQShellDisplayHook.__name__
ResultHook.__module__ = ZMQShellDisplayHook.__module__


def is_usable() -> bool:
    """The hooks of ipykernel and IPython keep a result where it is looked for here."""
    makes = ZMQShellDisplayHook.start_displayhook.__code__.co_names
    fills = DisplayHook.fill_exec_result.__code__.co_names
    return "msg" in makes and "exec_result" in fills and hasattr(ZMQShellDisplayHook, "_hooks")


def result_hook() -> type[ZMQShellDisplayHook]:
    """The class of a shell's display hook."""
    return ResultHook if is_usable() else ZMQShellDisplayHook
