"""A cell in the background, as the code of a notebook has it: a handle, a card, a record.

Called by `shell.isolated.cell`. The card lies in the cell that began it, and is drawn again at its
end; what the cell says arrives below it.
"""

import asyncio
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import CancelledError
from typing import Any, Final, overload

from IPython.core.getipython import get_ipython
from IPython.display import display

from flow_kernel.errors import FlowError, NotFound
from flow_kernel.records.interrupts import NotedInterrupts
from flow_kernel.records.plain import one_line
from flow_kernel.session.cell import CellRequest, Failure, OpenCell
from flow_kernel.session.isolation.background import BackgroundJob, JobState
from flow_kernel.session.isolation.cell import IsolatedCell
from flow_kernel.session.session import Session
from flow_kernel.shell.isolated.calls import IN_BACKGROUND, SessionCalls
from flow_kernel.shell.views.checkpoint_lines import Lines
from flow_kernel.shell.views.display import Table
from flow_kernel.shell.worker.relayed import relayed

_HEADER: Final = ("job", "state", "worker", "time", "code")
_CODE_CHARS: Final = 60
_COLOURED: Final = "\x1b[31m{name}\x1b[39m: {text}"


class BackgroundCell:
    """The handle of a cell in the background; named as those of `concurrent.futures` are.

    Awaited, or asked for its result, it brings back what `--out` names and raises what the cell
    has raised.

    Args:
        job: What runs.
        tell: Says a sentence to the person.
    """

    def __init__(self, job: BackgroundJob, tell: Callable[[str], None]) -> None:
        self._job = job
        self._tell = tell
        self._landed = job.landed
        self._shown_by: object = None

    @property
    def job_id(self) -> str:
        """Of `j1`, `j2` and so on."""
        return self._job.job_id

    @property
    def worker_id(self) -> str | None:
        """Where it runs, or has run; None while it waits."""
        return self._job.worker_id

    @property
    def state(self) -> str:
        """waiting, running, ok, error or cancelled."""
        return str(self._job.state)

    @property
    def elapsed_s(self) -> float:
        """Seconds from its begin to its end, or to now."""
        return self._job.elapsed_s

    def done(self) -> bool:
        """True once it has ended, however it did."""
        return self._job.has_ended

    def running(self) -> bool:
        """True while it runs; False while it waits for a worker, and afterwards."""
        return self._job.state == JobState.RUNNING

    def cancelled(self) -> bool:
        """True where it has ended because somebody cancelled it."""
        return self._job.state == JobState.CANCELLED

    def cancel(self) -> bool:
        """Interrupt it; one that waits for a worker never begins. False where it has ended."""
        return self._job.cancel()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for its end; False where it takes longer than `timeout` seconds."""
        return self._job.wait(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What it has raised; None where it has ended well.

        Raises:
            TimeoutError: It takes longer than `timeout` seconds.
        """
        if not self._job.wait(timeout):
            raise TimeoutError(f"{self.job_id} has not ended in {timeout:g} s")
        return error_of(self._job)

    def result(self, timeout: float | None = None) -> dict[str, object]:
        """Wait for its end, and bring back what `--out` names.

        Returns:
            These variables, which the session has from now.

        Raises:
            TimeoutError: It takes longer than `timeout` seconds.
            CancelledError: It was cancelled.
            BaseException: What it has raised, or what became of its worker.
        """
        error = self.exception(timeout)
        if self.cancelled():
            raise CancelledError(f"{self.job_id} was cancelled") from error
        if error is not None:
            raise error
        for name, reason in self._job.land().items():
            self._tell(f"{name} did not come back from the worker: {reason}")
        return dict(self._landed)

    def add_done_callback(self, fn: "Callable[[BackgroundCell], object]") -> None:
        """Call `fn` with this at its end, in another thread; at once where it has ended."""
        self._job.then(lambda: fn(self))

    def __await__(self) -> Generator[Any, None, dict[str, object]]:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            if not ended.done():
                ended.set_result(None)

        self._job.then(lambda: loop.call_soon_threadsafe(wake))
        yield from ended.__await__()
        return self.result()

    @property
    def card(self) -> Lines:
        """What there is to say of it now."""
        return card_of(self._job)

    def __repr__(self) -> str:
        return repr(card_of(self._job))

    def _repr_html_(self) -> str:
        return card_of(self._job)._repr_html_()

    def show(self) -> None:
        """Put its card below the cell that begins it, which IPython would do later."""
        self._ipython_display_()
        self._shown_by = _running()

    def _ipython_display_(self) -> None:
        if self._shown_by is not None and self._shown_by == _running():
            return
        display(card_of(self._job), display_id=_display_id(self._job))

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a cell in the background cannot be copied: it lives in its session")


