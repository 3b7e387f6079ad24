"""A task, and the report of one that has ended, as answers in a notebook (pure).

Made by `shell.magics.task_answers` and by `session.session`: text in a terminal, HTML in a
notebook, a value in code. Everything a user named is escaped.
"""

from collections.abc import Iterable
from html import escape
from typing import Final

from flow_kernel.records.plain import human_ms, one_line, strip_controls
from flow_kernel.session.artifacts import KEY
from flow_kernel.session.flow import TaskView
from flow_kernel.session.formatter import StepLine, TaskTexts
from flow_kernel.session.report import ReportCell, TaskReport, headline
from flow_kernel.session.report_runs import ReportRun
from flow_kernel.session.task_text import MARKS, context_lines

_STYLE: Final = (
    # The class is named thrice to win over the style sheet that JupyterLab has for lists.
    "<style>.flow-task{font-size:13px;line-height:1.5;max-width:40em;overflow-wrap:anywhere}"
    ".flow-task .head{display:flex;gap:.1em 1em;align-items:baseline;flex-wrap:wrap}"
    ".flow-task .head b{font-weight:600}.flow-task .state,.flow-task .note{opacity:.75}"
    ".flow-task.flow-task.flow-task ul{list-style:none;margin:.2em 0 0;padding:0}"
    ".flow-task.flow-task.flow-task li{display:flex;gap:.6em;margin:0;padding:0}"
    ".flow-task li i{width:1em;flex:none;font-style:normal}"
    ".flow-task .note{margin-left:auto;font-weight:400;text-align:right;min-width:6em}"
    ".flow-task .done i,.flow-task .approved i,.flow-task .success i{color:#2a8a5c}"
    ".flow-task .failed i,.flow-task .rejected i,.flow-task .expired i{color:#d0553a}"
    ".flow-task .doing{font-weight:600}.flow-task .doing i{color:#4a7fe0}"
    ".flow-task.flow-task.flow-task pre{margin:.3em 0 0;font-size:12px;background:none;padding:0;"
    "white-space:pre-wrap}"
    ".flow-task.flow-task.flow-task h4{font-size:13px;font-weight:600;margin:.5em 0 0}"
    ".flow-task.flow-task.flow-task code{background:none;padding:0;font-size:12px}</style>"
)
_SHOWN: Final = 10


class TaskCard:
    """One task with its steps and context; `view` holds the values."""

    def __init__(self, view: TaskView, texts: TaskTexts, runs: Iterable[ReportRun] = ()) -> None:
        self.view = view
        self._runs = [*runs]
        task = view.task
        self._title = texts.title(task)
        self._state = texts.state(view)
        self._kind = texts.kind(task) if task.type != "custom" else ""
        self._about = one_line(task.description, 400)
        self._steps = texts.steps(view.steps)
        self._context = context_lines({k: v for k, v in view.context.items() if k != KEY})

    def __repr__(self) -> str:
        lines = [f"{self._title}  [{self._state}]"]
        lines += [f"  {line}" for line in (one_line(self._about, 100), self._kind) if line]
        lines += [_step_text(step) for step in self._steps]
        lines += [f"  {line}" for line in self._context]
        for run in self._runs[-_SHOWN:]:
            lines.append(f"  {_mark(run.row.status)} {run.title}  ({run.note})")
        return "\n".join([*lines, *self._more_lines()])

    def _repr_html_(self) -> str:
        about = "".join(f"<div>{escape(line)}</div>" for line in (self._about, self._kind) if line)
        steps = "".join(map(_step_html, self._steps))
        context = escape("\n".join(self._context))
        return (
            f'{_STYLE}<div class="flow-task"><div class="head"><b>{escape(self._title)}</b>'
            f'<span class="state">{escape(self._state)}</span></div>{about}'
            f"{f'<ul>{steps}</ul>' if steps else ''}{f'<pre>{context}</pre>' if context else ''}"
            f"{''.join(self._runs_html())}{''.join(self._more_html())}</div>"
            f"{''.join(f'<br>{run.picture}' for run in self._runs[-_SHOWN:] if run.picture)}"
        )

    def _runs_html(self) -> Iterable[str]:
        shown = self._runs[-_SHOWN:]
        if not shown:
            return
        items = "".join(_item(run.row.status, run.title, run.note) for run in shown)
        more = len(self._runs) - len(shown)
        yield f"<h4>Runs</h4><ul>{f'<li>… {more} before</li>' if more else ''}{items}</ul>"

    def _more_lines(self) -> Iterable[str]:
        return ()

    def _more_html(self) -> Iterable[str]:
        return ()


