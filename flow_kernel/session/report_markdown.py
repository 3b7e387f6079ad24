"""A report as Markdown (pure).

Called by `jupyter flow report`.
"""

from collections.abc import Iterable, Sequence

from flow_kernel.records.plain import human_ms, one_line
from flow_kernel.session.report import TaskReport
from flow_kernel.session.task_text import MARKS, context_lines, state_of, step_lines, title_of


def markdown_of(reports: Sequence[TaskReport]) -> str:
    """The whole file."""
    return "\n".join(line for report in reports for line in _task(report)) + "\n"


def _task(report: TaskReport) -> Iterable[str]:
    view = report.view
    yield f"# {_plain(title_of(view.task))}"
    yield ""
    yield _plain(f"{state_of(view)} · {view.task.type}")
    if view.task.description:
        yield ""
        yield _plain(one_line(view.task.description, 2000))
    if view.steps:
        yield from ("", "## Steps", "")
        for step in step_lines(view.steps):
            note = f" — {step.note}" if step.note else ""
            yield f"{'  ' * step.depth}- {MARKS[step.state]} {_plain(step.name + note)}"
    if view.context:
        yield from ("", "## Context", "")
        yield from (f"- {_plain(line)}" for line in context_lines(view.context))
    if report.answers:
        yield from ("", "## Approvals", "")
        for answer in report.answers:
            told = [answer.get(name) for name in ("message", "status", "decided_by", "decided_at")]
            yield "- " + _plain(" · ".join(str(part) for part in told if part))
    if report.notes or report.deaths:
        yield from ("", "## Log", "")
        yield from (f"- {at[11:19]} {_plain(one_line(text, 500))}" for at, _, text in report.notes)
        yield from (f"- {at[11:19]} the kernel died: {reason}" for at, reason in report.deaths)
    yield from ("", f"## {len(report.cells)} cells, {report.failures} failed", "")
    for cell in report.cells:
        mark = "✓" if cell.status == "ok" else "✗"
        error = f" — {_plain(one_line(cell.error, 200))}" if cell.error else ""
        code = one_line(cell.code, 100).replace("`", "'")
        yield f"- {mark} {human_ms(cell.elapsed_ms)} `{code}`{error}"
    yield ""


def _plain(text: str) -> str:
    """`text` that Markdown shows as it is."""
    for sign in "\\`*_{}[]<>#|":
        text = text.replace(sign, f"\\{sign}")
    return text
