"""Workers as answers of `%workers`: text in a terminal, HTML in a notebook, a value in code.

Called by `shell.isolated.workers_answers`. Everything a user named is escaped.
"""

from collections.abc import Sequence
from typing import Final, overload

from flow_kernel.session.isolation.steering import Restarted
from flow_kernel.session.isolation.worker_looks import WorkerView
from flow_kernel.session.isolation.worker_text import (
    HEADER,
    NONE,
    cells_of,
    facts_of,
    title_of,
)
from flow_kernel.shell.views.checkpoint_lines import Lines
from flow_kernel.shell.views.display import Table

_GONE: Final = "its variables are gone; those of this session are as they were"


class WorkerTable(Table, Sequence[WorkerView]):
    """Workers, one a row; a sequence of what is known of each."""

    def __init__(self, views: list[WorkerView]) -> None:
        self._views = views
        super().__init__(HEADER, [cells_of(view) for view in views], empty=NONE)

    @overload
    def __getitem__(self, index: int) -> WorkerView: ...
    @overload
    def __getitem__(self, index: slice) -> list[WorkerView]: ...
    def __getitem__(self, index: int | slice) -> WorkerView | list[WorkerView]:
        return self._views[index]

    def __len__(self) -> int:
        return len(self._views)


class WorkerCard(Lines):
    """One worker; `worker` holds the values."""

    def __init__(self, view: WorkerView) -> None:
        self.worker = view
        super().__init__(title_of(view), [], rows=facts_of(view))


class StopCard(Lines):
    """A worker that was ended; `worker` holds what it was."""

    def __init__(self, view: WorkerView) -> None:
        self.worker = view
        super().__init__(f"{title_of(view)} was stopped", [_GONE])


class RestartCard(Lines):
    """A worker that took the place of another; `worker` and `before` hold the values."""

    def __init__(self, restarted: Restarted) -> None:
        self.before: WorkerView = restarted.before
        self.worker: WorkerView = restarted.now
        title = f"{title_of(self.before)} was stopped, and {self.worker.line.worker_id} begun"
        super().__init__(title, [_GONE])
