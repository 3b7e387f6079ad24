"""`jupyter flow tasks`: the tasks of a home, one a line.

Called by `cli`.
"""

import argparse
from typing import Final

from flow_kernel.apps.state import add_home, counts_of, has_store, opened
from flow_kernel.apps.tables import Cell, Column, Painted, plain, print_table
from flow_kernel.apps.terminal import Terminal
from flow_kernel.errors import UsageError
from flow_kernel.records.names import is_plan_id
from flow_kernel.session.context_values import typed_pair
from flow_kernel.session.task_states import STATUSES
from flow_kernel.session.task_text import MARKS, task_document, took_text
from flow_kernel.store.contract import TaskRow

_STYLES: Final = {"done": "green", "failed": "red", "doing": "bold"}
_COLUMNS: Final = (
    Column(title="task"),
    Column(title=""),
    Column(title="name", share=2, floor=12),
    Column(title="status"),
    Column(title="type"),
    Column(title="cells", align=">"),
    Column(title="took", align=">"),
    Column(title="tags", share=1),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `tasks`."""
    add = parser.add_argument
    add("--plan", metavar="P", help="only this plan, e.g. local")
    add("--status", metavar="S", choices=STATUSES, help=f"only these: {', '.join(STATUSES)}")
    add("--tag", metavar="T", help="only those that carry this tag")
    add("--with", metavar="KEY=VALUE", dest="having", help="only those with this in their context")
    add("--json", action="store_true", help="one document for programs")
    add_home(parser)
    parser.epilog = "example: jupyter flow tasks --status doing"


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Print the tasks."""
    if options.plan is not None and not is_plan_id(options.plan):
        raise UsageError(f'"{options.plan}" is no plan id', hint="a plan id has no blanks")
    pair = None if options.having is None else typed_pair(options.having)
    if options.json and not has_store(terminal, options.home):
        terminal.document({"items": [], "next": None})
        return 0
    with opened(terminal, options.home) as flow:
        tasks = flow.tasks(options.plan, status=options.status)
        if options.tag is not None:
            tasks = _both(tasks, flow.tasks_tagged(options.tag))
        if pair is not None:
            tasks = _both(tasks, flow.tasks_with(*pair))
        tags = {(t.plan_id, t.task_id): flow.tags(f"{t.plan_id}/{t.task_id}") for t in tasks}
        counts = counts_of(flow.home)
    if options.json:
        items = [
            task_document(
                task,
                tags=tags[task.plan_id, task.task_id],
                cells=counts.get((task.plan_id, task.task_id), (0, 0))[0],
                failures=counts.get((task.plan_id, task.task_id), (0, 0))[1],
            )
            for task in tasks
        ]
        terminal.document({"items": items, "next": None})
        return 0
    if not tasks:
        terminal.print("no tasks")
        return 0
    one_plan = len({task.plan_id for task in tasks}) == 1
    rows = [
        _row(task, tags[task.plan_id, task.task_id], counts, one_plan=one_plan) for task in tasks
    ]
    print_table(_COLUMNS, rows, terminal)
    return 0


def _both(tasks: list[TaskRow], others: list[TaskRow]) -> list[TaskRow]:
    wanted = {(other.plan_id, other.task_id) for other in others}
    return [task for task in tasks if (task.plan_id, task.task_id) in wanted]


def _row(
    task: TaskRow,
    tags: list[str],
    counts: dict[tuple[str, str], tuple[int, int]],
    *,
    one_plan: bool,
) -> list[Cell]:
    cells, failures = counts.get((task.plan_id, task.task_id), (0, 0))
    return [
        task.task_id if one_plan else plain(f"{task.plan_id}/{task.task_id}"),
        [Painted(MARKS[task.status], _STYLES.get(task.status, ""))],
        plain(task.name),
        task.status,
        task.type,
        f"{cells} ({failures} ✗)" if failures else str(cells),
        took_text(task.started_at, task.ended_at),
        plain(" ".join(tags)),
    ]
