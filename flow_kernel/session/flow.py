"""The state of a home for any process: tasks and their context.

Called by users through `flow_kernel.open_flow()`, by `session.tasks` and by the command line.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from flow_kernel.errors import NotFound, UsageError
from flow_kernel.records.home import Home
from flow_kernel.records.names import is_plan_id, is_task_id
from flow_kernel.session.approval_tasks import as_seen
from flow_kernel.session.closed_store import ClosedStore
from flow_kernel.session.context_values import encoded
from flow_kernel.session.person import Author, name_of
from flow_kernel.session.suggestions import ranked
from flow_kernel.session.task_desk import NewTask, TaskDesk
from flow_kernel.store.contract import ContextValue, PlanRow, Reading, StepRow, Store, TaskRow
from flow_kernel.store.pages import Page, TaskPlace, TaskWanted

_SUGGESTIONS: Final = 20
_USES: Final = 1000  # 2 ms
_LOOKED_AT: Final = 20_000  # 50 ms where a text is looked for


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskView:
    """A task with all that belongs to it."""

    task: TaskRow
    steps: list[StepRow]
    context: dict[str, object]
    tags: list[str]


class Flow:
    """Plans, tasks and context of one home; safe with several threads and processes."""

    def __init__(  # noqa: PLR0913 - the assembly passes them once, each by name
        self,
        home: Home,
        store: Store,
        *,
        plan_id: str,
        author: Author,
        now: Callable[[], str],
        carry: Callable[[], object],
        on_close: Callable[[], object] = lambda: None,
    ) -> None:
        """Work on `store`.

        Args:
            home: Where the logs lie.
            store: The state.
            plan_id: The plan that a bare task id belongs to.
            author: Who makes the changes.
            now: UTC with milliseconds.
            carry: Brings the changes into the logs; called by `sync` and at the end.
            on_close: What ends with this handle.
        """
        self.home = home
        self.store: Store = store
        self.plan_id = plan_id
        self._who = author
        self.now: Callable[[], str] = now
        self._carry = carry
        self._on_close = on_close
        self._is_closed = False
        self._desk = TaskDesk(store, home.root.parent, author=author, now=now)

    def task(self, task_id: str) -> TaskRow:
        """One task.

        Args:
            task_id: `T-0001`, or `plan/T-0001` for a task of another plan.

        Raises:
            UsageError: That is no task id.
            NotFound: There is no such task.
        """
        place = self._place(task_id)
        with self.store.read() as view:
            return as_seen(view, _known(view, place), at=self.now())

    def view(self, task_id: str) -> TaskView:
        """A task with its steps, context and tags, as they were at one moment; see `task`."""
        place = self._place(task_id)
        with self.store.read() as view:
            return TaskView(
                task=as_seen(view, _known(view, place), at=self.now()),
                steps=view.steps(*place),
                context=view.context(*place),
                tags=view.tags(*place),
            )

    def plans(self) -> list[PlanRow]:
        """The plans that have tasks, by name, with how many they have."""
        with self.store.read() as view:
            return view.plans()

    def tasks(self, plan_id: str | None = None, *, status: str | None = None) -> list[TaskRow]:
        """Tasks in the order of plan and id.

        Args:
            plan_id: Only those of this plan.
            status: Only those with this status.
        """
        with self.store.read() as view:
            at = self.now()
            found = [as_seen(view, task, at=at) for task in view.tasks(plan_id)]
        return [task for task in found if status in (None, task.status)]

    def task_page(
        self, wanted: TaskWanted, *, before: TaskPlace | None = None, limit: int
    ) -> Page[TaskRow, TaskPlace]:
        """Tasks, the newest first, from where the page before ended; see `store.pages`.

        Args:
            wanted: Which.
            before: The `last` of the page before.
            limit: How many; fewer where few of those that were looked at match.
        """
        # One that waits for questions whose time is over goes on, and only `as_seen` knows.
        kinds = {*wanted.statuses} | ({"waiting"} if "doing" in wanted.statuses else set())
        at = self.now()
        with self.store.read() as view:
            found = view.task_page(
                replace(wanted, statuses=(*kinds,)),
                before=before,
                limit=limit,
                looked_at=_LOOKED_AT,
            )
            rows = [as_seen(view, row, at=at) for row in found.rows]
        is_wanted = {*wanted.statuses}
        return Page(
            rows=[row for row in rows if not is_wanted or row.status in is_wanted],
            last=found.last,
        )

    def start_task(
        self,
        name: str,
        description: str = "",
        *,
        steps: Sequence[str] = (),
        type: str = "custom",
        plan_id: str | None = None,
        parent_id: str | None = None,
    ) -> TaskView:
        """Create a task and begin it.

        Args:
            name: Any text but the reserved words.
            description: What is to be done.
            steps: The plan: names of steps, in order.
            type: One of `task_states.TYPES`.
            plan_id: The plan it belongs to; that of its parent, or of this handle, by default.
            parent_id: The task that it is a part of.

        Raises:
            UsageError: A name, the type or a plan cannot be used; nothing was written.
            NotFound: There is no such parent.
        """
        around = self._place(parent_id) if parent_id is not None else (self.plan_id, None)
        if plan_id is not None and parent_id is not None and plan_id != around[0]:
            raise UsageError(f"{parent_id[:60]} belongs to another plan than {plan_id[:60]}")
        new = NewTask(
            plan_id=around[0] if plan_id is None else plan_id,
            parent_id=around[1],
            name=name,
            description=description,
            steps=steps,
            type=type,
        )
        task = self._desk.start(new)
        return self.view(f"{task.plan_id}/{task.task_id}")

    def begin_step(self, task_id: str, name: str) -> TaskView:
        """Begin a step of a task; the ones that were being done are done.

        Raises:
            UsageError: The id or the name cannot be used.
            NotFound: There is no such task.
            IllegalTransition: The task has ended.
        """
        self._desk.next_step(self._place(task_id), name)
        return self.view(task_id)

    def log(self, task_id: str, text: str) -> TaskView:
        """Add a line to the log of a task, in the step that is being done; see `task`."""
        place = self._place(task_id)
        doing = [step.name for step in self.view(task_id).steps if step.state == "doing"]
        self._desk.log(place, text, step=doing[-1] if doing else None)
        return self.view(task_id)

    def add_artifact(self, task_id: str, path: str | os.PathLike[str]) -> None:
        """Note a file that a task makes; its size and checksum are taken when the task ends."""
        self._desk.add_artifact(self._place(task_id), path)

    def finish_task(self, task_id: str) -> TaskView:
        """The task is done, and so are its open steps.

        Raises:
            NotFound: There is no such task.
            IllegalTransition: It has ended already.
        """
        return self._end(task_id, "finish")

    def fail_task(self, task_id: str, reason: str) -> TaskView:
        """The task failed, and so did its open steps; see `finish_task`."""
        return self._end(task_id, "fail", reason)

    def cancel_task(self, task_id: str, reason: str = "") -> TaskView:
        """Give the task up; see `finish_task`."""
        return self._end(task_id, "cancel", reason)

    def reopen_task(self, task_id: str) -> TaskView:
        """Go on with a task that has ended.

        Raises:
            NotFound: There is no such task.
            IllegalTransition: It has not ended.
        """
        self._desk.reopen(self._place(task_id))
        return self.view(task_id)

    def update_task_context(
        self, task_id: str, context: Mapping[str, object], *, merge: bool = True
    ) -> dict[str, object]:
        """Set keys of a task's context; concurrent updates never lose one another.

        Args:
            task_id: `T-0001`, or `plan/T-0001`.
            context: JSON values by key.
            merge: False removes the keys that `context` does not name.

        Returns:
            The context as it is now.

        Raises:
            UsageError: A value is not JSON; nothing was written.
            NotFound: There is no such task.
        """
        values = encoded(context)
        place = self._place(task_id)
        with self.store.write() as change:
            _require(change, place)
            at = self.now()
            if not merge:
                gone = [key for key in change.context(*place) if key not in values]
                change.remove_context(*place, gone, author=name_of(self._who), at=at)
            change.put_context(*place, values, author=name_of(self._who), at=at)
            return change.context(*place)

    def set_task_context(self, task_id: str, context: Mapping[str, object]) -> dict[str, object]:
        """Replace a task's context; see `update_task_context`."""
        return self.update_task_context(task_id, context, merge=False)

    def get_task_context(self, task_id: str) -> dict[str, object]:
        """The context of a task.

        Raises:
            NotFound: There is no such task.
        """
        place = self._place(task_id)
        with self.store.read() as view:
            _require(view, place)
            return view.context(*place)

    def context_history(self, task_id: str, key: str) -> list[ContextValue]:
        """What a key of a task's context held, oldest first, and who set it."""
        place = self._place(task_id)
        with self.store.read() as view:
            _require(view, place)
            return view.context_history(*place, key)

    def suggest(self, key: str) -> list[object]:
        """Values that tasks gave to `key`, now or before: the last one, then the most frequent."""
        with self.store.read() as view:
            return ranked(view.uses_of(key, limit=_USES), limit=_SUGGESTIONS)

    def tasks_with(self, key: str, value: object) -> list[TaskRow]:
        """Tasks whose context holds `value` under `key`.

        Raises:
            UsageError: The value is not JSON.
        """
        encoded({key: value})
        with self.store.read() as view:
            return view.tasks_with(key, value)

    def tag(self, task_id: str, tag: str, *, is_set: bool = True) -> list[str]:
        """Add a tag to a task, or remove it. Returns the task's tags."""
        if type(tag) is not str or not tag.strip() or "\0" in tag:
            raise UsageError(f"a tag is text of at least one character, not {tag!r:.60}")
        place = self._place(task_id)
        with self.store.write() as change:
            _require(change, place)
            change.put_tag(*place, tag.strip(), is_set=is_set, at=self.now())
            return change.tags(*place)

    def tags(self, task_id: str) -> list[str]:
        """The tags of a task, sorted."""
        place = self._place(task_id)
        with self.store.read() as view:
            _require(view, place)
            return view.tags(*place)

    def tasks_tagged(self, tag: str) -> list[TaskRow]:
        """Tasks that carry `tag`."""
        with self.store.read() as view:
            return view.tasks_tagged(tag)

    @property
    def is_closed(self) -> bool:
        """True once `close` was called."""
        return self._is_closed

    def sync(self) -> None:
        """Bring all changes into the logs of their tasks now; `close` does it, too.

        What cannot be written waits in the store for the next one who opens it.
        """
        if not self._is_closed:
            self._carry()

    def close(self) -> None:
        """Bring the changes into the logs and close the store; harmless the second time.

        Whatever is asked of this handle afterwards raises StoreError.
        """
        if not self._is_closed:
            self._is_closed = True
            try:
                self._carry()
            finally:
                self._on_close()
                self.store.close()
                self.store = ClosedStore()

    def _end(self, task_id: str, event: str, reason: str = "") -> TaskView:
        self._desk.end(self._place(task_id), event, reason=reason)
        return self.view(task_id)

    def _place(self, task_id: str) -> tuple[str, str]:
        if type(task_id) is str:
            plan_id, slash, bare = task_id.rpartition("/")
            plan_id = plan_id if slash else self.plan_id
            if is_task_id(bare) and is_plan_id(plan_id):
                return plan_id, bare
        raise UsageError(f'"{task_id!s:.60}" is no task id', hint="task ids look like T-0001")


def _known(view: Reading, place: tuple[str, str]) -> TaskRow:
    found = view.task(*place)
    if found is None:
        raise _no_task(place)
    return found


def _require(view: Reading, place: tuple[str, str]) -> None:
    if not view.has_task(*place):
        raise _no_task(place)


def _no_task(place: tuple[str, str]) -> NotFound:
    return NotFound(
        f"there is no task {place[1]} in plan {place[0]}", hint="see: jupyter flow tasks"
    )
