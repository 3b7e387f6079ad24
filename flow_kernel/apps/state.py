"""The state of the home that a verb works on.

Called by `tasks`, `task`, `context`, `approvals`, `runs`, `run` and `report`.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from flow_kernel.apps.sources import find_home
from flow_kernel.apps.tally import tally
from flow_kernel.apps.terminal import Terminal
from flow_kernel.errors import NotFound
from flow_kernel.records.home import Home
from flow_kernel.session.flow import Flow
from flow_kernel.session.open_home import flow_of


def add_home(parser: argparse.ArgumentParser) -> None:
    """The option that names the home."""
    parser.add_argument("--home", metavar="DIR", help="default: the .flow of this directory")


def has_store(terminal: Terminal, asked: str | None) -> bool:
    """False where nothing was begun or asked yet: for programs its lists are empty, and no error.

    People are told how to begin; see `opened`.

    Args:
        terminal: Knows the working directory.
        asked: The directory that the user named.

    Raises:
        NotFound: That directory does not exist.
    """
    return find_home(terminal, asked).store_path.exists()


@contextmanager
def opened(terminal: Terminal, asked: str | None, *, may_create: bool = False) -> Iterator[Flow]:
    """The state of a home, closed at the end.

    Args:
        terminal: Knows the working directory.
        asked: The directory that the user named.
        may_create: True makes the home where there is none.

    Raises:
        NotFound: The home has none yet.
    """
    home = find_home(terminal, asked)
    if may_create:
        home.ensure()
    elif not home.store_path.exists():
        raise NotFound(
            f"there are no tasks and no questions in {home.root}",
            hint="begin with: jupyter flow task start NAME, or in a notebook: %task start NAME",
        )
    flow = flow_of(home)
    try:
        yield flow
    finally:
        flow.close()


def counts_of(home: Home) -> dict[tuple[str, str], tuple[int, int]]:
    """Cells and failures of each task, from the logs."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for (plan_id, task_id, _), (cells, failures, *_) in tally(home.log_files()).groups.items():
        before = found.get((plan_id, task_id), (0, 0))
        found[plan_id, task_id] = (before[0] + cells, before[1] + failures)
    return found
