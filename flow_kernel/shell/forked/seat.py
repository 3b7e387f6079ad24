"""What stands for the kernel in a copy of a terminal IPython, which has none.

Built by `shell.forked_life`; used by `shell.worker.calls`.
"""

from collections.abc import Mapping
from typing import Any

from jupyter_client.session import Session


class TerminalSeat:
    """As much of a kernel as a call to the session needs.

    Args:
        key: That messages are signed with.
        header: Of the request that runs.
    """

    def __init__(self, key: bytes, header: Mapping[str, Any]) -> None:
        self.session: Any = Session(key=key)
        self.iopub_socket: Any = None
        self.stdin_socket: Any = None
        self._parent = {"header": dict(header)}

    def get_parent(self, _channel: str) -> dict[str, Any]:
        """The request that runs."""
        return self._parent

    def _topic(self, topic: str) -> bytes:
        return topic.encode()
