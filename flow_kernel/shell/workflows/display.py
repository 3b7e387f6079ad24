"""Runs as answers of `%workflow`: text in a terminal, HTML in a notebook, a value in code.

Called by `shell.workflows.answers`. Everything a user named is escaped.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, overload

from IPython.core.getipython import get_ipython

from flow_kernel.records.plain import one_line
from flow_kernel.session.task_text import took_text
from flow_kernel.shell.views.display import Table
from flow_kernel.store.run_rows import RunRow
from flow_kernel.workflow.picture_html import html_of
from flow_kernel.workflow.picture_sight import Sight
from flow_kernel.workflow.picture_text import text_of
from flow_kernel.workflow.views import Run

_HEADER: Final = ("run", "workflow", "status", "task", "started (UTC)", "took", "why")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ShownRun(Run):
    """A run with what its picture needs; it is a `Run` as any other.

    Attributes:
        seen: As pictures show it.
        shown_in: The cell that shows it already.
    """

    seen: Sight
    shown_in: object = None

    @property
    def is_shown(self) -> bool:
        """True in the cell that shows it already."""
        return self.shown_in is not None and self.shown_in == cell_now()

    def __repr__(self) -> str:
        return str(self)

    def _repr_pretty_(self, printer: Any, is_cycle: bool) -> None:
        printer.text(str(self) if is_cycle or self.is_shown else text_of(self.seen))

    def _repr_html_(self) -> str:
        return html_of(self.seen)

    def _ipython_display_(self) -> None:
        # Below its own cell the picture has lived, and is not to be there twice.
        if not (self.is_shown and has_displays()):
            raise NotImplementedError


def shown(sight: Sight, *, shown_in: object = None) -> ShownRun:
    """A run that shows itself.

    Args:
        sight: As it is stored.
        shown_in: The cell that shows it already.
    """
    known = {each.name: getattr(sight.run, each.name) for each in fields(Run)}
    return ShownRun(**known, seen=sight, shown_in=shown_in)


class RunTable(Table, Sequence[RunRow]):
    """Runs, one a row; a sequence of their rows in the store."""

    def __init__(self, rows: list[RunRow]) -> None:
        self._runs = rows
        cells = [
            [
                row.run_id,
                one_line(row.workflow, 40),
                row.status,
                row.task_id,
                (row.started_at or "")[:19].replace("T", " "),
                took_text(row.started_at, row.completed_at),
                one_line(row.reason, 60),
            ]
            for row in rows
        ]
        super().__init__(_HEADER, cells, empty="nothing was run yet; try: %workflow run FILE")

    @overload
    def __getitem__(self, index: int) -> RunRow: ...
    @overload
    def __getitem__(self, index: slice) -> list[RunRow]: ...
    def __getitem__(self, index: int | slice) -> RunRow | list[RunRow]:
        return self._runs[index]

    def __len__(self) -> int:
        return len(self._runs)


def has_displays() -> bool:
    """True in a kernel, where what is shown can be drawn again."""
    return getattr(get_ipython(), "kernel", None) is not None


def cell_now() -> object:
    """What tells the cell that runs now from others."""
    shell: Any = get_ipython()
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return getattr(shell, "execution_count", None)
    return kernel.get_parent("shell").get("header", {}).get("msg_id")
