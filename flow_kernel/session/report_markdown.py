"""A report as Markdown (pure).

Called by `jupyter flow report` and `%flow report`.
"""

from collections.abc import Iterable, Sequence

from flow_kernel.records.plain import human_ms, one_line
from flow_kernel.session.formatter import TaskTexts
from flow_kernel.session.report import TaskReport, headline
from flow_kernel.session.task_text import MARKS, context_lines


def markdown_of(reports: Sequence[TaskReport], texts: TaskTexts) -> str:
    """The whole file."""
    return "\n".join(line for report in reports for line in _task(report, texts)) + "\n"


def _task(report: TaskReport, texts: TaskTexts) -> Iterable[str]:
    view = report.view
    yield f"# {_plain(texts.title(view.task))}"
    yield ""
    yield _plain(f"{texts.state(view)} · {texts.kind(view.task)}")
    if view.task.description:
        yield ""
        yield _plain(one_line(view.task.description, 2000))
    if view.steps:
        yield from ("", "## Steps", "")
        for step in texts.steps(view.steps):
            note = f" — {step.note}" if step.note else ""
            yield f"{'  ' * step.depth}- {MARKS[step.state]} {_plain(step.name + note)}"
    yield from _runs(report)
    yield from _answers_and_files(report)
    if report.context:
        yield from ("", "## Context", "")
        yield from (f"- {_plain(line)}" for line in context_lines(report.context))
    if report.notes or report.deaths:
        yield from ("", "## Log", "")
        yield from (f"- {at[11:19]} {_plain(one_line(text, 500))}" for at, _, text in report.notes)
        yield from (f"- {at[11:19]} the kernel died: {reason}" for at, reason in report.deaths)
    summary = texts.summary(view, cells=len(report.shown), failures=report.failures)
    yield from ("", f"## {_plain(summary)}", "")
    for cell in report.shown:
        mark = "✓" if cell.status == "ok" else "✗"
        error = f" — {_plain(one_line(cell.error, 200))}" if cell.error else ""
        code = headline(cell.code, 100).replace("`", "'")
        yield f"- {mark} {human_ms(cell.elapsed_ms)} `{code}`{error}"
    yield ""


def _runs(report: TaskReport) -> Iterable[str]:
    if not report.runs:
        return
    yield from ("", "## Runs", "")
    for run in report.runs:
        yield f"- {_plain(f'{run.title} — {run.note}')}"
        shown, left = run.told
        for step in shown:
            error = f" — {step.error}" if step.error else ""
            yield f"  - {_plain(f'{one_line(step.name, 80)} — {step.note}{error}')}"
        if left:
            yield f"  - … {left}"


def _answers_and_files(report: TaskReport) -> Iterable[str]:
    if report.answers:
        yield from ("", "## Approvals", "")
        for answer in report.answers:
            names = ("approval_id", "message", "status", "decided_by", "decided_at", "comment")
            told = [one_line(str(answer[name]), 300) for name in names if answer.get(name)]
            yield "- " + _plain(" · ".join(told))
    if report.artifacts:
        yield from ("", "## Files", "")
        for item in report.artifacts:
            digest = f" · sha256 {item.sha256}" if item.sha256 else ""
            size = item.text().partition(" · ")[0]
            yield f"- {_plain(one_line(item.path, 300))} · {size}{digest}"


def _plain(text: str) -> str:
    """`text` that Markdown shows as it is."""
    for sign in "\\`*_{}[]<>#|":
        text = text.replace(sign, f"\\{sign}")
    return text
