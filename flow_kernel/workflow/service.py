"""Runs workflows for programs: starts them, goes on with them, one at a time.

Called by the command line, by `%workflow` and, through `workflow`, by users. Everything that a run
needs is put together here.
"""

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from flow_kernel.errors import WorkflowInvalid
from flow_kernel.records.names import ADHOC_TASK
from flow_kernel.session.context_values import encoded
from flow_kernel.session.deferred_redactor import DeferredRedactor
from flow_kernel.session.flow import Flow
from flow_kernel.session.person import user_name
from flow_kernel.store.run_rows import RunRow
from flow_kernel.workflow import checks, events, registry, reuse
from flow_kernel.workflow.asking import Asking
from flow_kernel.workflow.beside import run_beside
from flow_kernel.workflow.book import Book
from flow_kernel.workflow.cache import environment_key
from flow_kernel.workflow.deciding import Decider
from flow_kernel.workflow.executors.contract import Context
from flow_kernel.workflow.holding import clear, held, let_go
from flow_kernel.workflow.ledger import Ledger
from flow_kernel.workflow.model import StepType, Workflow
from flow_kernel.workflow.objects import Objects
from flow_kernel.workflow.options import RunOptions, options_of
from flow_kernel.workflow.orders import Orders
from flow_kernel.workflow.places import Places
from flow_kernel.workflow.registry import Executors
from flow_kernel.workflow.runner import Parts, Runner
from flow_kernel.workflow.scripts import Scripts
from flow_kernel.workflow.stopping import stopped_by_signals
from flow_kernel.workflow.upstream import Upstream
from flow_kernel.workflow.views import Run

