"""Where tasks are changed, by any process: each change is one transaction.

Called by `session.tasks` for a notebook, and by `session.flow` for programs and the command line.

What a change means is decided in `task_states`. Nobody's place moves here: which task a notebook is
in is the business of `session.tasks`. A step has no process of its own, so it can be begun in one
and ended in another; what a kernel was doing when it ended is interrupted by the next one.
"""

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from flow_kernel.errors import IllegalTransition, NotFound, UsageError
from flow_kernel.records.names import is_plan_id
from flow_kernel.session.artifacts import (
    KEY,
    Artifact,
    artifacts_of,
    document_of,
    look_at,
    path_in,
    with_path,
)
from flow_kernel.session.context_values import encoded
from flow_kernel.session.person import Author, name_of
from flow_kernel.session.task_states import (
    OPEN,
    begin_step,
    checked_name,
    checked_type,
    step_step,
    step_task,
    way_back,
)
from flow_kernel.store.contract import Reading, StepRow, Store, TaskRow, Writing

INTERRUPTED: Final = "interrupted"
"""Why a step failed that a kernel was doing when it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """What a task is started with.

    Attributes:
        plan_id: The plan it belongs to.
        name: Any text but the reserved words.
        description: What is to be done.
        steps: The plan: names of steps, in order.
        type: One of `task_states.TYPES`.
        parent_id: The task of the same plan that it is a part of.
    """

    plan_id: str
    name: str
    description: str = ""
    steps: Sequence[str] = ()
    type: str = "custom"
    parent_id: str | None = None


class Ended(NamedTuple):
    """A task that has ended, and the open one that it was a part of."""

    task: TaskRow
    back_to: str | None


class TaskDesk:
    """Changes of the tasks of one home; safe with several threads and processes.

    A place is the plan and the id of a task.

    Args:
        store: The state of the home.
        project: The directory that the home lies in.
        author: Who makes the changes.
        now: UTC with milliseconds.
        notebook: Where the task that is started or ended is open; empty when in none.
    """

    def __init__(
        self,
        store: Store,
        project: Path,
        *,
        author: Author,
        now: Callable[[], str],
        notebook: str = "",
    ) -> None:
        self._store = store
        self._project = project
        self._who = author
        self._now = now
        self._notebook = notebook

    @property
    def _author(self) -> str:
        return name_of(self._who)

    def start(self, new: NewTask) -> TaskRow:
        """Create a task and begin it.

        Raises:
            UsageError: A name, the type or the plan cannot be used; nothing was written.
            NotFound: There is no such parent.
        """
        if not isinstance(new.plan_id, str) or not is_plan_id(new.plan_id):
            raise UsageError(f'"{new.plan_id!s:.60}" is no plan id', hint="a plan id has no blanks")
        if isinstance(new.steps, str):
            raise UsageError("steps are a list of names, not one text")
        description = _written(new.description, "a description")
        at = self._now()
        with self._store.write() as change:
            if new.parent_id is not None:
                _known(change, (new.plan_id, new.parent_id))
            task = TaskRow(
                plan_id=new.plan_id,
                task_id=change.new_task_id(new.plan_id),
                name=checked_name(new.name),
                description=description,
                type=checked_type(new.type),
                parent_id=new.parent_id,
                author=self._author,
                created_at=at,
            )
            task = step_task(task, "start", at=at)
            change.put_task(task, at=at)
            for number, step in enumerate(new.steps, 1):
                planned = StepRow(
                    plan_id=new.plan_id,
                    task_id=task.task_id,
                    number=number,
                    name=checked_name(step),
                )
                change.put_step(planned, at=at)
            self._remember(change, task)
        return task

    def adopt(self, place: tuple[str, str], *, name: str) -> TaskRow:
        """Begin to work on a task; one that does not exist is created under its id.

        Args:
            place: Of the task.
            name: For a new one; its id where there is none.
        """
        at = self._now()
        with self._store.write() as change:
            task = change.task(*place)
            if task is None:
                task = TaskRow(
                    plan_id=place[0],
                    task_id=place[1],
                    name=checked_name(name or place[1]),
                    author=self._author,
                    created_at=at,
                )
                change.reserve_task_id(*place)
            if task.status == "todo":
                task = step_task(task, "start", at=at)
                change.put_task(task, at=at)
            self._remember(change, task)
        return task

    def begin_step(self, place: tuple[str, str], name: str, *, mine: Sequence[int] = ()) -> StepRow:
        """Begin a step.

        Args:
            place: Of the task.
            name: Of the step; the planned one of that name, if there is one.
            mine: Numbers of the steps it lies in, the innermost first.

        Raises:
            IllegalTransition: The task has ended.
        """
        at = self._now()
        with self._store.write() as change:
            task = _open(change, place)
            parent = mine[0] if mine else None
            steps = change.steps(*place)
            row = begin_step(steps, task, checked_name(name), parent=parent, mine=mine)
            step = step_step(row, "begin", at=at)
            change.put_step(step, at=at)
        return step

    def next_step(self, place: tuple[str, str], name: str) -> StepRow:
        """Begin a step; all that were being done in the task are done."""
        at = self._now()
        name = checked_name(name)
        with self._store.write() as change:
            task = _open(change, place)
            _end_rows(change, place, at=at, failure=None)
            row = begin_step(change.steps(*place), task, name, parent=None)
            step = step_step(row, "begin", at=at)
            change.put_step(step, at=at)
        return step

    def end_steps(
        self, steps: Sequence[tuple[tuple[str, str], int]], *, failure: str | None
    ) -> None:
        """End steps, each given by its place and number; None means that they are done.

        Steps that have ended meanwhile are left as they are.
        """
        at = self._now()
        with self._store.write() as change:
            for place, number in steps:
                _end_rows(change, place, at=at, failure=failure, numbers={number})

    def interrupt(self, place: tuple[str, str]) -> None:
        """Nobody does the steps any more that were being done: the kernel that did has ended."""
        at = self._now()
        with self._store.write() as change:
            _end_rows(change, place, at=at, failure=INTERRUPTED)

    def log(self, place: tuple[str, str], text: str, *, step: str | None = None) -> None:
        """Add a line to the log of a task, whatever its status is.

        Raises:
            UsageError: That is no text.
            NotFound: There is no such task.
        """
        said = _written(text, "a line of the log")
        with self._store.write() as change:
            _known(change, place)
            fields = {"step": step, "log": said, "author": self._author}
            change.note("step", *place, self._now(), fields)

    def unset(self, place: tuple[str, str], key: str) -> None:
        """Remove a key from a task's context."""
        with self._store.write() as change:
            change.remove_context(*place, [key], author=self._author, at=self._now())

    def add_artifact(self, place: tuple[str, str], path: str | os.PathLike[str]) -> None:
        """Note a file that the task makes; it is looked at when the task ends.

        Raises:
            UsageError: That is no path, or the context holds something else under the key.
            NotFound: There is no such task.
        """
        named = path_in(self._project, path)
        with self._store.write() as change:
            _known(change, place)
            values = encoded({KEY: with_path(change.context(*place), named)})
            change.put_context(*place, values, author=self._author, at=self._now())

    def end(self, place: tuple[str, str], event: str, *, reason: str = "") -> Ended:
        """End a task: finish, fail or cancel. Its open steps end with it.

        Raises:
            UsageError: It failed, and nobody says why.
            NotFound: There is no such task.
            IllegalTransition: It has ended already.
        """
        reason = _written(reason, "a reason")
        if event == "fail" and not reason.strip():
            raise UsageError("fail takes a reason")
        looked_at = self._artifacts(place)
        at = self._now()
        with self._store.write() as change:
            task = step_task(_known(change, place), event, at=at, reason=reason)
            # Those of other processes, too.
            failure = None if event == "finish" else reason or event
            _end_rows(change, place, at=at, failure=failure)
            if looked_at:
                # One that was named meanwhile stays as it is.
                items = artifacts_of(change.context(*place))
                found = [document_of(looked_at.get(item.path, item)) for item in items]
                change.put_context(*place, encoded({KEY: found}), author=self._author, at=at)
            change.put_task(task, at=at)
            parent = change.task(task.plan_id, task.parent_id) if task.parent_id else None
            back_to = parent.task_id if parent and parent.status in OPEN else None
            if self._notebook:
                change.put_resumable(self._notebook, task.plan_id, back_to)
        return Ended(task, back_to)

    def reopen(self, place: tuple[str, str], *, takes_open: bool = False) -> TaskRow:
        """Go on with a task that has ended.

        Args:
            place: Of the task.
            takes_open: True to go on with one that has not ended as well: it was begun elsewhere.

        Raises:
            NotFound: There is no such task.
            IllegalTransition: It has not ended.
        """
        at = self._now()
        with self._store.write() as change:
            task = _known(change, place)
            if not takes_open or task.status not in ("doing", "waiting"):
                event = "start" if takes_open and task.status == "todo" else "reopen"
                task = step_task(task, event, at=at)
                change.put_task(task, at=at)
            self._remember(change, task)
        return task

    def _artifacts(self, place: tuple[str, str]) -> dict[str, Artifact]:
        """The files of a task as they are now, by path; read before anybody has to wait for it."""
        with self._store.read() as view:
            named = artifacts_of(view.context(*place))
        return {item.path: look_at(self._project, item) for item in named}

    def _remember(self, change: Writing, task: TaskRow) -> None:
        if self._notebook:
            change.put_resumable(self._notebook, task.plan_id, task.task_id)


