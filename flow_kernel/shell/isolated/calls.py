"""What code in a worker has its session do.

Called by `shell.isolated.cell` while an isolated cell runs, in the thread that runs it here: what a
call shows appears under the cell, and an interrupt ends it as in an ordinary cell.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict
from time import monotonic
from typing import Any, Final

from flow_kernel.errors import FlowError, NotFound, UsageError
from flow_kernel.records.interrupts import NotedInterrupts
from flow_kernel.session.approval_parts import Wish
from flow_kernel.session.isolation.keeping import place_of, take_in
from flow_kernel.session.session import Session
from flow_kernel.session.steps import Step
from flow_kernel.shell.magics.approve_answers import ask
from flow_kernel.shell.worker.call_wire import error_text, read_call, value_text, with_wishes
from flow_kernel.shell.worker.magics import LINE_MAGICS
from flow_kernel.workers.calls import Called

IN_BACKGROUND: Final = frozenset(
    {"task", "context", "context_set", "context_unset", "log", "artifact"}
)
"""What can be wanted while other cells run: nothing that they would notice, nor a person."""
_Begun = tuple[AbstractContextManager[Step], Step]


class SessionCalls:
    """The calls of one isolated cell.

    Args:
        shell: IPython's.
        session: At work in it.
        may: What it may want; None for everything.
    """

    def __init__(self, shell: Any, session: Session, may: frozenset[str] | None = None) -> None:
        self._shell = shell
        self._may = may
        self._session = session
        self._steps: dict[str, _Begun] = {}
        """By the call that began them, the innermost last."""
        self._raised: FlowError | None = None
        self._waited_s = 0.0
        self._news_id = ""
        """Of the news of checkpoints that were taken in last: they may come again."""

    def __call__(self, called: Called) -> float:
        """Do what is wanted, and answer.

        Returns:
            How long a person was waited for, in seconds.

        Raises:
            KeyboardInterrupt: It was interrupted, and so is the cell.
        """
        self._waited_s = 0.0
        if not called.is_wanted:
            return 0.0
        if self._session.errands.send is not None and self._may is None:
            with self._session.errands.collected() as wishes:
                answer = self._answer(called)
            answer = with_wishes(answer, wishes)
        else:
            answer = self._answer(called)
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # a cell may have put anything there
                stream.flush()
        called.answer(answer)
        return self._waited_s

    def _answer(self, called: Called) -> str:
        try:
            return value_text(self._done(called))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - it is raised in the worker, which goes on
            self._raised = error if isinstance(error, FlowError) else None
            return error_text(error)

    def close(self, failure: str | None) -> None:
        """The cell has ended: so have the steps that it began.

        Args:
            failure: The name of the error that it ended with; None for none.
        """
        for handle in reversed([*self._steps]):
            with suppress(FlowError):  # of the cell itself there may be something to be said
                self._end(handle, failure)

    def raised_as(self, reply: Mapping[str, Any]) -> FlowError | None:
        """The error of a call that the cell has ended with; None when it ended with another.

        Args:
            reply: Content of the execute reply.
        """
        error = self._raised
        ended_with = (reply.get("ename"), reply.get("evalue"))
        if error is None or ended_with != (type(error).__name__, str(error)):
            return None
        lines = [*map(str, reply.get("traceback") or ())]
        vars(error)["_render_traceback_"] = lambda: lines  # IPython asks for the lines to show
        return error.with_traceback(None)

    def _done(self, called: Called) -> object:
        op, args = read_call(called.text)
        if op not in _OPS:
            raise UsageError(f"a session does no {op[:40]!r} for a worker")
        if self._may is not None and op not in self._may:
            raise UsageError(
                f"a cell in the background cannot have its session do {op.replace('_', ' ')}",
                hint="run it without --bg",
            )
        return _OPS[op](self, called, **args)

    # -- what can be wanted ------------------------------------------------------------------------

    def _task(self, _: Called) -> object:
        task = self._session.current_task
        return None if task is None else asdict(task)

    def _start_task(self, _: Called, *, name: str, **options: Any) -> object:
        return asdict(self._session.start_task(name, **options))

    def _context(self, _: Called) -> object:
        return dict(self._session.context)

    def _context_set(self, _: Called, *, values: dict[str, object]) -> None:
        self._session.context.update(values)

    def _context_unset(self, _: Called, *, key: str) -> bool:
        try:
            del self._session.context[key]
        except KeyError:
            return False
        return True

    def _step_begin(self, called: Called, *, name: str, is_alone: bool) -> object:
        tasks = self._session.tasks
        block = tasks.alone(name) if is_alone else tasks.within(name)
        step = block.__enter__()
        # No number of ours: the handle of a cell before must not mean a step of this one.
        self._steps[called.call_id] = (block, step)
        return {"handle": called.call_id, "name": step.name, "number": step.number}

    def _progress(self, _: Called, *, handle: str, i: float, n: float) -> None:
        self._step(handle).progress(i, n)

    def _step_end(
        self, _: Called, *, handle: str, failure: str | None, untold: list[float] | None
    ) -> None:
        if untold is not None:
            with suppress(FlowError):
                self._step(handle).progress(*untold)
        self._end(handle, failure)

    def _log(self, _: Called, *, text: str) -> None:
        self._session.tasks.log(text)

    def _artifact(self, _: Called, *, path: str) -> None:
        self._session.artifact(path)

    def _finish(self, _: Called) -> object:
        return self._session.finish()

    def _fail(self, _: Called, *, reason: str) -> object:
        return self._session.fail(reason)

    def _checkpoint_place(self, _: Called) -> object:
        return place_of(self._session)

    def _checkpoint_told(self, _: Called, *, news: dict[str, Any], news_id: str = "") -> None:
        with NotedInterrupts() as held:  # it is done: an interrupt comes too late to undo it
            if not news_id or news_id != self._news_id:
                take_in(self._session, news)
                self._news_id = news_id
        held.pass_on()

    def _approve(self, called: Called, **wish: Any) -> bool:
        asked = Wish(**wish, is_wanted=lambda: called.is_wanted)
        with self._waiting():
            return self._session.approvals.request(asked).status == "approved"

    def _approve_cell(self, called: Called, *, line: str, body: str) -> object:
        with self._waiting():
            card = ask(line, body, is_wanted=lambda: called.is_wanted)
        if not card:
            return card
        print(card)  # noqa: T201 - what was approved stands above what it does
        return None

    def _checkpoint(self, _: Called, *, name: str | None, tag: bool) -> str:
        return self._session.checkpoint(name, tag=tag).checkpoint_id

    def _rollback(self, _: Called, *, to: str, what: str, dry_run: bool, trusts: bool) -> str:
        back = self._session.rollback(to, what=what, dry_run=dry_run, trusts=trusts)
        return back.target.checkpoint_id

    def _magic(self, called: Called, *, name: str, line: str) -> object:
        if name == "approve":
            with self._waiting():
                return ask(line, None, is_wanted=lambda: called.is_wanted)
        # Not by `run_line_magic`: the worker has put its variables into the line already.
        magic = self._shell.find_line_magic(name) if name in LINE_MAGICS else None
        if magic is None:
            raise UsageError(f"there is no magic %{name[:40]} in this session")
        return magic(line)

    # -- inside ------------------------------------------------------------------------------------

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        began_s = monotonic()
        try:
            yield
        finally:
            self._waited_s += monotonic() - began_s

    def _step(self, handle: str) -> Step:
        if handle not in self._steps:
            raise NotFound("the step has ended")
        return self._steps[handle][1]

    def _end(self, handle: str, failure: str | None) -> None:
        self._step(handle)
        block, _ = self._steps.pop(handle)
        if failure is None:
            block.__exit__(None, None, None)
            return
        error = type(failure, (Exception,), {})()
        block.__exit__(type(error), error, None)


_OPS: Final[dict[str, Callable[..., object]]] = {
    "task": SessionCalls._task,
    "start_task": SessionCalls._start_task,
    "context": SessionCalls._context,
    "context_set": SessionCalls._context_set,
    "context_unset": SessionCalls._context_unset,
    "step_begin": SessionCalls._step_begin,
    "step_end": SessionCalls._step_end,
    "progress": SessionCalls._progress,
    "log": SessionCalls._log,
    "artifact": SessionCalls._artifact,
    "finish": SessionCalls._finish,
    "fail": SessionCalls._fail,
    "approve": SessionCalls._approve,
    "approve_cell": SessionCalls._approve_cell,
    "checkpoint": SessionCalls._checkpoint,
    "checkpoint_place": SessionCalls._checkpoint_place,
    "checkpoint_told": SessionCalls._checkpoint_told,
    "rollback": SessionCalls._rollback,
    "magic": SessionCalls._magic,
}
