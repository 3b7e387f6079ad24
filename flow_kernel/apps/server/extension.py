"""What the dashboard adds to a Jupyter Server: its addresses, and its setting `home`.

Called by Jupyter Server through the package.

    c.FlowDashboard.home = "/data/project/.flow"     by default that of the server's own directory
"""

import os
from pathlib import Path
from typing import Any, Final

from jupyter_core.paths import jupyter_data_dir
from traitlets import Unicode
from traitlets.config import LoggingConfigurable

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
from flow_kernel.apps.server.tasks import ContextHistory, Overview, TaskList, TaskPage
from flow_kernel.apps.server.workers import StackList, WorkerInterrupt, WorkerList
from flow_kernel.records.home import Home, resolve

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


class FlowDashboard(LoggingConfigurable):
    """The settings of the dashboard."""

    home: Unicode[str, str | bytes] = Unicode(
        "", help="The home of records; empty for that of the server's directory."
    ).tag(config=True)


def load(server: Any) -> None:
    """Add the dashboard to a server.

    Args:
        server: A `ServerApp` whose web application is made.
    """
    settings = FlowDashboard(parent=server)
    root = Path(server.root_dir).absolute()
    home = _home(root, settings.home)
    dashboard = Dashboard(home, root=root)
    application = server.web_app
    application.settings["flow_dashboard"] = dashboard
    base = str(application.settings["base_url"]).rstrip("/")
    application.add_handlers(".*$", [(base + path, handler) for path, handler in HANDLERS])
    server.log.info("flow_kernel: the dashboard of %s is at %s/flow/", home.root, base)


def _home(root: Path, asked: str) -> Home:
    if asked:
        return Home((root / Path(asked).expanduser()).absolute())
    data_dir = Path(jupyter_data_dir())
    return resolve(root, os.environ, user_home=Path.home(), data_dir=data_dir)
