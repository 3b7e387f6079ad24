"""What a cell may have broken of its process, mended before the next one.

Used by the kernels of `shell.kernel` and `shell.worker.app` around each cell.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from IPython.core.error import InputRejected

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.shell.overrides.kept_names import KeptNames
from flow_kernel.shell.overrides.patched_functions import KeptModules, PatchedFunctions, keep_clocks
from flow_kernel.shell.streams.broken_streams import BrokenStreams

globals()["__builtins__"] = FROZEN_BUILTINS

_get_ident: Final = threading.get_ident
_OF_THE_CODE: Final = (SyntaxError, IndentationError, TabError, InputRejected, KeyboardInterrupt)


class Repairs:
    """Those of one kernel.

    Args:
        kernel: ipykernel's.
        say: Told what was mended, for the person.
    """

    def __init__(self, kernel: Any, say: Callable[[str], None]) -> None:
        self.streams: BrokenStreams = BrokenStreams(
            kernel._stdout, kernel._stderr, kernel.iopub_thread
        )
        self.names: KeptNames = KeptNames(kernel.shell)
        self._functions = PatchedFunctions()
        self._modules = KeptModules()
        self._say = say
        self._thread = _get_ident()
        threads = (kernel.control_thread, kernel.shell_channel_thread, kernel.iopub_thread)
        keep_clocks(each.io_loop for each in threads if each is not None)

    def begin(self) -> None:
        """A cell begins."""
        if lost := self.names.mend():
            self._say(f"{', '.join(lost)} of IPython had gone from the session; back again")
        if _get_ident() == self._thread:  # what a subshell runs ends nothing of the cell's
            self._functions.put_back()

    def end(self) -> None:
        """A cell has ended, or another request; harmless the second time."""
        if _get_ident() != self._thread:
            return
        self._functions.set_aside()
        if self._modules.mend():
            self._say("sys.modules was emptied, and holds again what it held before")
        if what := self.streams.mend():
            self._say(f"{what}; the kernel's own is in its place")

    def look_at(self, reply: Mapping[str, Any], result: Any) -> None:
        """A cell has failed: what the user has put in the place of Python's may be the reason.

        It is where no traceback could be made, and where the code has not begun to run.

        Args:
            reply: What the client is told.
            result: IPython's.
        """
        error = getattr(result, "error_before_exec", None)
        is_of_the_code = error is None or type(error) in _OF_THE_CODE
        if (not reply.get("traceback") or not is_of_the_code) and self._functions.are_there:
            self.after_failure()

    def after_failure(self) -> None:
        """What is around the cell has failed."""
        if names := self._functions.drop():
            self._say(f"{', '.join(names)} had been replaced, and a cell failed: Python's are back")
