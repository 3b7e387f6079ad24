"""`jupyter flow workers`: the processes that isolated cells run in, and sessions that a cell holds.

Called by `cli`. Reads what sessions tell of them in the home, and asks no kernel that would have to
answer by itself: a signal gives the stack of one that is held.
"""

import argparse
import time
from collections.abc import Sequence
from typing import Final

from flow_kernel.apps.sources import find_home
from flow_kernel.apps.state import add_home
from flow_kernel.apps.tables import Cell, Column, Painted, Painter, plain, print_table
from flow_kernel.apps.terminal import Terminal
from flow_kernel.session import held_text
from flow_kernel.session.held import KernelLooks, KernelView
from flow_kernel.session.isolation.worker_looks import Looks, WorkerView, find
from flow_kernel.session.isolation.worker_text import (
    HEADER,
    NONE,
    cells_of,
    document_of,
    facts_of,
    health_of,
    title_of,
)

_STYLES: Final = {"busy": "bold", "blocked": "red", "error": "red", "idle": "dim"}
_NUMBERS: Final = ("pid", "cpu", "memory", "up", "restarts")
_BETWEEN_LOOKS_S: Final = 0.1
_COLUMNS: Final = tuple(
    Column(title=title, share=1, floor=8)
    if title in ("name", "task")
    else Column(title=title, align=">" if title in _NUMBERS else "<")
    for title in HEADER
)


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `workers`."""
    parser.add_argument(
        "worker", metavar="ID", nargs="?", help="only this one: w1, its name, or SESSION/w1"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one document for programs")
    form.add_argument(
        "--health",
        action="store_true",
        help="how many, and whether all is well, as a document; exit code 1 when one is blocked",
    )
    add_home(parser)
    parser.epilog = "example: jupyter flow workers w1"


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Print the workers."""
    home, looks = find_home(terminal, options.home), Looks()
    views, kernels = looks.at_home(home), KernelLooks(home)
    if (views and not options.health) or kernels.has_any:
        time.sleep(_BETWEEN_LOOKS_S)  # what they use now, and not since their start
        views = looks.at_home(home)
    sessions = kernels.views() if options.worker is None else []
    held = [view for view in sessions if view.is_held]
    if options.worker is not None:
        views = [find(views, options.worker)]
    if options.health:
        health = health_of(views, looks.queue_at(home))
        terminal.document(health | _sessions(held))
        return 0 if health["ok"] else 1
    if options.worker is not None:
        if options.json:
            terminal.document(document_of(views[0]))
        else:
            _print_one(views[0], terminal)
    elif options.json:
        items = [document_of(view) for view in views]
        terminal.document({"items": items, "next": None} | _sessions(sessions))
    else:
        _print_all(views, terminal)
        for line in (line for view in held for line in held_text.lines_of(view)):
            terminal.print(plain(line))
    return 0


def _sessions(views: Sequence[KernelView]) -> dict[str, object]:
    return {"sessions": [held_text.document_of(view) for view in views]} if views else {}


def _print_all(views: Sequence[WorkerView], terminal: Terminal) -> None:
    if not views:
        terminal.print(NONE)
        return
    one_session = len({view.session for view in views}) == 1
    columns = [*_COLUMNS, *([] if one_session else [Column(title="session")])]
    rows = [_row(view, one_session=one_session) for view in views]
    print_table(columns, rows, terminal)


def _row(view: WorkerView, *, one_session: bool) -> list[Cell]:
    cells: list[Cell] = [plain(text) for text in cells_of(view)]
    state = HEADER.index("state")
    cells[state] = [Painted(cells_of(view)[state], _STYLES.get(view.line.state, ""))]
    return cells if one_session else [*cells, view.session[:8]]


def _print_one(view: WorkerView, terminal: Terminal) -> None:
    painter = Painter.of(terminal)
    terminal.print(painter.paint(plain(title_of(view)), "bold"))
    facts = facts_of(view)
    width = max(len(name) for name, _ in facts)
    for name, text in facts:
        terminal.print(f"  {painter.paint(name.ljust(width), 'dim')}  {plain(text)}")
