"""Runs the body of an isolated cell in a worker, and ends the cell here as it ended there.

Called by `shell.isolated.magics`.
"""

import sys
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from IPython.core.error import StdinNotImplementedError
from IPython.core.error import UsageError as IPythonUsageError

from flow_kernel.errors import IsolationUnavailable, UsageError, WorkerDied
from flow_kernel.session.isolation.cell import IsolatedCell
from flow_kernel.session.isolation.forking import Life
from flow_kernel.session.isolation.script_ends import left_running
from flow_kernel.session.isolation.service import Finished
from flow_kernel.session.session import Session
from flow_kernel.shell.isolated.background import begin_background
from flow_kernel.shell.isolated.calls import SessionCalls
from flow_kernel.shell.isolated.routing import Order
from flow_kernel.shell.views.input_box import InputBox
from flow_kernel.shell.worker.relayed import relayed
from flow_kernel.workers.job import InputWanted

_SLICE_S: Final = 0.05
_END_OF_FILE: Final = "\x04"
_PAYLOADS: Final = ("page", "set_next_input")
_HIDES: Final = "flow_hides"


class Ends(Protocol):
    """What the outlet of workers does with the error that a cell ends with."""

    def let_go(self) -> None:
        """Show it: the cell ends with another."""

    def drop(self) -> None:
        """The session shows it."""


def run_isolated(shell: Any, session: Session, order: Order, body: str) -> object:
    """Run `body` in the worker that `order` names.

    Args:
        shell: IPython's.
        session: At work in it.
        order: Where, with which variables, held to what.
        body: The source.

    Returns:
        The handle of a cell in the background; None else.

    Raises:
        IPythonUsageError: The order cannot be followed; nothing was run.
        BaseException: What the body raised there, or what became of its worker.
    """
    isolation = session.isolation
    kernel = getattr(shell, "kernel", None)
    request = {} if kernel is None else kernel.get_parent("shell").get("content") or {}
    cell = IsolatedCell(
        code=body,
        header=_header(kernel),
        namespace=shell.user_ns,
        hidden=shell.user_ns_hidden,
        count=_count(shell, session),
        inputs=order.inputs,
        outputs=order.outputs,
        limits=order.limits,
        needs=order.needs,
        worker=order.worker,
        is_fresh=order.is_fresh or order.is_fork or (order.is_background and order.worker is None),
        is_fork=order.is_fork,
        is_background=order.is_background,
        acts_alone=order.is_background,
        priority=order.priority,
        is_idempotent=order.is_idempotent,
        is_script=order.is_shell,
        holds_state=session.settings.isolate_all and not order.is_background,
        is_silent=request.get("silent") is True,
        has_history=request.get("store_history") is not False,
        has_displays=kernel is not None,
        can_ask=not order.is_background
        and (kernel is None or getattr(kernel, "_allow_stdin", False) is True),
    )
    if order.is_background:
        return _begun(shell, session, cell)
    outlet: Ends = isolation.outlet
    calls = SessionCalls(shell, session)
    try:
        finished = _run(shell, session, cell, answer=_asker(kernel), call=calls)
    except UsageError as error:  # of the order: nothing has run
        raise IPythonUsageError(f"%%isolated: {error}") from None
    except BaseException as error:
        calls.close(type(error).__name__)
        outlet.let_go()
        if isinstance(error, WorkerDied):
            _note_worker(session, error.worker_id)
            if cell.holds_state:
                _offer_way_back(session)
        raise
    has_failed = finished.reply.get("status") != "ok"
    calls.close(str(finished.reply.get("ename")) if has_failed else None)
    _take_over(shell, session, finished)
    if not has_failed:
        outlet.let_go()
        return None
    outlet.drop()
    raise (
        finished.error
        or calls.raised_as(finished.reply)
        or _shown(shell, finished.reply)
        or relayed(finished.reply)
    )


def _offer_way_back(session: Session) -> None:
    """Say how the variables come back that were lost with a worker, where they were kept."""
    with session.recorder.own_imports():
        offer = session.way_back()
    if offer:
        session.isolation.outlet.say(offer)


def _begun(shell: Any, session: Session, cell: IsolatedCell) -> object:
    try:
        return begin_background(shell, session, cell)
    except UsageError as error:
        raise IPythonUsageError(f"%%isolated: {error}") from None


