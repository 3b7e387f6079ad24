"""What `%flow report` answers: reports on the screen, or the files that were written.

Called by `shell.magics.flow_magics`.
"""

import argparse
from pathlib import Path
from typing import Final

from flow_kernel.errors import StoreError
from flow_kernel.session.report_file import write_report
from flow_kernel.session.reports import reports_of
from flow_kernel.session.session import Session
from flow_kernel.session.task_card import ReportCard
from flow_kernel.shell.views.display import Facts
from flow_kernel.shell.views.task_display import ReportCards
from flow_kernel.workflow.picture_stored import draw

_FORMS: Final = ("html", "md", "json")


def report(session: Session, options: argparse.Namespace) -> ReportCards | Facts:
    """The report of a task, a plan, or the task that is open or ended last."""
    task_id = options.task
    if task_id is None and options.plan is None:
        task_id = session.tasks.latest
    reports = reports_of(session.tasks.flow, task_id, plan_id=options.plan, draw=draw)
    files = {form: name for form in _FORMS if (name := getattr(options, form))}
    for form, name in files.items():
        try:
            write_report(Path(name).expanduser().absolute(), form, reports, session.texts)
        except OSError as error:
            raise StoreError(f"{name}: {error.strerror or error}") from None
    if files:
        return Facts("report", {form: f"wrote {name}" for form, name in files.items()})
    return ReportCards([ReportCard(report, session.texts) for report in reports])
