"""Tasks as answers of the magics: text in a terminal, HTML in a notebook, a value in code.

Called by `shell.task_magics`. Everything a user named is escaped.
"""

from collections.abc import Sequence
from html import escape
from typing import Final, overload

from flow_kernel.records.plain import one_line
from flow_kernel.session.flow import TaskView
from flow_kernel.session.task_text import (
    MARKS,
    StepLine,
    context_lines,
    state_of,
    step_lines,
    title_of,
)
from flow_kernel.shell.display import Table
from flow_kernel.store.contract import TaskRow

_STYLE: Final = (
    "<style>.flow-task{font-size:13px;line-height:1.5;max-width:34em}"
    ".flow-task .head{display:flex;gap:1em;align-items:baseline;flex-wrap:wrap}"
    ".flow-task .head b{font-weight:600}.flow-task .state{opacity:.7}"
    ".flow-task ul{list-style:none;margin:.2em 0 0;padding:0}"
    ".flow-task li{display:flex;gap:.6em}.flow-task li i{width:1em;font-style:normal}"
    ".flow-task .note{opacity:.6;margin-left:auto;font-weight:400}"
    ".flow-task .done i{color:#2a8a5c}.flow-task .failed i{color:#c4472f}"
    ".flow-task .doing{font-weight:600}.flow-task .doing i{color:#3b6fd4}"
    ".flow-task pre{margin:.3em 0 0;font-size:12px;background:none;padding:0}</style>"
)


class TaskCard:
    """One task with its steps and context; `view` holds the values."""

    def __init__(self, view: TaskView) -> None:
        self.view = view
        self._steps = step_lines(view.steps)
        self._context = context_lines(view.context)

    def __repr__(self) -> str:
        lines = [f"{title_of(self.view.task)}  [{state_of(self.view)}]"]
        if self.view.task.description:
            lines.append(f"  {one_line(self.view.task.description, 100)}")
        lines += [_step_text(step) for step in self._steps]
        lines += [f"  {line}" for line in self._context]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        task = self.view.task
        about = f"<div>{escape(one_line(task.description, 400))}</div>" if task.description else ""
        steps = "".join(map(_step_html, self._steps))
        context = escape("\n".join(self._context))
        return (
            f'{_STYLE}<div class="flow-task"><div class="head"><b>{escape(title_of(task))}</b>'
            f'<span class="state">{escape(state_of(self.view))}</span></div>{about}'
            f"{f'<ul>{steps}</ul>' if steps else ''}{f'<pre>{context}</pre>' if context else ''}"
            "</div>"
        )


class TaskTable(Table, Sequence[TaskRow]):
    """Tasks, one a row; a sequence of their rows in the store."""

    def __init__(self, tasks: list[TaskRow]) -> None:
        self._tasks = tasks
        rows = [
            [MARKS[task.status], task.task_id, one_line(task.name, 60), task.status, task.type]
            for task in tasks
        ]
        super().__init__(("", "task", "name", "status", "type"), rows, empty="no tasks yet")

    @overload
    def __getitem__(self, index: int) -> TaskRow: ...
    @overload
    def __getitem__(self, index: slice) -> list[TaskRow]: ...
    def __getitem__(self, index: int | slice) -> TaskRow | list[TaskRow]:
        return self._tasks[index]

    def __len__(self) -> int:
        return len(self._tasks)


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
