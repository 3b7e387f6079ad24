"""Several tasks as one answer of the magics: text, HTML, and a value in code.

Called by `shell.magics.task_answers` and `shell.magics.report_answer`. Everything a user named is
escaped.
"""

from collections.abc import Sequence
from typing import overload

from flow_kernel.records.plain import one_line
from flow_kernel.session.task_card import ReportCard
from flow_kernel.session.task_text import MARKS
from flow_kernel.shell.views.display import Table
from flow_kernel.store.contract import TaskRow


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


class ReportCards(Sequence[ReportCard]):
    """The reports of several tasks, one below the other."""

    def __init__(self, cards: list[ReportCard]) -> None:
        self._cards = cards

    def __repr__(self) -> str:
        return "\n\n".join(map(repr, self._cards))

    def _repr_html_(self) -> str:
        return "<br>".join(card._repr_html_() for card in self._cards)

    @overload
    def __getitem__(self, index: int) -> ReportCard: ...
    @overload
    def __getitem__(self, index: slice) -> list[ReportCard]: ...
    def __getitem__(self, index: int | slice) -> ReportCard | list[ReportCard]:
        return self._cards[index]

    def __len__(self) -> int:
        return len(self._cards)
