"""Any course of tasks, steps and context against a model, with other sessions and kills between."""

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from flow_kernel.errors import FlowError, IllegalTransition, NotFound
from flow_kernel.records.home import Home
from flow_kernel.records.journal import Journal, utc_now_ms
from flow_kernel.records.names import ADHOC_TASK
from flow_kernel.session.carrier import Carrier
from flow_kernel.session.flow import Flow
from flow_kernel.session.open_home import flow_of
from flow_kernel.session.place import Whereabouts
from flow_kernel.session.tasks import Tasks
from flow_kernel.store.sqlite import SqliteStore
from tests.records.journals import read_by_hand

PLAN = "local"
NAMES = st.sampled_from(["load", "plot", "save"])
IDS = st.integers(1, 6).map(lambda number: f"T-{number:04}")
VALUES = st.sampled_from([None, 1, "x", {"a": [1]}])
OPEN = {"doing", "waiting", "todo"}


@dataclass
class ModelStep:
    name: str
    state: str = "planned"
    is_planned: bool = True
    parent: int | None = None
    reason: str = ""


@dataclass
class ModelTask:
    name: str
    parent: str | None
    status: str = "doing"
    reason: str = ""
    steps: list[ModelStep] = field(default_factory=list)
    context: dict[str, object] = field(default_factory=dict)


@dataclass(eq=False)
class Begun:
    task_id: str
    number: int
    is_open_ended: bool


class SessionOn:
    """A session on a home, as a kernel has one."""

    def __init__(self, home: Home, *, notebook: str) -> None:
        store = SqliteStore(home.store_path)
        self.journal = Journal(home, os.urandom(16).hex())
        self.flow = Flow(
            home,
            store,
            plan_id=PLAN,
            author="ann",
            now=utc_now_ms,
            carry=Carrier(home, store, self.journal),
            on_close=self.journal.close,
        )
        self.where = Whereabouts("5e" * 16, PLAN, ADHOC_TASK, on_move=lambda _place: None)
        times = (f"2026-11-21T01:02:03.{ms:03d}Z" for ms in itertools.cycle(range(1000)))
        self.tasks = Tasks(
            self.flow,
            self.where,
            author="ann",
            notebook=notebook,
            now=lambda: next(times),
            carry=self.flow.sync,
            show_progress=lambda _number, _progress: None,
        )

    def die(self) -> None:
        """Carry nothing, and end no step; only what the process holds is given back."""
        self.journal.close()
        self.flow.store.close()


