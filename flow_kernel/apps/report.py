"""`jupyter flow report`: what was planned and done, as one file for people.

Called by `cli`.
"""

import argparse
from pathlib import Path

from flow_kernel.apps.sources import Filter, logs_of
from flow_kernel.apps.state import add_home, opened
from flow_kernel.apps.terminal import Terminal
from flow_kernel.apps.whole_file import write_whole
from flow_kernel.errors import NotFound
from flow_kernel.records.home import Home
from flow_kernel.records.scan import read_records
from flow_kernel.session.flow import Flow
from flow_kernel.session.report import TaskReport, as_json, report_of
from flow_kernel.session.report_html import html_of
from flow_kernel.session.report_markdown import markdown_of


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `report`."""
    add = parser.add_argument
    add("--task", metavar="ID", help="only this task; by default all of the plan")
    add("--plan", metavar="P", help="only this plan; by default all")
    add("--html", metavar="F", help="write one HTML file")
    add("--md", metavar="F", help="write Markdown; the default, to the screen")
    add("--json", metavar="F", nargs="?", const="-", help="write JSON; - or nothing: to the screen")
    add_home(parser)
    parser.epilog = "example: jupyter flow report --task T-0001 --html report.html"


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Write the report."""
    with opened(terminal, options.home) as flow:
        reports = _reports(flow, options.task, options.plan)
    if options.html:
        title = reports[0].view.task.name if len(reports) == 1 else f"{len(reports)} tasks"
        _write(terminal, options.html, html_of(reports, title=title))
    if options.md:
        _write(terminal, options.md, markdown_of(reports))
    if options.json == "-":
        terminal.document({"items": [as_json(report) for report in reports], "next": None})
    elif options.json:
        import json  # only when it is asked for

        document = {"items": [as_json(report) for report in reports], "next": None}
        _write(terminal, options.json, json.dumps(document, ensure_ascii=False) + "\n")
    if not (options.html or options.md or options.json):
        terminal.print(markdown_of(reports).rstrip("\n"))
    return 0


def _reports(flow: Flow, task_id: str | None, plan_id: str | None) -> list[TaskReport]:
    if task_id is not None:
        tasks = [flow.task(task_id if plan_id is None else f"{plan_id}/{task_id}")]
    else:
        tasks = flow.tasks(plan_id)
    if not tasks:
        raise NotFound("there are no tasks to report", hint="see: jupyter flow tasks")
    return [
        report_of(
            flow.view(f"{task.plan_id}/{task.task_id}"),
            _records(flow.home, task.plan_id, task.task_id),
        )
        for task in tasks
    ]


def _records(home: Home, plan_id: str, task_id: str) -> list[dict[str, object]]:
    try:
        files = logs_of(home, Filter(plan_id=plan_id, task_id=task_id))
    except NotFound:
        return []
    return [*read_records(files)]


def _write(terminal: Terminal, name: str, text: str) -> None:
    write_whole((terminal.cwd / Path(name).expanduser()).absolute(), text)
    terminal.print(f"wrote {name}")
