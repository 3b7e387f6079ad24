"""The tasks of one session: started, stepped, finished, resumed.

Called by the `%task` magic and by users through `flow_kernel.current_session()`.

`task_desk` changes the rows; here is known which task and steps this session is in, and the
recorder is told where its records go.
A task that is started while another one is open is a part of it; its end leads back there.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import takewhile

from flow_kernel.errors import NotFound
from flow_kernel.records.names import ADHOC_TASK
from flow_kernel.session.announcer import Emit, silent
from flow_kernel.session.flow import Flow, TaskView
from flow_kernel.session.person import Author
from flow_kernel.session.place import Whereabouts
from flow_kernel.session.progress import Progress
from flow_kernel.session.report import TaskReport
from flow_kernel.session.reports import report_on
from flow_kernel.session.steps import Begun, ShowProgress, Step, StepWays
from flow_kernel.session.task_desk import NewTask, TaskDesk
from flow_kernel.session.task_events import tell_end, tell_start, was_begun
from flow_kernel.session.task_states import OPEN, checked_name
from flow_kernel.store.contract import StepRow, TaskRow


class Tasks:
    """The open task of a session and what can be done with it.

    Args:
        flow: The state of the home.
        where: Told which task and step cells belong to.
        author: Who works here.
        notebook: What a restarted kernel is recognised by; empty when nothing is known.
        now: UTC with milliseconds.
        carry: Brings changes into the log.
        show_progress: Draws the progress of a step.
        describe: Puts the progress of a step into words.
        emit: Tells agents; `keep` does once they listen.
        on_end: Told of the end of a step or a task: which of them, and its name.
    """

    def __init__(  # noqa: PLR0913 - the assembly passes them once, each by name
        self,
        flow: Flow,
        where: Whereabouts,
        *,
        author: Author,
        notebook: str,
        now: Callable[[], str],
        carry: Callable[[], object],
        show_progress: ShowProgress,
        describe: Callable[[Progress], str] = Progress.note,
        emit: Emit = silent,
        keep: Emit = silent,
        on_end: Callable[[str, str], object] = lambda kind, name: None,
    ) -> None:
        self.flow: Flow = flow
        """The state of the home."""
        self._where = where
        project = flow.home.root.parent
        self._desk = TaskDesk(flow.store, project, author=author, now=now, notebook=notebook)
        self._notebook = notebook
        self._carry = carry
        self._emit = emit
        self._keep = keep
        self._on_end = on_end
        self._step_ways = StepWays(
            log=self.log, artifact=self.artifact, describe=describe, show=show_progress
        )
        self._begun: list[Begun] = []
        self._ended: str | None = None
        self._resumed: tuple[str, str] | None = None
        self._seen = flow.store.version()
        where.look = self.look

    @property
    def current(self) -> TaskRow | None:
        """The task that cells belong to now; None outside any."""
        place = self._where.now
        if place.task_id == ADHOC_TASK:
            return None
        with self.flow.store.read() as view:
            return view.task(place.plan_id, place.task_id)

    def start(
        self,
        name: str,
        description: str = "",
        *,
        steps: Sequence[str] = (),
        type: str = "custom",
        plan_id: str | None = None,
    ) -> TaskView:
        """Create a task and begin to work on it.

        Where a restarted kernel has just gone on with a task of this name, that is the one: the
        notebook is run again from its first cell.

        Args:
            name: Any text but the reserved words.
            description: What is to be done.
            steps: The plan: names of steps, in order.
            type: One of `task_states.TYPES`.
            plan_id: The plan it belongs to; that of the session by default.

        Raises:
            UsageError: A name, the type or the plan cannot be used.
        """
        around = self._where.now
        plan_id = plan_id or around.plan_id
        resumed, self._resumed = self._resumed, None
        if resumed == (plan_id, around.task_id):
            view = self.show()
            if view.task.name == checked_name(name) and view.task.status in OPEN:
                return view
        new = NewTask(
            plan_id=plan_id,
            name=name,
            description=description,
            steps=steps,
            type=type,
            parent_id=around.task_id if around.plan_id == plan_id and self.current else None,
        )
        task = self._desk.start(new)
        self._enter(task)
        tell_start(self._emit, view := self.show())
        return view

    def resume(self) -> TaskRow | None:
        """Go on with the task that was open in this notebook when its kernel ended, if any.

        What that kernel was doing is lost with it: its steps are interrupted.
        """
        if not self._notebook:
            return None
        with self.flow.store.read() as view:
            place = view.resumable(self._notebook)
            task = view.task(*place) if place else None
        if task is None or task.status not in OPEN:
            return None
        self._desk.interrupt((task.plan_id, task.task_id))
        self._enter(task)
        self._resumed = (task.plan_id, task.task_id)
        tell_start(self._keep, self.show(), is_resumed=True)
        return task

    def attach(self, plan_id: str, task_id: str, *, name: str = "") -> TaskRow:
        """Work on a task that exists; one that does not is created under its id.

        Args:
            plan_id: Its plan.
            task_id: `T-0001`.
            name: For a new one.
        """
        with self.flow.store.read() as view:
            known = view.task(plan_id, task_id)
        task = self._desk.adopt((plan_id, task_id), name=name)
        self._enter(task)
        self._resumed = (plan_id, task_id)
        tell_start(self._keep, self.show(), is_resumed=was_begun(known))
        return task

    def step(self, name: str) -> StepRow:
        """Begin a step; the one before it is done."""
        self._end_steps(self._begun_here(), failure=None)
        return self._begin(name, is_open_ended=True)

    @contextmanager
    def alone(self, name: str) -> Iterator[Step]:
        """As `within`, but what `step` has begun is done first."""
        here = self._begun_here()
        if len(here) == 1 and here[0].is_open_ended:
            self._end_steps(here, failure=None)
        with self.within(name) as step:
            yield step

    @contextmanager
    def within(self, name: str) -> Iterator[Step]:
        """A step for the time of a block; steps may be nested. An exception fails the step."""
        step = Step(self._begin(name), self._step_ways)
        begun = self._begun[-1]
        try:
            yield step
        except BaseException as error:
            self._end_steps(self._begun_since(begun), failure=type(error).__name__)
            with suppress(Exception):  # the error of the block is the one to be seen
                step.ended()
            raise
        self._end_steps(self._begun_since(begun), failure=None)
        step.ended()

    def log(self, text: str) -> None:
        """Add a line to the log of the task."""
        task = self._open_task()
        self._desk.log((task.plan_id, task.task_id), text, step=self._where.now.step)
        self._carry()

    def artifact(self, path: str | os.PathLike[str]) -> None:
        """Note a file that the open task makes; it is looked at when the task ends."""
        task = self._open_task()
        self._desk.add_artifact((task.plan_id, task.task_id), path)
        self._carry()

    def set(self, values: Mapping[str, object]) -> dict[str, object]:
        """Set keys of the task's context. Returns the context."""
        task = self._open_task()
        found = self.flow.update_task_context(f"{task.plan_id}/{task.task_id}", values)
        self._carry()
        return found

    def unset(self, key: str) -> None:
        """Remove a key from the task's context."""
        task = self._open_task()
        self._desk.unset((task.plan_id, task.task_id), key)
        self._carry()

    def finish(self) -> TaskView:
        """The task is done, and so are its open steps."""
        return self._end("finish")

    def fail(self, reason: str) -> TaskView:
        """The task failed, and so did its open steps."""
        return self._end("fail", reason=reason)

    def cancel(self, reason: str = "") -> TaskView:
        """Give the task up."""
        return self._end("cancel", reason=reason)

    def reopen(self, task_id: str) -> TaskView:
        """Go on with a task that has ended, or with an open one that was begun elsewhere.

        Raises:
            NotFound: There is no such task.
            IllegalTransition: It is the open one of this session.
        """
        known = self.flow.task(task_id)
        place = (known.plan_id, known.task_id)
        task = self._desk.reopen(place, takes_open=place != self._where.now[:2])
        if known.status not in OPEN:
            self._forget_steps(place)  # where it was ended elsewhere, and nobody has looked yet
        self._enter(task)
        tell_start(self._emit, view := self.show(), is_resumed=was_begun(known))
        return view

    def look(self) -> str | None:
        """Leave the open task if another process has ended it; 10 us where nobody wrote.

        Returns:
            What happened, in one sentence; None as a rule.
        """
        version = self.flow.store.version()
        if version == self._seen:
            return None
        task = self.current
        if task is None or task.status in OPEN:
            self._seen = version
            return None
        parent_id = task.parent_id or ADHOC_TASK
        with self.flow.store.read() as view:
            parent = view.task(task.plan_id, parent_id)
        back_to = parent_id if parent is not None and parent.status in OPEN else ADHOC_TASK
        self._ended = f"{task.plan_id}/{task.task_id}"
        self._leave(task, back_to)
        self._seen = version
        return (
            f"task {task.task_id} was ended elsewhere ({task.status}); the next cells belong to"
            f" {back_to}; to go on with it: %task reopen {task.task_id}"
        )

    def show(self, task_id: str | None = None) -> TaskView:
        """A task with its steps, context and tags; the open one by default."""
        if task_id is None:
            task = self._open_task()
            task_id = f"{task.plan_id}/{task.task_id}"
        return self.flow.view(task_id)

    def report(self, view: TaskView) -> TaskReport:
        """What its log tells of a task; nothing where the log cannot be read."""
        try:
            return report_on(self.flow, view.task)
        except OSError:
            return TaskReport(view=view)

    @property
    def latest(self) -> str | None:
        """The id of the open task, else of the one that ended last here; None without any."""
        task = self.current
        return f"{task.plan_id}/{task.task_id}" if task is not None else self._ended

    def last_ended(self) -> str:
        """The id of the task that ended last in this session.

        Raises:
            NotFound: None has.
        """
        if self._ended is None:
            raise NotFound("no task has ended here", hint="name one: %task reopen T-0001")
        return self._ended

    def suggest(self, key: str) -> Sequence[object]:
        """Values that tasks have under a key of their context, the newest first."""
        return self.flow.suggest(key)

    def list(self) -> list[TaskRow]:
        """All tasks of the home."""
        return self.flow.tasks()

    # -- inside ------------------------------------------------------------------------------------

    def _open_task(self) -> TaskRow:
        task = self.current
        if task is None:
            raise NotFound("no task is open here", hint="begin one: %task start NAME")
        return task

    def _begun_here(self) -> Sequence[Begun]:
        """The steps that the open task is in, the innermost first."""
        place = self._where.now[:2]
        return [*takewhile(lambda step: step.place == place, reversed(self._begun))]

    def _begun_since(self, begun: Begun) -> Sequence[Begun]:
        """A step and those inside it, the innermost first; nothing when its task has ended."""
        found = self._begun[self._begun.index(begun) :] if begun in self._begun else []
        return found[::-1]

    def _begin(self, name: str, *, is_open_ended: bool = False) -> StepRow:
        task = self._open_task()
        place = (task.plan_id, task.task_id)
        here = self._begun_here()
        step = self._desk.begin_step(place, name, mine=[begun.number for begun in here])
        self._resumed = None  # the notebook is past its first cell
        self._begun.append(Begun(place, step.number, step.name, is_open_ended))
        self._move(*place)
        self._carry()
        self._emit("step_start", task_id=task.task_id, step=step.name)
        return step

    def _end_steps(self, begun: Sequence[Begun], *, failure: str | None) -> None:
        """End steps, the innermost first."""
        if not begun:
            return
        self._desk.end_steps([(step.place, step.number) for step in begun], failure=failure)
        self._begun = [step for step in self._begun if step not in begun]
        self._move(*self._where.now[:2])
        self._carry()
        for step in begun:
            self._emit("step_end", task_id=step.place[1], step=step.name, error=failure)
        self._on_end("step", begun[-1].name)

    def _end(self, event: str, *, reason: str = "") -> TaskView:
        task = self._open_task()
        place = (task.plan_id, task.task_id)
        task, back_to = self._desk.end(place, event, reason=reason)
        self._ended = f"{task.plan_id}/{task.task_id}"
        ended = self.show(self._ended)
        self._leave(task, back_to or ADHOC_TASK)
        self._on_end("task", task.name)
        return ended

    def _move(self, plan_id: str, task_id: str) -> None:
        innermost = self._begun[-1] if self._begun else None
        is_here = innermost is not None and innermost.place == (plan_id, task_id)
        step = innermost.name if innermost and is_here else None
        self._where.move(plan_id, task_id, step, task_type=self._type_of(plan_id, task_id))

    def _type_of(self, plan_id: str, task_id: str) -> str:
        """Of the task that is entered: each cell asks, and must not wait for the store."""
        if task_id == ADHOC_TASK:
            return ""
        now = self._where.now
        if now.task_type and now[:2] == (plan_id, task_id):
            return now.task_type
        with self.flow.store.read() as view:
            task = view.task(plan_id, task_id)
        return "" if task is None else task.type

    def _leave(self, task: TaskRow, back_to: str) -> None:
        ended = self._forget_steps((task.plan_id, task.task_id))
        self._move(task.plan_id, back_to)
        self._carry()
        tell_end(self._emit, task, ended)

    def _forget_steps(self, place: tuple[str, str]) -> Sequence[StepRow]:
        """The steps begun here that have ended with their task, the innermost first."""
        numbers = [step.number for step in reversed(self._begun) if step.place == place]
        self._begun = [step for step in self._begun if step.place != place]
        with self.flow.store.read() as view:
            rows = {row.number: row for row in view.steps(*place)}
        return [rows[number] for number in numbers if number in rows]

    def _enter(self, task: TaskRow) -> None:
        self._move(task.plan_id, task.task_id)
        self._carry()