class ReportCard(TaskCard):
    """What was planned and done in a task that has ended; `report` holds the values."""

    def __init__(self, report: TaskReport, texts: TaskTexts) -> None:
        super().__init__(report.view, texts, report.runs)
        self.report = report
        self._summary = texts.summary(
            report.view, cells=len(report.shown), failures=report.failures
        )
        self._failed = report.failed

    def _more_lines(self) -> Iterable[str]:
        for state, text, note in self._answers():
            yield f"  {_mark(state)} {text}  ({note})"
        for artifact in self.report.artifacts:
            yield f"  {one_line(artifact.path, 120)}  ({artifact.text()})"
        yield f"  {self._summary}"
        for cell in self._failed[:_SHOWN]:
            yield f"  ✗ {headline(cell.code, 60)}  ({one_line(cell.error or cell.status, 100)})"
        if len(self._failed) > _SHOWN:
            yield f"  … {len(self._failed) - _SHOWN} more"

    def _more_html(self) -> Iterable[str]:
        answers = [_item(state, text, note) for state, text, note in self._answers()]
        if answers:
            yield f"<h4>Approvals</h4><ul>{''.join(answers)}</ul>"
        files = [
            _item("failed" if item.problem else "done", one_line(item.path, 200), item.text())
            for item in self.report.artifacts
        ]
        if files:
            yield f"<h4>Files</h4><ul>{''.join(files)}</ul>"
        failed = "".join(map(_failure_html, self._failed[:_SHOWN]))
        more = len(self._failed) - _SHOWN
        yield f"<h4>{escape(self._summary)}</h4>"
        if failed:
            yield f"<ul>{failed}{f'<li>… {more} more</li>' if more > 0 else ''}</ul>"

    def _answers(self) -> Iterable[tuple[str, str, str]]:
        """Outcome, question, and who answered, of each approval."""
        for answer in self.report.answers:
            who = one_line(str(answer.get("decided_by") or "nobody yet"), 60)
            said = one_line(str(answer.get("comment") or ""), 100)
            state = str(answer.get("status", ""))
            note = f"{state} by {who}{f': {said}' if said else ''}"
            yield state, one_line(str(answer.get("message", "")), 200), note


def _mark(state: str) -> str:
    known = {
        **{"approved": "✓", "rejected": "✗", "expired": "✗", "open": "?"},
        **{"success": "✓", "running": "▸", "pending": "·"},
    }
    return MARKS.get(state) or known.get(state, "–")


def _item(state: str, text: str, note: str) -> str:
    shown = f'<span class="note">{escape(strip_controls(note))}</span>' if note else ""
    return (
        f'<li class="{escape(state)}"><i>{_mark(state)}</i><span>{escape(text)}</span>{shown}</li>'
    )


def _failure_html(cell: ReportCell) -> str:
    code = escape(headline(cell.code, 80))
    error = escape(one_line(cell.error or cell.status, 200))
    return (
        f'<li class="failed"><i>✗</i><span><code>{code}</code><br>{error}</span>'
        f'<span class="note">{human_ms(cell.elapsed_ms)}</span></li>'
    )


def _step_text(step: StepLine) -> str:
    text = f"  {'  ' * step.depth}{MARKS[step.state]} {step.name}"
    return f"{text}  ({step.note})" if step.note else text


def _step_html(step: StepLine) -> str:
    indent = f' style="padding-left:{step.depth * 1.4:.1f}em"' if step.depth else ""
    note = f'<span class="note">{escape(step.note)}</span>' if step.note else ""
    return (
        f'<li class="{step.state}"{indent}><i>{MARKS[step.state]}</i>'
        f"<span>{escape(step.name)}</span>{note}</li>"
    )
