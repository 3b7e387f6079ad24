"""Comms between clients and workers, as the kernel of the session holds them.

Built by `shell.isolated.outlet`, which tells what passes by: a worker opens a comm, or says that it
has a target for those that clients open. Clients send to the kernel that they
know; it finds these among its own comms, in whichever thread it takes messages, and they go on to
the worker: also while a cell keeps both busy, where the client sends comms over a subshell.
"""

import threading
from collections.abc import Callable
from typing import Any, Final

_ALL_WIDGETS: Final = "jupyter.widget.control"

Forward = Callable[[str, str, dict[str, Any]], bool]


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
    """All of one kernel; a worker says which targets of comms it has.

    Args:
        kernel: Of ipykernel.
        forward: Sends a message to a worker.
    """

    def __init__(self, kernel: Any, forward: Forward) -> None:
        self._kernel = kernel
        self._manager = kernel.comm_manager
        self._forward = forward
        self._targets: dict[str, list[str]] = {}
        self._stock: Any = None
        self._lock = threading.Lock()

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

    def has_target(self, worker_id: str, target: str) -> None:
        """A worker takes what clients open under that name."""
        with self._lock:
            self._targets.setdefault(target, []).append(worker_id)
        if self._stock is None:
            handlers = self._kernel.shell_handlers
            self._stock, handlers["comm_open"] = handlers["comm_open"], self._open

    def of(self, worker_id: str) -> list[str]:
        """What a worker has opened and not closed; that and its targets are forgotten."""
        with self._lock:
            for target, workers in list(self._targets.items()):
                left = [each for each in workers if each != worker_id]
                if left:
                    self._targets[target] = left
                else:
                    self._targets.pop(target)
        mine = [comm.comm_id for comm in self._routed() if comm.worker_id == worker_id]
        for comm_id in mine:
            self._manager.comms.pop(comm_id, None)
        handlers = self._kernel.shell_handlers
        if not self._targets and not self._routed() and handlers["comm_open"] == self._open:
            handlers["comm_open"], self._stock = self._stock, None
        return mine

    def _routed(self) -> list[RoutedComm]:
        return [each for each in list(self._manager.comms.values()) if type(each) is RoutedComm]

    def _open(self, stream: Any, ident: Any, message: dict[str, Any]) -> Any:
        """A client opens one: the session's own targets come first."""
        content = message["content"]
        comm_id, target = content.get("comm_id"), content.get("target_name")
        if target == _ALL_WIDGETS and self._routed():
            # It asks for the state of each widget that there is, of one process. Where nobody
            # takes it, a client asks each widget by itself, wherever that lives.
            self._kernel.session.send(
                self._kernel.iopub_socket,
                "comm_close",
                {"comm_id": comm_id, "data": {}},
                parent=message,
                ident=b"comm-" + str(comm_id).encode(),
            )
        elif target in self._manager.targets or not self._is_taken(comm_id, target, message):
            return self._stock_open(stream, ident, message)
        return None

    def _is_taken(self, comm_id: Any, target: Any, message: dict[str, Any]) -> bool:
        """True where a worker gets it: the latest that has said that it takes the target."""
        with self._lock:
            workers = [*self._targets.get(target, ())]
        for worker_id in reversed(workers):
            self._manager.comms[comm_id] = RoutedComm(comm_id, target, worker_id, self._forward)
            if self._forward(worker_id, "comm_open", message):
                return True
            self._manager.comms.pop(comm_id, None)  # it has died meanwhile
        return False

    def _stock_open(self, *request: Any) -> Any:
        return (self._stock or self._manager.comm_open)(*request)
