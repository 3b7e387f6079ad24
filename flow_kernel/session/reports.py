"""The reports of a home's tasks, read from its store and its logs.

Called by `jupyter flow report`, by `%flow report` and when a task is finished.
"""

from collections.abc import Iterator, Mapping
from functools import partial

from flow_kernel.errors import NotFound
from flow_kernel.records.home import Home
from flow_kernel.records.names import safe_file_name
from flow_kernel.records.output_objects import read_output
from flow_kernel.records.scan import read_records
from flow_kernel.session.flow import Flow
from flow_kernel.session.report import TaskReport, report_of
from flow_kernel.session.report_runs import Draw, Place, rows_by_task, runs_of
from flow_kernel.store.contract import TaskRow
from flow_kernel.store.run_rows import RunRow


def reports_of(
    flow: Flow,
    task_id: str | None = None,
    *,
    plan_id: str | None = None,
    draw: Draw | None = None,
) -> list[TaskReport]:
    """The reports of one task, of a plan, or of all tasks.

    Args:
        flow: The state of the home.
        task_id: Of the one task.
        plan_id: Of the plan.
        draw: Draws runs of workflows; None where there is no place for pictures.

    Raises:
        UsageError: That is no task id.
        NotFound: There is no such task, or none at all.
    """
    if task_id is not None:
        is_bare = plan_id is not None and "/" not in task_id
        tasks = [flow.task(f"{plan_id}/{task_id}" if is_bare else task_id)]
    else:
        tasks = flow.tasks(plan_id)
    if not tasks:
        raise NotFound("there are no tasks to report", hint="see: jupyter flow tasks")
    runs = rows_by_task(flow)
    return [_report(flow, task, runs, draw=draw) for task in tasks]


def report_on(flow: Flow, task: TaskRow) -> TaskReport:
    """The report of a task; reads its whole log, about 50 us a cell."""
    return _report(flow, task, rows_by_task(flow))


def _report(
    flow: Flow, task: TaskRow, runs: Mapping[Place, list[RunRow]], *, draw: Draw | None = None
) -> TaskReport:
    rows = runs.get((task.plan_id, task.task_id), [])
    return report_of(
        flow.view(f"{task.plan_id}/{task.task_id}"),
        records_of(flow.home, task),
        runs=runs_of(flow, rows, draw=draw),
        find_output=partial(read_output, flow.home),
    )


def records_of(home: Home, task: TaskRow) -> Iterator[dict[str, object]]:
    """What the logs of a home hold of a task, in the order in which it was written."""
    plan, name = safe_file_name(task.plan_id), safe_file_name(task.task_id)
    files = [
        path
        for path in home.log_files()
        if path.parent.name == plan and path.name.split(".")[0] == name
    ]
    for record in read_records(files):
        # Two plans may share a folder where a file system knows no difference of their names.
        if record.get("plan_id") == task.plan_id and record.get("task_id") == task.task_id:
            yield record
