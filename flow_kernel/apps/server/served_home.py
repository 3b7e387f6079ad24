"""The home that a Jupyter Server shows: one for all that we add to it, and its setting.

Used by `apps.server.extension` and by `apps.sandbox.extension`.

    c.FlowDashboard.home = "/data/project/.flow"     by default that of the server's own directory
"""

import os
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_data_dir
from traitlets import Unicode
from traitlets.config import LoggingConfigurable

from flow_kernel.records.home import Home, resolve


class FlowDashboard(LoggingConfigurable):
    """The settings of the dashboard."""

    home: Unicode[str, str | bytes] = Unicode(
        "", help="The home of records; empty for that of the server's directory."
    ).tag(config=True)


def root_of(server: Any) -> Path:
    """The directory that a server shows.

    Args:
        server: A `ServerApp`.
    """
    return Path(str(server.root_dir)).absolute()


def home_of(server: Any) -> Home:
    """The home of a server, as its configuration says.

    Args:
        server: A `ServerApp`.
    """
    root, asked = root_of(server), FlowDashboard(parent=server).home
    if asked:
        return Home((root / Path(asked).expanduser()).absolute())
    data_dir = Path(jupyter_data_dir())
    return resolve(root, os.environ, user_home=Path.home(), data_dir=data_dir)