_CARRY_S: Final = 1.0
"""How often what has happened is brought into the task log while a run goes on."""
_STRIPPED: Final = ("USE_SUBPROCESS_WORKER", "JPY_PARENT_PID", "JPY_INTERRUPT_EVENT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which steps of a workflow a run is about.

    Attributes:
        start_at: These and what needs them are run; what ended well before is taken as it is.
        only: These alone are run.
        of_run: The earlier run that results are taken from; by default the last of the workflow.
    """

    start_at: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    of_run: str = ""

    def __bool__(self) -> bool:
        return bool(self.start_at or self.only or self.of_run)


class Service:
    """The workflows of one home.

    Args:
        flow: A handle on the home.
        session: 32 hex, of whoever asks questions; by default one of its own.
        by: Who starts runs.
    """

    def __init__(self, flow: Flow, *, session: str = "", by: str = "") -> None:
        self._flow = flow
        self._session = session or os.urandom(16).hex()
        self._by = by or user_name()
        self._redactor = DeferredRedactor(os.environ)
        self._objects = Objects(flow.home)
        self._now: Callable[[], str] = flow.now
        self.book: Book = Book(flow.store, flow.home, flow.now)
        """Runs and definitions, as they are stored."""
        self._running: dict[str, Runner] = {}

    def begin(
        self,
        workflow: Workflow,
        variables: Mapping[str, object] | None = None,
        *,
        options: RunOptions | None = None,
        selection: Selection | None = None,
        task_id: str = "",
    ) -> RunRow:
        """Make a run that `go` goes through.

        Args:
            workflow: Checked as a whole.
            variables: In place of what the workflow says, or beside it.
            options: How it is run.
            selection: Which steps it is about.
            task_id: The task that it belongs to; `T-0000` by default.

        Raises:
            WorkflowInvalid: Something is missing for it to run; nothing was.
            UsageError: A variable is no JSON value, or there is no such step.
            NotFound: There is no such task or run.
        """
        options = options or RunOptions()
        if options.keep_in:  # steps work in another directory, and so may who goes on
            options = replace(options, keep_in=os.path.abspath(options.keep_in))  # noqa: PTH100 - a text
        given = encoded(variables or {})  # as JSON
        problems = [
            *checks.missing_variables(workflow, {*workflow.variables, *given}),
            *registry.unknown(
                [options.executor, *(step.resources.isolation for step in workflow.steps)]
            ),
            *_without_their_program(workflow),
        ]
        if problems:
            raise WorkflowInvalid(
                f"{workflow.name} cannot be run as it is; nothing was run",
                problems=tuple(problems),
            )
        registry.load({options.executor_of(step.resources.isolation) for step in workflow.steps})
        place = (self._flow.plan_id, ADHOC_TASK)
        if task_id:
            task = self._flow.task(task_id)
            place = (task.plan_id, task.task_id)
        reused = self._reused(workflow, selection) if selection else None
        return self.book.begin(workflow, given, options, task=place, reused=reused)

    async def go(self, run: RunRow, tell: events.Tell = lambda _: None) -> Run:
        """Go through a run that this process works on, until nothing is left to do here.

        Args:
            run: As `begin` or `Book.claim` gave it.
            tell: Told what happens, in the thread of the loop.

        Raises:
            StoreError: The store refuses; the run can be resumed.
        """
        workflow = self.book.workflow_of(run.run_id)
        options = options_of(run.options)
        scripts = Scripts(self._flow.home, workflow, run.sha256)
        try:
            with held(self._flow.home, run.run_id) as files:
                context = Context(
                    run_id=run.run_id, files=files, workers=options.places, env=environment()
                )
                executors = Executors(context)

                async def leave() -> None:
                    await executors.close()
                    clear(files)

                parts = self._parts(
                    run, workflow, scripts=scripts, executors=executors, clear=leave, tell=tell
                )
                await self._through(run, Runner(parts), scripts)
        except BaseException:
            self.book.park(run)
            raise
        finally:
            await asyncio.to_thread(self._flow.sync)
        return self.book.run(run.run_id)

    async def _through(self, run: RunRow, runner: Runner, scripts: Scripts) -> None:
        self._running[run.run_id] = runner
        carrying = asyncio.create_task(self._carry())
        copying = asyncio.create_task(asyncio.to_thread(scripts.write))
        try:
            await runner.run()
        except BaseException:
            scripts.stop()
            raise
        finally:
            del self._running[run.run_id]
            carrying.cancel()
            await copying

    def run(
        self,
        run: RunRow,
        tell: events.Tell = lambda _: None,
        *,
        is_interruptible: bool = False,
    ) -> Run:
        """`go` for a program without a loop, or in one that has its own: in a thread, then.

        Args:
            run: As `begin` or `Book.claim` gave it.
            tell: Told what happens.
            is_interruptible: True to stop the run at the first SIGINT or SIGTERM in place of
                ending the process.
        """
        if _has_loop():
            return run_beside(
                partial(self.go, run, tell),
                name="flow-workflow",
                stop=partial(self.stop, run.run_id),
            )
        return asyncio.run(self._stoppable(run, tell) if is_interruptible else self.go(run, tell))

    def stop(self, run_id: str) -> None:
        """Stop a run that this process goes through; called in the thread of its loop."""
        runner = self._running.get(run_id)
        if runner is not None:
            runner.stop()

    # -- inside ------------------------------------------------------------------------------------

    def _parts(
        self,
        run: RunRow,
        workflow: Workflow,
        *,
        scripts: Scripts,
        executors: Executors,
        clear: Callable[[], Awaitable[None]],
        tell: events.Tell,
    ) -> Parts:
        store, options = self._flow.store, options_of(run.options)
        ledger = Ledger(
            store,
            self._objects,
            run=run,
            upstream=Upstream(workflow),
            now=self._now,
            is_durable=options.is_durable,
        )
        # What a run was not given it has from its definition, which is stored already.
        ledger.load(encoded(workflow.variables))
        with store.read() as view:
            store_id = view.lives()[0]
        return Parts(
            workflow=workflow,
            ledger=ledger,
            orders=Orders(
                workflow,
                ledger,
                scripts=scripts,
                options=options,
                store_id=store_id,
            ),
            executors=executors,
            options=options,
            decider=Decider(
                ledger.step_result,
                partial(environment_key, workflow.directory),
                uses_cache=options.uses_cache,
            ),
            asking=Asking(
                store,
                now=self._now,
                by=self._by,
                session=self._session,
                redact=lambda text: self._redactor.text(text)[0],
            ),
            places=Places(options.places),
            clear=clear,
            let_go=partial(let_go, self._flow.home, run.run_id),
            tell=events.Guarded(tell),
        )

    def _reused(self, workflow: Workflow, selection: Selection) -> reuse.Reused:
        of_run = selection.of_run or self.book.last_of(workflow.name) or ""
        again = (
            {*selection.only}
            if selection.only
            else reuse.downstream(workflow, selection.start_at)
            if selection.start_at
            else set[str]()
        )
        reuse.downstream(workflow, again)  # every name is known
        known = reuse.Reused((), ())
        if of_run:
            run_id = self.book.run(of_run).run_id
            with self._flow.store.read() as view:
                rows = view.run_steps(run_id)
            known = self.book.as_mapped(workflow, reuse.reusable(rows, run_id=run_id, but=again))
        return reuse.only(workflow, again, known) if selection.only else known

    async def _carry(self) -> None:
        while True:
            await asyncio.sleep(_CARRY_S)
            await asyncio.to_thread(self._flow.sync)

    async def _stoppable(self, run: RunRow, tell: events.Tell) -> Run:
        with stopped_by_signals(partial(self.stop, run.run_id)):
            return await self.go(run, tell)


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def environment() -> dict[str, str]:
    """What steps find: ours, without what tells of a session."""
    found = {
        name: value
        for name, value in os.environ.items()
        if name not in _STRIPPED and (not name.startswith("FLOW_") or name == "FLOW_HOME")
    }
    if home := found.get("FLOW_HOME"):  # steps work in another directory
        found["FLOW_HOME"] = os.path.abspath(home)  # noqa: PTH100 - a text
    return found


def _without_their_program(workflow: Workflow) -> list[str]:
    """Steps that cannot run here at all."""
    if not any(step.step_type == StepType.COMMAND for step in workflow.steps):
        return []
    return [] if shutil.which("bash") else ["there is no bash, which COMMAND steps run with"]
