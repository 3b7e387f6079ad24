"""One command or cell of a client, from its start to its last message.

Made by `engine`, which gives it a thread. What it says goes into its stream, and into the log as
any isolated cell; it needs no connection, and lives on without one.

    waiting ─▶ running ─▶ ended      execution_started · task_output… · task_complete | task_error
"""

import json
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Any, Final, Literal

from flow_kernel.apps.sandbox.ends import End, end_of, error_end
from flow_kernel.apps.sandbox.outlet import CHUNK_CHARS, SandboxOutlet
from flow_kernel.apps.sandbox.stream import TaskStream
from flow_kernel.apps.sandbox.wire import MOST_CHARS, Execute
from flow_kernel.apps.sandbox.workspace import mind
from flow_kernel.errors import CellTimeout, FlowError, IsolationUnavailable
from flow_kernel.session.cell import CellRequest, Failure, OpenCell
from flow_kernel.session.isolation.cell import IsolatedCell
from flow_kernel.session.isolation.run import Counted
from flow_kernel.session.isolation.service import Finished
from flow_kernel.session.session import Session
from flow_kernel.workers.calls import Called
from flow_kernel.workers.job import InputWanted
from flow_kernel.workers.limits import Limits
from flow_kernel.workers.worker import Worker

_SLICE_S: Final = 0.1
_MOST_INPUTS: Final = 64
"""Lines that nobody has asked for yet."""
_MOST_INPUT_CHARS: Final = MOST_CHARS
"""Of all of them."""
_KILL_S: Final = 1.0
"""After which an interrupted task is killed."""
_NO_SESSION: Final = json.dumps(
    {
        "error": {
            "flow": IsolationUnavailable.__name__,
            "message": "a task of the sandbox has no session that could be asked",
            "hint": "use `jupyter flow` in a command, or flow_kernel.open_flow()",
            "data": {},
        }
    }
)
"""The answer to calls of code in a worker, as `shell.worker.call_wire` reads it there: to write it
with that would load IPython into the server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose a task is.

    Attributes:
        name: Of the user; who has another one does not see the task.
    """

    name: str

    @property
    def actor(self) -> str:
        """As records name it."""
        return f"sandbox:{self.name}"


