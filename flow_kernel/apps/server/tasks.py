"""Plans, tasks and their context over HTTP, and what the first page needs.

Added to a server by `extension`.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from flow_kernel._version import __version__
from flow_kernel.apps.server.base import Looking, paged
from flow_kernel.apps.sources import Filter
from flow_kernel.errors import NotFound
from flow_kernel.records.lease import Lease
from flow_kernel.session.approval_text import document_of
from flow_kernel.session.task_states import STATUSES
from flow_kernel.store.contract import TaskRow

_LIMIT: Final = 100
_MOST: Final = 500
_DESCRIPTION_CHARS: Final = 400


class Overview(Looking):
    """What is seen on each page: the plans, open questions, and the sessions that live."""

    def look(self, **_: str) -> object:
        """The facts."""
        board = self.dashboard
        questions = board.desk().list(status="open") if board.has_store else []
        plans = board.flow().plans() if board.has_store else []
        return {
            "version": __version__,
            "home": str(board.home.root),
            "project": board.project.name,
            "user": self.who,
            "plans": [plan._asdict() for plan in plans],
            "approvals": len(questions),
            "sessions": [session_document(lease) for lease in board.sessions()],
        }


class TaskList(Looking):
    """`?plan= &status= &tag= &q= &limit= &cursor=`: tasks, the newest first."""

    def look(self, **_: str) -> object:
        """One page."""
        if not self.dashboard.has_store:
            return {"items": [], "next": None, "total": 0}
        flow = self.dashboard.flow()
        tasks = flow.tasks(self.word("plan") or None, status=self.word("status") or None)
        if tag := self.word("tag"):
            tagged = {(row.plan_id, row.task_id) for row in flow.tasks_tagged(tag)}
            tasks = [row for row in tasks if (row.plan_id, row.task_id) in tagged]
        words = self.word("q").casefold().split()
        tasks = [row for row in tasks if _holds(row, words)]
        tasks.sort(key=lambda row: (row.created_at, row.task_id), reverse=True)
        found, following = paged(
            tasks, self.word("cursor") or "0", self.count("limit", _LIMIT, most=_MOST)
        )
        with flow.store.read() as view:
            items = [_item(row, view.tags(row.plan_id, row.task_id)) for row in found]
        return {"items": items, "next": following, "total": len(tasks), "statuses": [*STATUSES]}


class TaskPage(Looking):
    """One task with its steps, context, tags and questions."""

    def look(self, **where: str) -> object:
        """The facts."""
        home, place = self.dashboard.home, (where["plan_id"], where["task_id"])
        Filter(plan_id=place[0], task_id=place[1])  # an id that is none is refused
        try:
            flow = self.dashboard.flow()
            view = flow.view("/".join(place))
        except NotFound:
            if not home.log_path(*place).exists():
                raise
            return _of_log_alone(*place)
        place = (view.task.plan_id, view.task.task_id)
        questions = self.dashboard.desk().list()
        return {
            **_item(view.task, view.tags),
            "description": view.task.description,
            "steps": [asdict(step) for step in view.steps],
            "context": [
                {"key": key, "value": value} for key, value in sorted(view.context.items())
            ],
            "approvals": [
                document_of(row) for row in questions if (row.plan_id, row.task_id) == place
            ],
        }


class ContextHistory(Looking):
    """`?key=`: what a key of a task's context held."""

    def look(self, **where: str) -> object:
        """Oldest first."""
        task = f"{where['plan_id']}/{where['task_id']}"
        found = self.dashboard.flow().context_history(task, self.word("key"))
        return {"items": [asdict(value) for value in found], "next": None}


def _of_log_alone(plan_id: str, task_id: str) -> dict[str, object]:
    """What is told of cells that belong to no task that was begun."""
    row = TaskRow(plan_id=plan_id, task_id=task_id, name="Cells outside any task", status="")
    return _item(row, []) | {"steps": [], "context": [], "approvals": []}


def session_document(lease: Lease) -> dict[str, object]:
    """What is told of a session that lives."""
    return {
        "session": lease.session,
        "pid": lease.process.pid,
        "plan_id": lease.plan_id,
        "task_id": lease.task_id,
        "notebook": lease.notebook,
        "started_at": lease.started_at,
        "has_kernel": bool(lease.connection_file),
    }


def _item(row: TaskRow, tags: Sequence[str]) -> dict[str, object]:
    found = asdict(row)
    found["description"] = row.description[:_DESCRIPTION_CHARS]
    return found | {"tags": [*tags]}


def _holds(row: TaskRow, words: Sequence[str]) -> bool:
    told = f"{row.plan_id}/{row.task_id} {row.name} {row.description} {row.type}".casefold()
    return all(word in told for word in words)
