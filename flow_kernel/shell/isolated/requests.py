"""Requests of clients that the kernel has passed on to a worker, until it is done with them.

Called by `shell.isolated.outlet`, which keeps it. ipykernel says that it is idle again once it
has passed one on. JupyterLab then hears nothing more of that request, and an Output widget is told
nothing of what the callback prints. So that word is held until the worker has said the same.

    passed_on ─▶ holds (the kernel is idle) ─▶ done (its worker is idle, or gone): say it now
    passed_on ─▶ done ─▶ the kernel says it by itself
"""

import threading
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class _Request:
    worker_id: str
    held: Any = None


class PassedOn:
    """Those of one kernel; called in its threads and in the relay's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: dict[str, _Request] = {}

    def passed_on(self, worker_id: str, msg_id: str) -> None:
        """A request is about to be passed on."""
        with self._lock:
            self._requests[msg_id] = _Request(worker_id)

    def workers(self) -> set[str]:
        """Those that are not done yet."""
        with self._lock:
            return {request.worker_id for request in self._requests.values()}

    def holds(self, parent: Any) -> bool:
        """True where the kernel is not to say that the request `parent` has ended."""
        if not self._requests:
            return False
        msg_id = str(((parent or {}).get("header") or {}).get("msg_id"))
        with self._lock:
            request = self._requests.get(msg_id)
            if request is None:
                return False
            request.held = parent
            return True

    def done(self, worker_id: str, msg_id: str | None = None) -> list[Any]:
        """A worker is done with a request; with all that it has, where none is named.

        Returns:
            Those whose end was held and is to be told now.
        """
        with self._lock:
            ended = [
                each
                for each, request in self._requests.items()
                if request.worker_id == worker_id and msg_id in (None, each)
            ]
            requests = [self._requests.pop(each) for each in ended]
        return [request.held for request in requests if request.held is not None]
