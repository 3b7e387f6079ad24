"""Plans, tasks and their context over HTTP, and what the first page needs.

Added to a server by `extension`.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

import orjson

from flow_kernel._version import __version__
from flow_kernel.apps.server.base import Looking
from flow_kernel.apps.sources import Filter
from flow_kernel.errors import NotFound, UsageError
from flow_kernel.records.lease import Lease
from flow_kernel.session.approval_text import document_of, level_of
from flow_kernel.session.task_states import STATUSES
from flow_kernel.store.contract import TaskRow
from flow_kernel.store.pages import TaskPlace, TaskWanted

_LIMIT: Final = 100
_MOST: Final = 500
_MOST_WORDS: Final = 20
_QUESTIONS: Final = 200
_DESCRIPTION_CHARS: Final = 400


class Overview(Looking):
    """What is seen on each page: the plans, open questions, and the sessions that live."""

    def look(self, **_: str) -> object:
        """The facts."""
        board = self.dashboard
        plans = board.flow().plans() if board.has_store else []
        return {
            "version": __version__,
            "home": str(board.home.root),
            "project": board.project.name,
            "user": self.who,
            "plans": [plan._asdict() for plan in plans],
            "approvals": board.desk().count_open() if board.has_store else 0,
            "sessions": [session_document(lease) for lease in board.sessions()],
        }


class TaskList(Looking):
    """`?plan= &status= &tag= &q= &limit= &cursor=`: tasks, the newest first.

    A page of a rare status or word may hold few rows and still have a `next`.
    """

    def look(self, **_: str) -> object:
        """One page."""
        before = _place_of(self.word("cursor"))
        if not self.dashboard.has_store:
            return {"items": [], "next": None, "statuses": [*STATUSES]}
        flow = self.dashboard.flow()
        wanted = TaskWanted(
            plan_id=self.word("plan") or None,
            statuses=tuple(filter(None, [self.word("status")])),
            tag=self.word("tag") or None,
            words=self.word("q").casefold().split()[:_MOST_WORDS],
        )
        limit = self.count("limit", _LIMIT, most=_MOST)
        found = flow.task_page(wanted, before=before, limit=limit)
        with flow.store.read() as view:
            items = [_item(row, view.tags(row.plan_id, row.task_id)) for row in found.rows]
        following = None if found.last is None else orjson.dumps([*found.last]).decode()
        return {"items": items, "next": following, "statuses": [*STATUSES]}


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
        questions = self.dashboard.desk().of_task(*place, limit=_QUESTIONS)
        return {
            **_item(view.task, view.tags),
            "description": view.task.description,
            "steps": [asdict(step) for step in view.steps],
            "context": [
                {"key": key, "value": value} for key, value in sorted(view.context.items())
            ],
            "approvals": [document_of(row) | {"level_text": level_of(row)} for row in questions],
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


def _place_of(cursor: str) -> TaskPlace | None:
    if not cursor:
        return None
    try:
        found = orjson.loads(cursor)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, list) or [type(each) for each in found] != [str] * 3:
        raise UsageError(f"{cursor[:40]!r} is no cursor")
    return TaskPlace(*found)
