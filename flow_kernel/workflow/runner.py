"""Runs one run: begins what is ready, hears what ends, until nothing is left.

Built by `service`, in the thread of the loop that it runs in. What may begin is decided by
`progress`, what an attempt was by `attempt`; `clerk` writes it down.

    ready ──▶ its condition, a kept result, a question: over or waiting at once
          ──▶ a place is free ──▶ written down as running ──▶ attempt ──▶ over, or rests and again

What one turn of the loop finds ended and what it begins after that are one transaction.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from flow_kernel.errors import FlowError
from flow_kernel.workflow import events
from flow_kernel.workflow.asking import Asking
from flow_kernel.workflow.attempt import Attempted, attempt, attempt_now, not_run
from flow_kernel.workflow.clerk import Clerk
from flow_kernel.workflow.deciding import Decider, Decision
from flow_kernel.workflow.executors.contract import Executor, Order
from flow_kernel.workflow.ledger import Ledger
from flow_kernel.workflow.model import Step, StepType, Workflow
from flow_kernel.workflow.options import RunOptions
from flow_kernel.workflow.orders import Orders
from flow_kernel.workflow.places import Places
from flow_kernel.workflow.progress import Progress, Skipped
from flow_kernel.workflow.registry import Executors
from flow_kernel.workflow.states import FAILED, RunStatus, StepState

_LOOK_S: Final = 0.1
"""How often answers are looked for while something runs, or the run waits for one."""


_TURN_S: Final = 0.02
"""How long the loop does without others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a runner works with, all of one run.

    Attributes:
        workflow: Checked as a whole.
        ledger: Loaded.
        orders: Makes orders for executors.
        executors: Run them.
        options: How it is run.
        decider: What is over before it begins.
        asking: Puts questions.
        places: How many steps run at once.
        clear: Ends what executors keep, and removes the files of the run.
        let_go: Removes the rest of a run that is about to be over.
        tell: Told what happens.
    """

    workflow: Workflow
    ledger: Ledger
    orders: Orders
    executors: Executors
    options: RunOptions
    decider: Decider
    asking: Asking
    places: Places
    clear: Callable[[], Awaitable[None]]
    let_go: Callable[[], None]
    tell: events.Tell


@dataclass(frozen=True, slots=True)
class _Ended:
    """An attempt that has ended; with `wait_s` there is to be another one."""

    step: Step
    attempted: Attempted
    inputs: Decision
    wait_s: float | None = None


class Runner:
    """See the module."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._ledger = ledger = parts.ledger
        self._clerk = Clerk(ledger, parts.orders.numbers, parts.tell)
        self._progress = Progress(parts.workflow, ledger.states(), unhelpful=ledger.unhelpful())
        self._tasks: dict[str, asyncio.Task[None]] = {}
        """Of steps that run or rest."""
        self._ended: deque[_Ended] = deque()
        self._rested: deque[tuple[Step, Decision]] = deque()
        """Steps that are to be tried again, and have no place yet."""
        self._wake = asyncio.Event()
        self._is_stopped = False
        self._yielded_s = 0.0

    async def run(self) -> RunStatus:
        """Go on until nothing is left to do here: the run is over, or waits for an answer.

        Raises:
            StoreError: The store refuses; what runs was ended, and the run can be resumed.
        """
        began = time.monotonic()
        run, tell = self._ledger.run, self._parts.tell
        steps, states = self._parts.workflow.steps, {**self._progress.states}
        tell(events.RunBegan(run_id=run.run_id, workflow=run.workflow, steps=steps, states=states))
        self._clerk.run_begins()
        while True:
            try:
                await self._loop()
            finally:
                await self._end_all()
                # Before it is over for everybody else: nobody clears up behind a run that is over.
                await self._parts.clear()
            status = self._progress.status()
            reason = self._reason(status)
            if status != RunStatus.WAITING:
                self._parts.let_go()
            if self._clerk.run_ends(status, reason):
                break
            self._parts.asking.look_again()
        elapsed_ms = (time.monotonic() - began) * 1000
        tell(
            events.RunEnded(run_id=run.run_id, status=status, reason=reason, elapsed_ms=elapsed_ms)
        )
        return status

    def stop(self) -> None:
        """End what runs, begin nothing more, and write that down; called in the loop's thread."""
        self._is_stopped = True
        self._wake.set()

    # -- the loop ----------------------------------------------------------------------------------

    async def _loop(self) -> None:
        while True:
            self._settle()
            if self._is_stopped:
                await self._cancel()
                self._clerk.write()
                return
            self._look_for_answers()
            begun = self._begin()
            self._clerk.write()
            for each in begun:
                self._start(*each)
            await self._let_others()
            is_parked = bool(self._progress.waiting) and not self._parts.options.waits
            if not self._tasks and not self._ended and (is_parked or not self._progress.waiting):
                return
            await self._until_something_happened()

    async def _until_something_happened(self) -> None:
        if not self._ended and not self._is_stopped:
            if not self._progress.waiting:
                await self._wake.wait()
            else:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), _LOOK_S)
        self._wake.clear()

    def _settle(self) -> None:
        while self._ended:
            ended = self._ended.popleft()
            step = ended.step
            self._parts.places.give_back(step)
            if ended.wait_s is None:
                self._tasks.pop(step.id, None)
                self._progress.end(step.id, ended.attempted.state)
                self._clerk.ended(step, ended.attempted, self._parts.decider.key_of(step.id))

    # -- beginning ---------------------------------------------------------------------------------

    def _begin(self) -> list[tuple[Step, Decision, Order]]:
        """What begins now; what needs no process is over by the end of this."""
        begun: list[tuple[Step, Decision, Order]] = []
        while self._rested and self._parts.places.take(self._rested[0][0]):
            step, decision = self._rested.popleft()
            begun.append(self._ordered(step, decision))
        while self._progress.is_ready:
            found = self._progress.take()
            if isinstance(found, Skipped):
                self._clerk.skipped(found.step, found.reason, is_failure=found.is_failure)
            elif found is not None and not self._begin_one(found, begun):
                break
        return begun

    def _begin_one(self, step: Step, begun: list[tuple[Step, Decision, Order]]) -> bool:
        """False where there is no place for it."""
        decision = self._parts.decider.decide(step, self._ledger.values.seen_by(step.id))
        if decision.state is not None:
            self._progress.end(step.id, decision.state)
            self._clerk.decided(step, decision)
        elif step.step_type == StepType.APPROVAL:
            self._ask(step, decision)
        elif self._parts.places.take(step):
            begun.append(self._ordered(step, decision))
        else:
            self._progress.give_back(step)
            return False
        return True

    def _ordered(self, step: Step, decision: Decision) -> tuple[Step, Decision, Order]:
        name = self._parts.options.executor_of(step.resources.isolation)
        row = self._clerk.begins(step, executor=name.partition("=")[0])
        order = self._parts.orders.order(step, decision, attempt=row.attempt)
        return step, decision, order

    def _start(self, step: Step, decision: Decision, order: Order) -> None:
        try:
            name = self._parts.options.executor_of(step.resources.isolation)
            executor = self._parts.executors.get(name)
        except FlowError as failure:
            self._ended.append(_Ended(step, not_run(failure), decision))
            return
        run_now = getattr(executor, "run_now", None)
        if run_now is not None:  # an `ImmediateExecutor`; to ask for that takes 15 us
            attempted = attempt_now(
                run_now,
                order,
                step,
                is_strict=self._parts.workflow.is_strict,
                on_text=partial(self._log, step),
            )
            wait_s = self._note_end(step, decision, order, attempted)
            if wait_s is None:
                return
            work = self._rest(step, decision, wait_s)
        else:
            work = self._work(step, decision, order, executor)
        self._tasks[step.id] = asyncio.create_task(work, name=f"step {step.id}")

    async def _work(self, step: Step, decision: Decision, order: Order, executor: Executor) -> None:
        """One attempt, and the rest after it where there is to be another."""
        attempted = await attempt(
            executor,
            order,
            step,
            is_strict=self._parts.workflow.is_strict,
            on_text=partial(self._log, step),
        )
        wait_s = self._note_end(step, decision, order, attempted)
        self._wake.set()
        if wait_s is not None:
            await self._rest(step, decision, wait_s)

    def _note_end(
        self, step: Step, decision: Decision, order: Order, attempted: Attempted
    ) -> float | None:
        """How long to wait for another attempt; None where this was the last."""
        wait_s = None
        if attempted.state in FAILED and order.attempt <= step.retries.most:
            wait_s = step.retries.wait_s(order.attempt)
            error = {**(attempted.error or {})}
            self._parts.tell(
                events.StepRests(step=step, attempt=order.attempt, error=error, wait_s=wait_s)
            )
        self._ended.append(_Ended(step, attempted, decision, wait_s))
        return wait_s

    async def _rest(self, step: Step, decision: Decision, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        self._rested.append((step, decision))
        self._wake.set()

    def _log(self, step: Step, text: str) -> None:
        self._parts.tell(events.StepLogged(step=step, text=text))

    async def _let_others(self) -> None:
        """Where no step takes longer than a turn of the loop, nothing else would get one."""
        now = time.monotonic()
        if now - self._yielded_s > _TURN_S:
            await asyncio.sleep(0)
            self._yielded_s = time.monotonic()

    # -- questions ---------------------------------------------------------------------------------

    def _ask(self, step: Step, decision: Decision) -> None:
        try:
            question = self._parts.asking.ask(self._ledger.run, step, decision.inputs)
        except FlowError as failure:
            error = {"type": type(failure).__name__, "message": failure.message}
            self._progress.end(step.id, StepState.ERROR)
            self._clerk.failed(step, error)
            return
        if question.status == "open":
            self._progress.end(step.id, StepState.WAITING)
            self._clerk.asked(step, question)
        else:
            self._progress.end(step.id, self._clerk.answered(step, question))

    def _look_for_answers(self) -> None:
        waiting = self._progress.waiting
        if not waiting or not self._parts.asking.may_have_answers():
            return
        for name in waiting:
            row = self._ledger.rows.get(name)
            answer = self._parts.asking.answer(row.approval_id or "") if row is not None else None
            if answer is not None:
                step = self._progress.steps[name]
                self._progress.end(name, self._clerk.answered(step, answer))

    # -- ending ------------------------------------------------------------------------------------

    async def _cancel(self) -> None:
        running = [self._progress.steps[name] for name in self._tasks]
        await self._end_all()
        self._settle()
        for step in running:
            if self._progress.states[step.id] == StepState.RUNNING:
                self._progress.end(step.id, StepState.CANCELLED)
                self._clerk.cancelled(step)
        for step in self._progress.cancel():
            self._clerk.cancelled(step)

    async def _end_all(self) -> None:
        tasks = [*self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()

    def _reason(self, status: RunStatus) -> str:
        progress = self._progress
        if status == RunStatus.FAILED:
            states = progress.states.items()
            failed = [name for name, at in states if at in FAILED and not progress.is_handled(name)]
            return f"{_listed(failed)} failed"
        if status == RunStatus.CANCELLED:
            return "it was stopped"
        if status == RunStatus.WAITING:
            return f"{_listed(progress.waiting)} waits for an answer"
        return ""


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{', '.join(names[:5])}{more}"
