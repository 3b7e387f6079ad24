"""Workers and sessions over HTTP: what they do, what they used, and how to interrupt one.

Added to a server by `extension`.
"""

import re
import time
from typing import Any, Final

from flow_kernel.apps.control_client import ControlClient
from flow_kernel.apps.server.base import Doing, Looking
from flow_kernel.apps.server.tasks import session_document
from flow_kernel.errors import FlowError, UsageError
from flow_kernel.records.lease import Lease
from flow_kernel.session import held_text
from flow_kernel.session.held import KernelLooks
from flow_kernel.session.isolation.worker_text import document_of, health_of

_BETWEEN_LOOKS_S: Final = 0.1
_ANSWER_S: Final = 0.5
_WORKER: Final = re.compile(r"[A-Za-z0-9_.-]{1,60}\Z")
_SESSION: Final = re.compile(r"[0-9a-f]{32}\Z")


class WorkerList(Looking):
    """All workers of a home with their last minutes, and the sessions that live."""

    def look(self, **_: str) -> object:
        """The facts."""
        history = self.dashboard.history
        views = history.views()
        leases = self.dashboard.sessions()
        # At once: one that is stuck takes its half second from nobody else.
        sessions = [*self.dashboard.asking.map(_session, leases)]
        with_kernel = {lease.session for lease in leases if lease.connection_file}
        return {
            "health": health_of(views, history.queue()),
            "items": [
                document_of(view)
                | {
                    "session": view.session,
                    "history": history.of(view),
                    "can_interrupt": view.session in with_kernel,
                }
                for view in views
            ],
            "sessions": sessions,
            "next": None,
        }


class WorkerInterrupt(Doing):
    """POST `{}`: interrupt what a worker does; it lives on."""

    def do(self, asked: dict[str, Any], **where: str) -> object:
        """Interrupt."""
        session, worker = where["session"], where["name"]
        if _SESSION.match(session) is None or _WORKER.match(worker) is None:
            raise UsageError("a worker is named by its session, 32 hex, and its id")
        with self.dashboard.kernel(session) as kernel:
            return kernel.ask("interrupt", worker_id=worker)


class StackList(Looking):
    """Where the main threads of sessions that a cell holds are."""

    def look(self, **_: str) -> object:
        """The facts; takes a second and a half where one does not tell."""
        looks = KernelLooks(self.dashboard.home)
        if looks.has_any:
            time.sleep(_BETWEEN_LOOKS_S)  # what they use now, and not since their start
        views = looks.views(self.dashboard.asking.map)
        return {"items": [held_text.document_of(view) for view in views], "next": None}


def _session(lease: Lease) -> dict[str, object]:
    found = session_document(lease)
    if not lease.connection_file:
        return found
    try:
        with ControlClient.of(lease) as kernel:
            told = kernel.ask("status", timeout_s=_ANSWER_S)
    except FlowError as error:
        return found | {"trouble": error.message}
    return found | {key: told.get(key) for key in ("busy", "cell", "task_id", "plan_id", "step")}