def card_of(job: BackgroundJob) -> Lines:
    """What there is to say of it now."""
    where = "" if job.worker_id is None else f" in {job.worker_id}"
    match job.state:
        case JobState.WAITING:
            told = "waits for a worker"
        case JobState.RUNNING:
            told = f"runs{where}"
        case JobState.OK:
            told = f"ended well{where} after {job.elapsed_s:.1f} s"
        case JobState.CANCELLED:
            told = f"was cancelled{where} after {job.elapsed_s:.1f} s"
        case _:
            told = f"failed{where} after {job.elapsed_s:.1f} s: {type(error_of(job)).__name__}"
    lines = []
    if not job.has_ended and job.state in (JobState.WAITING, JobState.RUNNING):
        lines.append(
            f"%workers wait {job.job_id} waits for it, %workers cancel {job.job_id} ends it"
        )
    elif job.state == JobState.OK and job.cell.outputs and not job.has_landed:
        lines.append(f"%workers wait {job.job_id} brings back {', '.join(job.cell.outputs)}")
    return Lines(f"{job.job_id} {told}", lines)


class JobTable(Table, Sequence[BackgroundJob]):
    """Cells in the background, one a row; a sequence of what is known of each."""

    def __init__(self, jobs: list[BackgroundJob]) -> None:
        self._jobs = jobs
        rows = [
            [job.job_id, str(job.state), job.worker_id or "", f"{job.elapsed_s:.1f} s",
             one_line(job.cell.code.strip(), _CODE_CHARS)]
            for job in jobs
        ]  # fmt: skip
        super().__init__(_HEADER, rows, empty="nothing runs in the background")

    @overload
    def __getitem__(self, index: int) -> BackgroundJob: ...
    @overload
    def __getitem__(self, index: slice) -> list[BackgroundJob]: ...
    def __getitem__(self, index: int | slice) -> BackgroundJob | list[BackgroundJob]:
        return self._jobs[index]

    def __len__(self) -> int:
        return len(self._jobs)


def handle_of(session: Session, job_id: str) -> BackgroundCell:
    """The handle of one of them.

    Raises:
        NotFound: There is none of that id.
    """
    isolation = session.find_isolation()
    if isolation is None:
        raise NotFound("nothing runs in the background", hint="%%isolated --bg begins a cell there")
    return BackgroundCell(isolation.background.find(job_id), isolation.outlet.say)


def _running() -> object:
    """The cell that runs now."""
    shell: Any = get_ipython()
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return getattr(shell, "execution_count", None)
    return kernel.get_parent("shell").get("header", {}).get("msg_id")


def _display_id(job: BackgroundJob) -> str:
    return f"flow-{job.cell.header['msg_id']}-{job.job_id}"


def error_of(job: BackgroundJob) -> BaseException | None:
    """What it has raised; None where it has not, or not yet."""
    if job.error is not None:
        return job.error
    finished = job.finished
    if finished is None or finished.reply.get("status") == "ok":
        return None
    return finished.error or relayed(finished.reply)