class TasksMachine(RuleBasedStateMachine):
    """`tasks` and `begun` are what the store and the session must hold."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.home = Home(self.folder / ".flow")
        self.session = SessionOn(self.home, notebook="nb")
        self.tasks: dict[str, ModelTask] = {}
        self.current: str | None = None
        self.resumable: str | None = None
        self.resumed: str | None = None
        self.begun: list[Begun] = []

    # -- events --------------------------------------------------------------------------------

    @initialize(name=NAMES)
    def begin_with_a_task(self, name: str) -> None:
        self.start(name, ["load", "load"])

    @rule(name=NAMES, steps=st.lists(NAMES, max_size=3))
    def start(self, name: str, steps: list[str]) -> None:
        task_id = f"T-{max([0, *(int(known[2:]) for known in self.tasks)]) + 1:04}"
        view = self.session.tasks.start(name, steps=steps)
        resumed, self.resumed = self.resumed, None
        if resumed and resumed == self.current:
            known = self.tasks[resumed]
            if known.name == name and known.status in OPEN:
                assert view.task.task_id == resumed
                return
        assert view.task.task_id == task_id
        self.tasks[task_id] = ModelTask(name, self.current, steps=[ModelStep(s) for s in steps])
        self.current = self.resumable = task_id

    @rule(task_id=IDS)
    def attach(self, task_id: str) -> None:
        self.session.tasks.attach(PLAN, task_id, name=task_id)
        self.tasks.setdefault(task_id, ModelTask(task_id, None))
        self.current = self.resumable = task_id
        self.resumed = task_id

    @rule(task_id=IDS)
    def reopen(self, task_id: str) -> None:
        task = self.tasks.get(task_id)
        if task is None or (task.status in OPEN and task_id == self.current):
            self.refused(lambda: self.session.tasks.reopen(task_id))
            return
        self.session.tasks.reopen(task_id)
        if task.status not in OPEN:
            self.begun = [begun for begun in self.begun if begun.task_id != task_id]
        task.status, task.reason = "doing", ""
        self.current = self.resumable = task_id

    @rule(name=NAMES)
    def step(self, name: str) -> None:
        if self.open_task() is None:
            # What was begun before is over all the same.
            self.refused(lambda: self.session.tasks.step(name))
            self.end_steps(self.here(), None)
            return
        self.session.tasks.step(name)
        self.end_steps(self.here(), None)
        self.begin(name, is_open_ended=True)

    @rule(
        names=st.lists(NAMES, min_size=1, max_size=3), fails=st.booleans(), is_alone=st.booleans()
    )
    def block(self, names: list[str], fails: bool, is_alone: bool) -> None:
        """Nested blocks; the innermost raises, or not."""
        tasks = self.session.tasks
        here = self.here()
        if is_alone and len(here) == 1 and here[0].is_open_ended:
            self.end_steps(here, None)
        if self.open_task() is None:
            self.refused(lambda: (tasks.alone if is_alone else tasks.within)(names[0]).__enter__())
            return
        opened = []
        with suppress(KeyError), ExitStack() as stack:
            for number, name in enumerate(names):
                enter = tasks.alone if is_alone and not number else tasks.within
                stack.enter_context(enter(name))
                opened.append(self.begin(name, is_open_ended=False))
            self.agree()
            if fails:
                raise KeyError
        self.end_steps(opened[::-1], "KeyError" if fails else None)

    @rule(step=NAMES, name=NAMES, event=st.sampled_from(["finish", "fail", "leave"]))
    def block_around_a_task(self, step: str, name: str, event: str) -> None:
        """A task is started inside a step of another one; it ends there, or goes on."""
        if self.open_task() is None:
            return
        with self.session.tasks.within(step):
            opened = self.begin(step, is_open_ended=False)
            self.start(name, ["load"])
            self.step("load")
            if event != "leave":
                self.end(event)
            self.agree()
        self.end_steps(self.begun[self.begun.index(opened) :][::-1], None)

    @rule(event=st.sampled_from(["finish", "fail", "cancel"]))
    def end(self, event: str) -> None:
        tasks = self.session.tasks
        act: dict[str, Callable[[], object]] = {
            "finish": tasks.finish,
            "fail": lambda: tasks.fail("why"),
            "cancel": tasks.cancel,
        }
        task = self.open_task()
        if task is None or self.current is None:
            self.refused(act[event])
            return
        act[event]()
        ended = self.current
        self.over(task, event)
        self.begun = [begun for begun in self.begun if begun.task_id != ended]
        parent = self.tasks[task.parent] if task.parent else None
        is_back = parent is not None and parent.status in OPEN
        self.current = self.resumable = task.parent if is_back else None

    @rule(key=NAMES, value=VALUES)
    def set(self, key: str, value: object) -> None:
        if self.current is None:
            self.refused(lambda: self.session.tasks.set({key: value}))
            return
        found = self.session.tasks.set({key: value})
        self.tasks[self.current].context[key] = value
        assert found == self.tasks[self.current].context

    @rule(key=NAMES)
    def unset(self, key: str) -> None:
        if self.current is None:
            self.refused(lambda: self.session.tasks.unset(key))
            return
        self.session.tasks.unset(key)
        self.tasks[self.current].context.pop(key, None)

    @rule(text=st.text(st.characters(), max_size=9))
    def log(self, text: str) -> None:
        if self.current is None:
            self.refused(lambda: self.session.tasks.log(text))
        else:
            self.session.tasks.log(text)

    @rule(task_id=IDS, event=st.sampled_from(["finish", "cancel"]))
    def another_session_ends(self, task_id: str, event: str) -> None:
        task = self.tasks.get(task_id)
        if task is None or task.status not in OPEN:
            return
        other = SessionOn(self.home, notebook="")
        other.tasks.attach(PLAN, task_id)
        getattr(other.tasks, event)()
        other.flow.close()
        self.over(task, event)

    @rule(task_id=IDS, value=VALUES)
    def another_session_sets(self, task_id: str, value: object) -> None:
        if task_id not in self.tasks:
            return
        other = flow_of(self.home, author="bob")
        other.update_task_context(task_id, {"shared": value})
        other.store.close()
        self.tasks[task_id].context["shared"] = value

    @rule(is_orderly=st.booleans())
    def restart(self, is_orderly: bool) -> None:
        if is_orderly:
            self.session.flow.close()
        else:
            self.session.die()
        self.session = SessionOn(self.home, notebook="nb")
        resumed = self.session.tasks.resume()
        self.begun = []
        known = self.tasks[self.resumable] if self.resumable else None
        self.current = self.resumable if known is not None and known.status in OPEN else None
        assert (resumed.task_id if resumed else None) == self.current
        self.resumed = self.current
        for step in self.tasks[self.current].steps if self.current else ():
            if step.state == "doing":
                step.state, step.reason = "failed", "interrupted"

    @rule()
    def the_store_is_opened_anew(self) -> None:
        """As after a fork."""
        self.session.flow.store.close()

    # -- what must hold ------------------------------------------------------------------------

    @invariant()
    def agree(self) -> None:
        flow, now = self.session.flow, self.session.where.now
        assert [task.task_id for task in flow.tasks()] == sorted(self.tasks)
        for task_id, task in self.tasks.items():
            view = flow.view(task_id)
            assert (view.task.name, view.task.parent_id) == (task.name, task.parent)
            assert (view.task.status, view.task.reason) == (task.status, task.reason)
            assert (view.task.ended_at is None) == (task.status in OPEN)
            assert view.context == task.context
            found = [
                ModelStep(s.name, s.state, s.is_planned, s.parent, s.reason) for s in view.steps
            ]
            assert found == task.steps
            assert [s.number for s in view.steps] == [*range(1, len(found) + 1)]
            if task.status not in OPEN:
                assert "doing" not in {s.state for s in view.steps}
        current = self.session.tasks.current
        assert (current.task_id if current else None) == self.current
        here = self.here()
        step = self.tasks[here[0].task_id].steps[here[0].number - 1].name if here else None
        assert (now.task_id, now.step) == (self.current or ADHOC_TASK, step)

    def teardown(self) -> None:
        """Each change is in the log of its task, once and in its order."""
        self.session.flow.close()
        store = SqliteStore(self.home.store_path)
        with store.write() as change:
            assert change.waiting(limit=1) == []
            last = change.note("step", PLAN, "T-0001", "", {})
        store.close()
        found = []
        for path in self.home.log_files():
            numbers = [record["change"] for record in read_by_hand(path)]
            assert numbers == sorted(numbers)
            found += numbers
        assert sorted(found) == [*range(1, last)]
        shutil.rmtree(self.folder)

    # -- the model -----------------------------------------------------------------------------

    def open_task(self) -> ModelTask | None:
        task = self.tasks[self.current] if self.current else None
        return task if task is not None and task.status in OPEN else None

    def here(self) -> list[Begun]:
        """The steps that the current task is in, the innermost first."""
        return [*itertools.takewhile(lambda begun: begun.task_id == self.current, self.begun[::-1])]

    def begin(self, name: str, *, is_open_ended: bool) -> Begun:
        assert self.current is not None
        self.resumed = None
        steps = self.tasks[self.current].steps
        here = self.here()
        mine = [item.number for item in here]
        named = [
            s
            for number, s in enumerate(steps, 1)
            if s.name == name and s.is_planned and number not in mine
        ]
        # One that is being done by nobody any more is taken over.
        states = ("planned", "failed", "doing", "done")
        planned = [s for state in states for s in named if s.state == state]
        if not planned:
            steps.append(ModelStep(name, is_planned=False))
            planned = steps[-1:]
        planned[0].state, planned[0].parent = "doing", here[0].number if here else None
        planned[0].reason = ""
        number = next(n for n, step in enumerate(steps, 1) if step is planned[0])
        self.begun.append(Begun(self.current, number, is_open_ended))
        return self.begun[-1]

    def end_steps(self, begun: list[Begun], failure: str | None) -> None:
        for item in begun:
            step = self.tasks[item.task_id].steps[item.number - 1]
            if step.state == "doing":
                step.state = "failed" if failure else "done"
                step.reason = failure or ""
        self.begun = [item for item in self.begun if item not in begun]

    def over(self, task: ModelTask, event: str) -> None:
        task.status = {"finish": "done", "fail": "failed", "cancel": "cancelled"}[event]
        task.reason = "why" if event == "fail" else ""
        for step in task.steps:
            if step.state == "doing":
                step.state = "done" if event == "finish" else "failed"
                step.reason = "" if event == "finish" else task.reason or event

    def refused(self, act: Callable[[], object]) -> None:
        kind = NotFound if self.current is None else IllegalTransition
        with pytest.raises((kind, NotFound, IllegalTransition)) as told:
            act()
        assert isinstance(told.value, FlowError)
        assert told.value.exit_code == 2


def test_any_course_of_events_leaves_what_the_model_says() -> None:
    run_state_machine_as_test(
        TasksMachine, settings=settings(max_examples=40, stateful_step_count=25, deadline=None)
    )


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_2000_courses_of_events_leave_what_the_model_says() -> None:
    run_state_machine_as_test(
        TasksMachine, settings=settings(max_examples=2000, stateful_step_count=50, deadline=None)
    )
