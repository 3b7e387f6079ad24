"""`jupyter flow task ID`: one task with its steps, context and cells.

Called by `cli`.
"""

import argparse
from typing import Final

from flow_kernel.apps.state import add_home, counts_of, opened
from flow_kernel.apps.tables import Painter, plain
from flow_kernel.apps.terminal import Terminal
from flow_kernel.session.task_text import (
    MARKS,
    as_document,
    context_lines,
    state_of,
    step_lines,
    title_of,
)

_STYLES: Final = {"done": "green", "failed": "red", "doing": "bold"}


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `task`."""
    parser.add_argument("task_id", metavar="ID", help="T-0001, or PLAN/T-0001")
    parser.add_argument("--json", action="store_true", help="one document for programs")
    add_home(parser)
    parser.epilog = "example: jupyter flow task T-0001"


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Print the task."""
    with opened(terminal, options.home) as flow:
        view = flow.view(options.task_id)
        counts = counts_of(flow.home)
    cells, failures = counts.get((view.task.plan_id, view.task.task_id), (0, 0))
    if options.json:
        terminal.document(as_document(view, cells=cells, failures=failures))
        return 0
    painter = Painter.of(terminal)
    terminal.print(painter.paint(plain(title_of(view.task)), "bold"))
    terminal.print(f"{plain(state_of(view))} · {view.task.type} · by {plain(view.task.author)}")
    if view.task.description:
        terminal.print(plain(view.task.description))
    for step in step_lines(view.steps):
        mark = painter.paint(MARKS[step.state], _STYLES.get(step.state, ""))
        note = painter.paint(f"  {plain(step.note)}", "dim") if step.note else ""
        terminal.print(f"  {'  ' * step.depth}{mark} {plain(step.name)}{note}")
    for line in context_lines(view.context):
        terminal.print(f"  {plain(line)}")
    if view.tags:
        terminal.print(f"  tags: {plain(' '.join(view.tags))}")
    terminal.print(f"{cells} cells, {failures} failed")
    return 0
