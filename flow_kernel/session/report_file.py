"""A report as a file.

Called by `jupyter flow report` and `%flow report`.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from flow_kernel.records.whole_file import write_whole
from flow_kernel.session.formatter import TaskTexts
from flow_kernel.session.report import TaskReport, as_json
from flow_kernel.session.report_html import html_of
from flow_kernel.session.report_markdown import markdown_of


def write_report(target: Path, form: str, reports: Sequence[TaskReport], texts: TaskTexts) -> None:
    """Write `reports` to a file, as a whole or not at all.

    Args:
        target: The file.
        form: html, md or json.
        reports: One a task.
        texts: The words for tasks and steps.

    Raises:
        OSError: The file system refuses; what was there is still there.
    """
    if form == "html":
        one = len(reports) == 1
        title = texts.title(reports[0].view.task) if one else f"{len(reports)} tasks"
        text = html_of(reports, texts, title=title)
    elif form == "md":
        text = markdown_of(reports, texts)
    else:
        text = json.dumps(document_of(reports), ensure_ascii=False) + "\n"
    write_whole(target, text)


def document_of(reports: Sequence[TaskReport]) -> dict[str, object]:
    """The reports for programs."""
    return {"items": [as_json(report) for report in reports], "next": None}