def _run(shell: Any, session: Session, cell: IsolatedCell, **how: Any) -> Finished:
    """Run a cell in a worker, or in a copy of the session."""
    isolation = session.isolation
    if not cell.is_fork:
        return isolation.run(cell, **how)
    if session.settings.isolate_all:
        raise IsolationUnavailable(
            "every cell of this session runs in a worker, and a copy of the session would see no"
            " variable of it; nothing was run",
            hint="run the cell without --fork",
        )

    def life() -> Life:
        with session.recorder.own_imports():
            from flow_kernel.shell.forked.cell import life_of  # few cells want it, and only Linux

        return life_of(shell, session, cell)

    finished = isolation.forks.run(isolation.held(cell), life, **how)
    if finished.outputs:  # what workers know of these names is no longer so
        session.still.stir()
    return finished


def _shown(shell: Any, reply: Mapping[str, Any]) -> BaseException | None:
    """The error of a magic that the shell of the worker has shown: in a line, without a traceback.

    The shell here would show it in the same way, once more.
    """
    if reply.get("ename") != IPythonUsageError.__name__ or reply.get("traceback"):
        return None
    error: BaseException = IPythonUsageError(str(reply.get("evalue")))
    known = getattr(shell.show_usage_error, _HIDES, None)
    if known is not None:  # another one of this cell, which was caught
        known.append(error)
        return error
    before, own, hidden = shell.show_usage_error, vars(shell).get("show_usage_error"), [error]

    def show(other: Any) -> None:
        if all(other is not each for each in hidden):
            before(other)

    def put_back() -> None:
        shell.events.unregister("post_execute", put_back)
        if vars(shell).get("show_usage_error") is show:
            del shell.show_usage_error
            if own is not None:
                shell.show_usage_error = own

    setattr(show, _HIDES, hidden)
    shell.show_usage_error = show
    shell.events.register("post_execute", put_back)
    return error


def _take_over(shell: Any, session: Session, finished: Finished) -> None:
    """What the worker found goes into the session and into the record of the cell."""
    shell.user_ns.update(finished.outputs)
    for name, reason in finished.not_back.items():
        session.isolation.outlet.say(f"{name} did not come back from the worker: {reason}")
    if left := left_running(finished.script):
        session.isolation.outlet.say(left)
    for payload in finished.reply.get("payload") or ():
        # Not `ask_exit`: that ends a worker, and no session.
        if isinstance(payload, dict) and payload.get("source") in _PAYLOADS:
            shell.payload_manager.write_payload(payload, single=False)
    open_cell = session.recorder.innermost()
    if open_cell is not None and finished.changes is not None:
        open_cell.adopt(finished.changes, versions=finished.versions, worker=finished.worker_id)
    _note_worker(session, finished.worker_id)


def _note_worker(session: Session, worker_id: str) -> None:
    """The record of the cell tells where it ran, however it ended."""
    open_cell = session.recorder.innermost()
    if open_cell is not None:
        open_cell.worker = worker_id


def _header(kernel: Any | None) -> Mapping[str, Any]:
    if kernel is not None:
        header: Mapping[str, Any] | None = kernel.get_parent("shell").get("header")
        if header:
            return header
    return {
        "msg_id": uuid.uuid4().hex,
        "msg_type": "execute_request",
        "username": "",
        "session": uuid.uuid4().hex,
        "date": datetime.now(UTC),
        "version": "5.5",
    }


def _count(shell: Any, session: Session) -> int | None:
    """The number of the cell: IPython has counted it already where it is one that counts."""
    open_cell = session.recorder.innermost()
    if open_cell is not None and open_cell.request.execution_count is not None:
        return int(open_cell.request.execution_count)
    return int(shell.execution_count)


def _asker(kernel: Any | None) -> Callable[[InputWanted], str]:
    def ask(wanted: InputWanted) -> str:
        if kernel is None:
            import getpass  # seldom wanted

            return getpass.getpass(wanted.prompt) if wanted.is_password else input(wanted.prompt)
        return _typed(kernel, wanted)

    return ask


def _typed(kernel: Any, wanted: InputWanted) -> str:
    """What is typed into the box of the cell; empty where nobody waits for it any more.

    Not by `kernel.raw_input`, which hears of no death: whoever waits for a worker that is gone
    would have to answer first.
    """
    box = InputBox(kernel)
    if not box.can_ask:
        raise StdinNotImplementedError("this front end does not support input requests")
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # a cell may have put anything there
            stream.flush()
    box.ask(wanted.prompt, is_password=wanted.is_password, is_question=False)
    while wanted.is_wanted():
        text = box.poll(_SLICE_S)
        if text == _END_OF_FILE:
            raise EOFError
        if text is not None:
            return text
    box.done()
    return ""
