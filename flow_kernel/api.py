"""The state of a home for any program: one handle per process and home.

Called by users as `flow_kernel.open_flow()` and `flow_kernel.auto_context(…)`.
"""

import atexit
import os
from pathlib import Path
from typing import Final

from flow_kernel.records.home import Home, resolve
from flow_kernel.session.auto_context import AutoContext
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


def auto_context(*names: str, result: str | None = None, on_error: bool = False) -> AutoContext:
    """Keep arguments of a function as context of a task.

    Args:
        names: Parameters to keep, under their own names; defaults count.
        result: The key for what the function returns; None keeps it nowhere.
        on_error: True keeps the arguments also when the function raises, with `error`.

    Returns:
        A decorator for functions and methods, sync or async. The task is the argument `task_id`,
        else the attribute `task_id` of the first argument, else the open task of this session.
    """
    return AutoContext(
        names, result=result, on_error=on_error, write=lambda: open_flow().update_task_context
    )


def _default_home() -> Home:
    from jupyter_core.paths import jupyter_data_dir  # 20 ms that a named home need not pay

    data_dir = Path(jupyter_data_dir())
    return resolve(Path.cwd(), os.environ, user_home=Path.home(), data_dir=data_dir)