def _end_rows(
    change: Writing,
    place: tuple[str, str],
    *,
    at: str,
    failure: str | None,
    numbers: Collection[int] | None = None,
) -> None:
    """End the steps of a task that are being done, the last one first; None means all of them."""
    for row in reversed(change.steps(*place)):
        if row.state == "doing" and (numbers is None or row.number in numbers):
            event = "done" if failure is None else "fail"
            change.put_step(step_step(row, event, at=at, reason=failure or ""), at=at)


def _known(view: Reading, place: tuple[str, str]) -> TaskRow:
    task = view.task(*place)
    if task is None:
        raise NotFound(
            f"there is no task {place[1]} in plan {place[0]}", hint="see: jupyter flow tasks"
        )
    return task


def _open(view: Reading, place: tuple[str, str]) -> TaskRow:
    task = _known(view, place)
    if task.status not in OPEN:
        raise IllegalTransition(
            f"task {task.task_id} is {task.status}; nothing was changed",
            hint=way_back(task),
        )
    return task


def _written(text: str, what: str) -> str:
    """`text` as UTF-8 can hold it; raises UsageError where it is none."""
    if not isinstance(text, str):
        raise UsageError(f"{what} is text, not {type(text).__name__}")
    return text.encode("utf-8", "backslashreplace").decode()
