"""Comms that a worker has opened, as the kernel of the session holds them.

Built by `shell.isolated_outlet` when a `comm_open` passes by. Clients send to the kernel that they
know; it finds these among its own comms, in whichever thread it takes messages, and they go on to
the worker: also while a cell keeps both busy, where the client sends comms over a subshell.
"""

from collections.abc import Callable
from typing import Any

Forward = Callable[[str, str, dict[str, Any]], None]


class RoutedComm:
    """One comm of a worker; has of a comm what ipykernel's manager needs.

    Args:
        comm_id: Of both sides.
        target_name: Of the client's side.
        worker_id: Whose it is.
        forward: Sends a message to that worker.
    """

    def __init__(self, comm_id: str, target_name: str, worker_id: str, forward: Forward) -> None:
        self.comm_id = comm_id
        self.target_name = target_name
        self.worker_id = worker_id
        self._forward = forward

    def handle_msg(self, message: dict[str, Any]) -> None:
        """The client says something."""
        self._forward(self.worker_id, "comm_msg", message)

    def handle_close(self, message: dict[str, Any]) -> None:
        """The client closes it."""
        self._forward(self.worker_id, "comm_close", message)


class RoutedComms:
    """All of one kernel.

    Args:
        manager: The comm manager of ipykernel.
        forward: Sends a message to a worker.
    """

    def __init__(self, manager: Any, forward: Forward) -> None:
        self._manager = manager
        self._forward = forward

    def opened(self, worker_id: str, content: dict[str, Any]) -> None:
        """A worker has opened one."""
        comm_id, target = content.get("comm_id"), content.get("target_name")
        if isinstance(comm_id, str) and isinstance(target, str):
            self._manager.comms[comm_id] = RoutedComm(comm_id, target, worker_id, self._forward)

    def closed(self, content: dict[str, Any]) -> None:
        """A worker has closed one."""
        comm = self._manager.comms.get(content.get("comm_id"))
        if isinstance(comm, RoutedComm):
            self._manager.comms.pop(comm.comm_id, None)

    def of(self, worker_id: str) -> list[str]:
        """What a worker has opened and not closed; they are forgotten."""
        mine = [
            comm.comm_id
            for comm in list(self._manager.comms.values())
            if isinstance(comm, RoutedComm) and comm.worker_id == worker_id
        ]
        for comm_id in mine:
            self._manager.comms.pop(comm_id, None)
        return mine
