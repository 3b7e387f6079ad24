"""A request for the main shell is passed on unread.

Used by the kernels of `shell.kernel` and `shell.worker.app`.

The thread that reads the shell channel looks into each request for the subshell that it is for:
it proves the signature and decodes header, parent and metadata, and the thread that runs the
request does all of it again. Most requests name no subshell, which is seen in the bytes of the
header; they are proved where they are run. The others, comms among them, go the way of ipykernel,
and while one of them is on it nothing passes it.

Proven for ipykernel 7.0 to 7.4, and its own way where that has another shape; a kernel without that
thread never calls it.
"""

import inspect
import re
from collections.abc import Sequence
from typing import Any, Final

from ipykernel.ipkernel import IPythonKernel
from ipykernel.subshell_manager import SubshellManager
from jupyter_client.session import DELIM

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_NAMES_SHELL: Final = b"subshell_id"
_NAMES_NONE: Final = re.compile(rb'"subshell_id"\s*:\s*null\b')
_COMM: Final = b"comm_"


def is_usable() -> bool:
    """True where ipykernel passes a request on as we know it."""
    try:
        reads = IPythonKernel.shell_channel_thread_main
        finds = SubshellManager.get_shell_channel_to_subshell_socket
        return (
            inspect.iscoroutinefunction(reads)
            and [*inspect.signature(reads).parameters] == ["self", "msg"]
            and [*inspect.signature(finds).parameters] == ["self", "subshell_id"]
        )
    except (AttributeError, TypeError, ValueError):
        return False


_IS_USABLE: Final = is_usable()


class QuickDispatchKernel(IPythonKernel):  # type: ignore[misc]  # ipykernel has no types
    """A kernel whose requests for the main shell are read once."""

    _on_the_slow_way = 0

    def shell_channel_thread_main(self, msg: Sequence[Any]) -> Any:
        """Pass a request on; called in the thread of the shell channel, with its frames."""
        if _IS_USABLE and self._on_the_slow_way == 0 and is_for_main(msg):
            manager = self.shell_channel_thread.manager
            manager.get_shell_channel_to_subshell_socket(None).send_multipart(msg, copy=False)
            return None
        if not _IS_USABLE:
            return super().shell_channel_thread_main(msg)
        self._on_the_slow_way += 1
        return self._read_and_pass_on(msg)

    async def _read_and_pass_on(self, msg: Sequence[Any]) -> None:
        try:
            await super().shell_channel_thread_main(msg)
        finally:
            self._on_the_slow_way -= 1


def is_for_main(frames: Sequence[Any]) -> bool:
    """True where the header says so for certain (pure).

    Args:
        frames: Of ZeroMQ.
    """
    for number, frame in enumerate(frames):
        if frame.bytes == DELIM:
            if len(frames) < number + 6:
                return False
            header = frames[number + 2].bytes
            if b"\\" in header or _COMM in header:
                return False
            return _NAMES_SHELL not in header or _NAMES_NONE.search(header) is not None
    return False