def begin_background(shell: Any, session: Session, cell: IsolatedCell) -> BackgroundCell:
    """Begin a cell and come back.

    Args:
        shell: IPython's.
        session: At work in it.
        cell: Which.

    Raises:
        UsageError: A variable that was named does not exist.
        IsolationUnavailable: A limit cannot be held to, or there is no thread for it.
    """
    job = session.isolation.background.prepared(cell)
    handle = BackgroundCell(job, session.isolation.outlet.say)
    with NotedInterrupts() as held:  # between two of these steps it would never end
        _start(shell, session, handle, job)
    held.pass_on()
    return handle


def _start(shell: Any, session: Session, handle: BackgroundCell, job: BackgroundJob) -> None:
    starter = session.recorder.innermost()
    place = session.where.now if starter is None else starter.place
    job.task_id = place.task_id
    request = _request(starter, job.cell, session.recorder.acting.now())
    record = session.recorder.begin_apart(job.key, request, starter)

    def ended(job: BackgroundJob) -> None:
        failure = _failure_of(job)
        if record is not None:
            _note(session, record, job, failure)
        _show_end(shell, session, job, None if job.finished else failure)

    try:
        handle.show()  # what is drawn again has to be there before
        session.isolation.background.start(
            job,
            call=SessionCalls(shell, session, may=IN_BACKGROUND),
            on_begin=lambda job: _redraw(shell, job),
            on_end=ended,
        )
    except BaseException as error:
        if record is not None:
            failure = Failure(type(error).__name__, str(error), ())
            session.recorder.end_apart(record, failure)
        raise


def _request(starter: OpenCell | None, cell: IsolatedCell, actor: str) -> CellRequest:
    known = None if starter is None else starter.request
    return CellRequest(
        code=cell.code,
        namespace={},
        hidden={},
        msg_id=str(cell.header["msg_id"]),
        cell_id=None if known is None else known.cell_id,
        execution_count=cell.count,
        actor=actor if known is None else known.actor,
    )


def _failure_of(job: BackgroundJob) -> Failure | None:
    error = error_of(job)
    if error is None:
        return None
    lines: Any = getattr(error, "_lines", ())
    text = error.message if isinstance(error, FlowError) else str(error)
    if job.state == JobState.CANCELLED and job.finished is None and job.worker_id is None:
        return Failure("CancelledError", text, ())
    return Failure(type(error).__name__, text, tuple(lines))


def _note(session: Session, record: OpenCell, job: BackgroundJob, failure: Failure | None) -> None:
    """Write its record."""
    finished = job.finished
    if finished is not None and finished.changes is not None:
        record.adopt(finished.changes, versions=finished.versions, worker=finished.worker_id)
    record.worker = job.worker_id
    session.recorder.end_apart(record, failure)


def _show_end(shell: Any, session: Session, job: BackgroundJob, failure: Failure | None) -> None:
    """Draw the card again, under what the worker could not say any more."""
    if getattr(shell, "kernel", None) is None:
        session.isolation.outlet.say(repr(card_of(job)))
        return
    if failure is not None:
        line = _COLOURED.format(name=failure.ename, text=failure.evalue)
        error = {"ename": failure.ename, "evalue": failure.evalue, "traceback": [line]}
        _send(shell.kernel, job, "error", error)
    _redraw(shell, job)


def _redraw(shell: Any, job: BackgroundJob) -> None:
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return
    card = card_of(job)
    data: dict[str, object] = {"text/plain": repr(card), "text/html": card._repr_html_()}
    transient = {"display_id": _display_id(job)}
    content = {"data": data, "metadata": {}, "transient": transient}
    _send(kernel, job, "update_display_data", content)


def _send(kernel: Any, job: BackgroundJob, kind: str, content: Mapping[str, object]) -> None:
    """Under the cell that has begun it."""
    parent = {"header": dict(job.cell.header)}
    topic = kernel._topic(kind)
    # Past our own tap: it is no output of the cell that has begun it.
    type(kernel.session).send(
        kernel.session, kernel.iopub_socket, kind, dict(content), parent=parent, ident=topic
    )
