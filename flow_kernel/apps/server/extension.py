"""What the dashboard adds to a Jupyter Server: its addresses.

Called by Jupyter Server through the package; its setting `home` is in `served_home`.
"""

from typing import Any, Final

from flow_kernel.apps.server.approvals import ApprovalAnswer, ApprovalList
from flow_kernel.apps.server.checkpoints import (
    CheckpointDiff,
    CheckpointList,
    CheckpointPage,
    CheckpointRollback,
)
from flow_kernel.apps.server.dashboard import Dashboard
from flow_kernel.apps.server.live_socket import LiveSocket
from flow_kernel.apps.server.pages import File, Index, OutputFrame, RunFrame
from flow_kernel.apps.server.records import RecordList, RecordPage
from flow_kernel.apps.server.runs import RunList, RunPage
from flow_kernel.apps.server.served_home import home_of, root_of
from flow_kernel.apps.server.tasks import ContextHistory, Overview, TaskList, TaskPage
from flow_kernel.apps.server.workers import StackList, WorkerInterrupt, WorkerList

_TASK: Final = r"(?P<plan_id>[^/]+)/(?P<task_id>[^/]+)"
_NAME: Final = r"(?P<name>[^/]+)"
HANDLERS: list[tuple[str, type]] = [
    (r"/flow/?", Index),
    (r"/flow/static/(.*)", File),
    (rf"/flow/outputs/{_NAME}", OutputFrame),
    (rf"/flow/runs/{_NAME}/picture", RunFrame),
    (r"/flow/api/overview", Overview),
    (r"/flow/api/tasks", TaskList),
    (rf"/flow/api/tasks/{_TASK}", TaskPage),
    (rf"/flow/api/tasks/{_TASK}/history", ContextHistory),
    (r"/flow/api/records", RecordList),
    (rf"/flow/api/records/{_TASK}/(?P<session>[^/]+)/(?P<seq>[^/]+)", RecordPage),
    (r"/flow/api/approvals", ApprovalList),
    (rf"/flow/api/approvals/{_NAME}", ApprovalAnswer),
    (r"/flow/api/checkpoints", CheckpointList),
    (r"/flow/api/checkpoints/diff", CheckpointDiff),
    (rf"/flow/api/checkpoints/{_NAME}", CheckpointPage),
    (rf"/flow/api/checkpoints/{_NAME}/rollback", CheckpointRollback),
    (r"/flow/api/runs", RunList),
    (rf"/flow/api/runs/{_NAME}", RunPage),
    (r"/flow/api/workers", WorkerList),
    (rf"/flow/api/workers/(?P<session>[^/]+)/{_NAME}/interrupt", WorkerInterrupt),
    (r"/flow/api/stacks", StackList),
    (r"/flow/api/live", LiveSocket),
]
"""Paths below the server's own and what answers there; a part of the server adds its own here."""


def load(server: Any) -> None:
    """Add the dashboard to a server.

    Args:
        server: A `ServerApp` whose web application is made.
    """
    home = home_of(server)
    dashboard = Dashboard(home, root=root_of(server))
    application = server.web_app
    application.settings["flow_dashboard"] = dashboard
    base = str(application.settings["base_url"]).rstrip("/")
    application.add_handlers(".*$", [(base + path, handler) for path, handler in HANDLERS])
    server.log.info("flow_kernel: the dashboard of %s is at %s/flow/", home.root, base)