class Task:
    """See the module.

    Args:
        order: What its client wants.
        task_id: It.
        owner: Whose it is.
        directory: Where it runs.
        worker: The name of the worker that it shares; None for a new one.
        stream: New.
        most_output_bytes: That it may say.
    """

    def __init__(  # noqa: PLR0913 - the engine passes them once, each by name
        self,
        order: Execute,
        *,
        task_id: str,
        owner: Owner,
        directory: Path,
        worker: str | None,
        stream: TaskStream,
        most_output_bytes: int,
    ) -> None:
        self.task_id: str = task_id
        self.owner: Owner = owner
        self.order: Execute = order
        self.stream: TaskStream = stream
        self._directory = directory
        self.state: Literal["waiting", "running", "ended"] = "waiting"
        self.worker_id: str | None = None
        self.ended_s: float | None = None
        self.is_terminated: bool = False
        self.is_well: bool = False
        """True where its code has run to its end."""
        self.worker: str | None = worker
        self._worker: Worker | None = None
        self._guard = threading.Lock()
        """Held by who kills that worker: what is another task's by then is not killed."""
        self._killer: threading.Timer | None = None
        self._has_left = False
        self._session: Session | None = None
        self._began_s = time.monotonic()
        self._counted = Counted()
        self._inputs: Queue[str | None] = Queue(_MOST_INPUTS)
        self._typed_chars = 0
        """That came; counted in the loop of the server."""
        self._read_chars = 0
        """That were taken; counted in the thread of the task."""
        self._job_id = uuid.uuid4().hex
        self.key: str = f"{self._job_id}/sandbox"
        self._cell = IsolatedCell(
            code=order.source,
            header=_header(self._job_id, owner.name),
            namespace={},
            inputs=(),
            limits=Limits(
                timeout_s=order.timeout_s,
                memory_bytes=order.needs.memory_bytes or None,
                output_bytes=most_output_bytes,
            ),
            needs=order.needs,
            worker=worker,
            is_fresh=worker is None,
            is_background=True,
            priority=order.priority,
            is_script=order.is_command,
            can_ask=True,
            has_history=False,
            has_displays=True,
            directory=str(directory),
        )

    def run(self, session: Session, outlet: SandboxOutlet) -> None:
        """Run it to its end; nothing is raised."""
        self._session = session
        record = session.recorder.begin_apart(self.key, self._request(), None)
        outlet.begin(self._job_id, self)
        try:
            finished = session.isolation.run(
                self._cell,
                answer=self._answer,
                call=_refuse,
                counted=self._counted,
                on_worker=lambda worker: self._begins(worker, outlet),
            )
            end = end_of(finished)
        except BaseException as error:  # noqa: BLE001 - the boundary of its thread: its client is told
            finished, end = None, error_end(error)
        self.left()
        outlet.forget(self._job_id)
        self.is_well = end.reason is None
        if self.is_terminated and end.failure is not None:  # else it was done before
            end = End(reason="terminated", message="the task was terminated", failure=end.failure)
        if record is not None:
            with suppress(Exception):  # a log that fails takes no answer away
                _note(session, record, finished, end, self.worker_id)
        self._ends(end)

    def fail(self, error: BaseException) -> None:
        """It never ran, or nobody can say what became of it."""
        self._ends(error_end(error))

    def terminate(self) -> None:
        """End it: an interrupt, and a moment later all of it is killed. Callable in any thread."""
        if self.state == "ended" or self.is_terminated:
            return
        self.is_terminated = True
        self._counted.interrupt()
        if self._session is not None and (isolation := self._session.find_isolation()) is not None:
            isolation.look_again()
        timer = threading.Timer(_KILL_S, self.kill)
        timer.daemon = True
        with self._guard:
            if self._has_left:
                return
            self._killer = timer
            timer.start()

    def kill(self) -> None:
        """Kill what it still runs in."""
        with self._guard:
            isolation = None if self._session is None else self._session.find_isolation()
            if self._worker is not None and isolation is not None:
                isolation.pool.end(self._worker)

    def left(self) -> None:
        """It has ended in its worker; told by the outlet before another task gets that."""
        with self._guard:
            self._worker, self._has_left = None, True
            if self._killer is not None:
                self._killer.cancel()

    def type(self, text: str | None) -> bool:
        """A line for it, None for the end of its input; False where it has too many."""
        count = len(text or "")
        if self._typed_chars - self._read_chars + count > _MOST_INPUT_CHARS:
            return False
        try:
            self._inputs.put_nowait(text)
        except Full:
            return False
        self._typed_chars += count
        return True

    # -- told by the outlet, in the thread of the relay --------------------------------------------

    def said(self, stream: str, text: str, **more: object) -> None:
        """Text for its client."""
        self.stream.append("task_output", self.worker_id, stream=stream, output=text, **more)

    def blocked(self, block: Mapping[str, object]) -> None:
        """Its worker does not go on."""
        told = {key: value for key, value in block.items() if key not in ("job_id", "worker_id")}
        self.stream.append("block_detected", self.worker_id, **told)

    # -- inside, in its own thread -----------------------------------------------------------------

    def _begins(self, worker: Worker, outlet: SandboxOutlet) -> None:
        mind(self._directory)
        self._worker, self.worker_id, self.state = worker, worker.worker_id, "running"
        self._began_s = time.monotonic()
        outlet.listen(worker.worker_id, self)
        self.stream.append(
            "execution_started",
            worker.worker_id,
            language="bash" if self.order.is_command else "python",
            workspace=self._cell.directory,
            timeout=round(self.order.timeout_s * 1000),
        )

    def _answer(self, wanted: InputWanted) -> str:
        """The next line; nobody thinks for longer than the task may run."""
        if self._inputs.empty():
            self.stream.append(
                "task_output", self.worker_id, stream="stdin", output=wanted.prompt[:CHUNK_CHARS],
                password=wanted.is_password,
            )  # fmt: skip
        until_s = self._began_s + self.order.timeout_s
        while wanted.is_wanted() and not self._counted.count:
            try:
                text = self._inputs.get(timeout=_SLICE_S)
            except Empty:
                if time.monotonic() > until_s:
                    raise CellTimeout(
                        f"nothing was typed in the {self.order.timeout_s:g} s that the task may"
                        " run",
                        timeout_s=self.order.timeout_s,
                    ) from None
                continue
            if text is None:
                raise EOFError
            self._read_chars += len(text)
            return text.removesuffix("\n")
        if self._counted.count:  # with an empty line it could go on, and end well
            raise KeyboardInterrupt
        return ""

    def _ends(self, end: End) -> None:
        self.ended_s = time.monotonic()
        more: dict[str, Any] = {"elapsedMs": round((self.ended_s - self._began_s) * 1000, 1)}
        if self.stream.dropped_bytes:
            more["droppedBytes"] = self.stream.dropped_bytes
        kind, fields = end.message_fields()
        self.state = "ended"
        # It is kept for what it has said; its source may be half a million characters.
        self.order = replace(self.order, source="")
        self._cell = replace(self._cell, code="")
        self._inputs = Queue(1)
        self.stream.end(kind, self.worker_id, **fields, **more)

    def _request(self) -> CellRequest:
        source = self.order.source
        return CellRequest(
            code=f"%%bash\n{source}" if self.order.is_command else source,
            namespace={},
            hidden={},
            msg_id=self._job_id,
            cell_id=self.task_id,
            execution_count=None,
            actor=self.owner.actor,
        )


def warm_up(session: Session, name: str) -> bool:
    """Run an empty command in the worker of a name; False where it cannot be.

    It is no task, and leaves no record.
    """
    cell = IsolatedCell(
        code=":",
        header=_header(uuid.uuid4().hex, ""),
        namespace={},
        inputs=(),
        worker=name,
        is_background=True,
        is_script=True,
        has_history=False,
    )
    try:
        session.isolation.run(cell, answer=lambda _: "", call=_refuse)
    except FlowError:
        return False
    return True


def _note(
    session: Session, record: OpenCell, finished: Finished | None, end: End, worker_id: str | None
) -> None:
    """Write its record."""
    if finished is not None and finished.changes is not None:
        record.adopt(finished.changes, versions=finished.versions, worker=finished.worker_id)
    record.worker = worker_id
    failure = end.failure
    if failure is None and end.reason is not None:
        failure = Failure(end.reason, end.message, ())
    session.recorder.end_apart(record, failure)


def _refuse(called: Called) -> float:
    called.answer(_NO_SESSION)
    return 0.0


def _header(job_id: str, user: str) -> dict[str, Any]:
    return {
        "msg_id": job_id,
        "msg_type": "execute_request",
        "username": user,
        "session": uuid.uuid4().hex,
        "date": datetime.now(UTC),
        "version": "5.5",
    }
