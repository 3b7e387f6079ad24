"""Where everything that shows a task gets its texts, from the formatter that the user chose.

Made by `session.assembly` for a session and by `apps.flow_config` for the command line.

A formatter is code of the user's: whatever it does wrong, the text is ours, and it is said once.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Final

from flow_kernel.errors import UsageError
from flow_kernel.records.plain import one_line
from flow_kernel.session.flow import TaskView
from flow_kernel.session.progress import Progress
from flow_kernel.session.task_text import TaskFormatter, depths_of
from flow_kernel.settings import ISOLATED_TYPES
from flow_kernel.store.contract import StepRow, TaskRow

ENTRY_POINTS: Final = "flow_kernel.formatters"
_WIDTH: Final = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLine:
    """One step as it is shown.

    Attributes:
        state: planned, doing, done or failed.
        depth: How many steps it lies in.
        name: Safe to print.
        note: How long it took, or why it failed; safe to print.
    """

    state: str
    depth: int
    name: str
    note: str


class TaskTexts:
    """The texts of tasks: one line each, safe to print.

    Args:
        formatter: Whose they are; ours by default.
        isolated_types: Types of tasks whose cells are isolated by default.
        say: Tells the person that the formatter failed.
    """

    def __init__(
        self,
        formatter: object | None = None,
        *,
        isolated_types: Collection[str] = ISOLATED_TYPES,
        say: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._ours = TaskFormatter()
        self._theirs = self._ours if formatter is None else formatter
        self._isolated_types = isolated_types
        self._say = say
        self._has_failed = False

    def title(self, task: TaskRow) -> str:
        """Id and name of a task."""
        return self._text("title", task)

    def state(self, view: TaskView) -> str:
        """How far a task is."""
        return self._text("state", view)

    def kind(self, task: TaskRow) -> str:
        """The type of a task, and what follows from it."""
        return self._text("kind", task, is_isolated=task.type in self._isolated_types)

    def steps(self, steps: Iterable[StepRow]) -> list[StepLine]:
        """Steps in order, each with its depth."""
        rows = list(steps)
        depths = depths_of(rows)
        return [
            StepLine(
                state=row.state,
                depth=depths[row.number],
                name=self._text("step", row),
                note=self._text("step_note", row),
            )
            for row in rows
        ]

    def progress(self, progress: Progress) -> str:
        """How far a step is."""
        return self._text("progress", progress)

    def summary(self, view: TaskView, *, cells: int, failures: int) -> str:
        """How much was run for a task."""
        return self._text("summary", view, cells=cells, failures=failures)

    def _text(self, method: str, *args: object, **facts: object) -> str:
        if self._theirs is not self._ours:
            try:
                found = getattr(self._theirs, method)(*args, **facts)
                if isinstance(found, str):
                    return one_line(found, _WIDTH)
                problem = f"gave {type(found).__name__}, not text"
            except Exception as error:  # noqa: BLE001 - code of the user's, which may raise anything
                problem = f"raised {type(error).__name__}: {one_line(str(error), 80)}"
            if not self._has_failed:
                self._has_failed = True
                name = type(self._theirs).__name__
                self._say(f"formatter {name}.{method} {problem}; the plain text is shown instead")
        ours: str = getattr(self._ours, method)(*args, **facts)
        return one_line(ours, _WIDTH)


def load_texts(
    name: str, *, isolated_types: Collection[str], say: Callable[[str], None]
) -> TaskTexts:
    """The texts of the formatter `name`; ours where it cannot be had, which is said.

    Args:
        name: `module.Class`, or the name of an entry point in `flow_kernel.formatters`; empty means
            ours.
        isolated_types: Types of tasks whose cells are isolated by default.
        say: Tells the person what went wrong.
    """
    formatter = None
    if name:
        try:
            formatter = _loaded(name)()
        except Exception as error:  # noqa: BLE001 - importing runs code of the user's
            why = one_line(str(error), 100)
            say(f"formatter {one_line(name, 60)} cannot be used: {type(error).__name__}: {why}")
    return TaskTexts(formatter, isolated_types=isolated_types, say=say)


def _loaded(name: str) -> Callable[[], object]:
    module, _, attribute = name.rpartition(".")
    if module:
        found = getattr(import_module(module), attribute)
    else:
        from importlib.metadata import entry_points  # 10 ms that few need to pay

        points = list(entry_points(group=ENTRY_POINTS, name=name))
        if not points:
            raise UsageError(f'no package offers the formatter "{name[:60]}"')
        found = points[0].load()
    if not callable(found):
        raise UsageError(f"it is no class but {type(found).__name__}")
    made: Callable[[], object] = found
    return made
