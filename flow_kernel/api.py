"""The state of a home for any program: one handle per process and home.

Called by users as `flow_kernel.open_flow()`.
"""

import atexit
import os
from pathlib import Path
from typing import Final

from flow_kernel.records.home import Home, resolve
from flow_kernel.session.flow import Flow
from flow_kernel.session.open_home import flow_of

_open: Final[dict[tuple[int, str], Flow]] = {}
"""By process and home; a forked child opens its own."""


def open_flow(home: str | os.PathLike[str] | None = None) -> Flow:
    """Tasks and context of a home, for any program.

    Args:
        home: The directory of the records (`…/.flow`); by default that of the working directory,
            or what `FLOW_HOME` says.

    Returns:
        The one handle of this process for that home.

    Raises:
        StoreError: The store cannot be opened.
        UsageError: `FLOW_PLAN_ID` is no plan id.
    """
    where = Home(Path(home).absolute()) if home is not None else _default_home()
    key = (os.getpid(), str(where.root))
    if key not in _open or _open[key].is_closed:
        _open[key] = flow_of(where)
        atexit.register(_open[key].close)
    return _open[key]


def _default_home() -> Home:
    from jupyter_core.paths import jupyter_data_dir  # 20 ms that a named home need not pay

    data_dir = Path(jupyter_data_dir())
    return resolve(Path.cwd(), os.environ, user_home=Path.home(), data_dir=data_dir)
