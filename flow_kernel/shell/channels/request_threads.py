"""Whether the thread that runs a cell is one whose cells are answered, and which request it is.

Used by `shell.attach` as a cell begins. A thread of the user's that runs cells (`run_cell` of the
shell) has the request of another thread, and no reply of its own.
"""

import threading
from typing import Any, Final

from ipykernel.subshell import SubshellThread

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_get_ident: Final = threading.get_ident
_threads: Final[dict[int, Any]] = threading._active  # type: ignore[attr-defined]  # no call of a user's class


class RequestThreads:
    """The threads that run what clients ask for: that of the main shell, and those of subshells.

    Args:
        kernel: Runs the cells; None outside a kernel, where nothing is answered.
    """

    def __init__(self, kernel: Any | None) -> None:
        self._kernel = kernel
        # Where a kernel is made or an extension is loaded, whichever thread a program chose.
        self._of_main = (_get_ident(), threading.main_thread().ident)

    def request_id(self) -> str | None:
        """The request that causes what this thread does, as the kernel tells it."""
        if self._kernel is None:
            return None
        header = self._kernel.get_parent("shell").get("header") or {}
        msg_id = header.get("msg_id")
        return msg_id if type(msg_id) is str else None

    def are_answered(self) -> bool:
        """True where the cells of this thread are; outside a kernel nobody waits for that."""
        here = _get_ident()
        if self._kernel is None or here in self._of_main:
            return True
        return isinstance(_threads.get(here), SubshellThread)
