"""`jupyter flow report`: what was planned and done, as one file for people.

Called by `cli`.
"""

import argparse
from pathlib import Path

from flow_kernel.apps.flow_config import texts_of
from flow_kernel.apps.state import add_home, opened
from flow_kernel.apps.terminal import Terminal
from flow_kernel.session.report_file import document_of, write_report
from flow_kernel.session.report_markdown import markdown_of
from flow_kernel.session.reports import reports_of
from flow_kernel.workflow.picture_stored import draw


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
    texts = texts_of(terminal)
    with opened(terminal, options.home) as flow:
        reports = reports_of(flow, options.task, plan_id=options.plan, draw=draw)
    to_screen = options.json == "-"
    for form in ("html", "md", "json"):
        name = getattr(options, form)
        if name and not (form == "json" and to_screen):
            target = (terminal.cwd / Path(name).expanduser()).absolute()
            write_report(target, form, reports, texts)
            terminal.print(f"wrote {name}")
    if to_screen:
        terminal.document(document_of(reports))
    elif not (options.html or options.md or options.json):
        terminal.print(markdown_of(reports, texts).rstrip("\n"))
    return 0
