"""The loop of `jupyter flow repl`: lines in, one cell after the other, lines out.

Called by `repl`.

One thread waits for everything at once: lines on stdin, messages of the kernel, its death, signals,
the time of the running cell. What a line means stands in `repl_protocol`, what a cell gives in
`repl_cell`, how long it may take in `repl_patience`.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import zmq

from flow_kernel.apps import repl_protocol as protocol
from flow_kernel.apps.repl_box import Boxes
from flow_kernel.apps.repl_cell import RunningCell, Said, failure_of
from flow_kernel.apps.repl_client import Client
from flow_kernel.apps.repl_death import Ending, ending_of
from flow_kernel.apps.repl_kernel import Message, NotStarted, ReplKernel
from flow_kernel.apps.repl_patience import Patience
from flow_kernel.apps.repl_pipes import Signals
from flow_kernel.apps.repl_protocol import Decide, GiveInput, Refused, RunCell, Scalar
from flow_kernel.errors import FlowError
from flow_kernel.records.process import oom_kills

if TYPE_CHECKING:
    from flow_kernel.apps.repl_events import Told

_STRAGGLER_S: Final = 1.0
_ENTRY_S: Final = (
    0.02  # an interrupt between the sign that a cell begins and its code costs a reply
)
_QUIET_MS: Final = 50
_READS: Final = 1000
_STREAMERS: Final = 64
_NO_REPLY: Final = (
    "the kernel ended the cell without a reply, as when an interrupt comes before it has begun"
)
_NO_ISOLATION: Final = "this kernel does not isolate cells; the cell did not run"


@dataclass(slots=True, kw_only=True)
class Run:
    """The running cell and its time.

    Attributes:
        cell: What came of it so far.
        patience: How long it may take.
        began: When it was sent.
        heard: When its last message came.
        is_interrupt_wanted: Somebody has interrupted it before it began.
        interrupt_at: When it is interrupted for that.
    """

    cell: RunningCell
    patience: Patience
    began: float
    heard: float
    is_interrupt_wanted: bool = False
    interrupt_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a session is given.

    Attributes:
        start: Makes a kernel, not yet ready.
        home: Where questions lie, unless the kernel says otherwise.
        timeout_s: For cells that name none; None for ever.
        remark: Tells people something, on stderr.
    """

    start: Callable[[], ReplKernel]
    home: Path
    timeout_s: float | None
    remark: Callable[[str], None]


class ReplSession:
    """Runs the cells of one client until it has no more."""

    def __init__(self, setting: Setting, client: Client, signals: Signals) -> None:
        self._set = setting
        self._client = client
        self._signals = signals
        self._boxes = Boxes(setting.home)
        self._kernel: ReplKernel | None = None
        self._run: Run | None = None
        self._streamers: dict[str, Scalar] = {}
        self._is_interrupt_early = False

    def run(self) -> None:
        """Serve until stdin has ended and everything is answered.

        Raises:
            Ended: A signal asked for the end.
            BrokenPipeError: Nobody reads the answers.
            NotStarted: There is no kernel.
        """
        client = self._client
        try:
            self._start(is_first=True)
            while self._run is not None or client.has_cells or not client.has_ended:
                self._turn()
        except NotStarted as error:
            while client.has_cells:
                cell = RunningCell(client.next_cell(), "")
                client.say(cell.answer(0.0, failure_of("KernelDied", error.message)))
            client.say(protocol.error(error))
            raise
        finally:
            kernel, self._kernel = self._kernel, None
            if kernel is not None:
                kernel.stop(is_busy=self._run is not None)

    def _turn(self) -> None:
        if self._run is None:
            # What is there already counts for the next cell, an end of input above all.
            for _ in range(_READS):
                if not self._wait(0):
                    break
            if self._client.has_cells:
                self._begin(self._client.next_cell())
            elif self._client.has_ended:
                return
        if self._run is not None or not self._client.has_cells:
            self._wait(self._until_due_ms())
        if self._run is not None:
            self._look_at_the_clock(self._run)

    # -- waiting -----------------------------------------------------------------------------------

    def _wait(self, timeout_ms: int | None) -> bool:
        """Take in whatever has happened, after `timeout_ms` at most; True when stdin was read."""
        kernel = self._kernel
        ready = dict(self._poller().poll(timeout_ms))
        if self._client.out_fd in ready:
            raise BrokenPipeError
        if self._signals.fd in ready:
            self._signals.drain()
        self._signals.check()
        if kernel is not None:
            for channel, message in kernel.receive(ready):
                self._on_message(channel, message)
        was_read = self._client.stdin in ready
        if was_read:
            self._read()
        if self._signals.take_interrupt():
            self._on_interrupt()
        if kernel is not None and kernel is self._kernel and kernel.pidfd in ready:
            self._on_death(kernel)
        return was_read

    def _poller(self) -> zmq.Poller:
        client, kernel = self._client, self._kernel
        poller = zmq.Poller()
        poller.register(client.out_fd, zmq.POLLERR)
        poller.register(self._signals.fd, zmq.POLLIN)
        # A client that sends faster than its cells run has to wait; not one that is asked.
        if not client.has_ended and (self._boxes.is_open or not client.is_full):
            poller.register(client.stdin, zmq.POLLIN)
        if kernel is not None:
            for waited in (*kernel.sockets.values(), kernel.pidfd):
                poller.register(waited, zmq.POLLIN)
        return poller

    def _until_due_ms(self) -> int | None:
        run = self._run
        if run is None:
            return None
        due = [at for at in (run.patience.next_at, run.interrupt_at) if at is not None]
        if run.cell.reply is not None or run.cell.is_idle:
            due.append(run.heard + _STRAGGLER_S)
        # Rounded up: a turn too early would be a turn for nothing.
        return int(max(0.0, min(due) - time.monotonic()) * 1000) + 1 if due else None

    def _look_at_the_clock(self, run: Run) -> None:
        now = time.monotonic()
        is_half_over = run.cell.reply is not None or run.cell.is_idle
        if is_half_over and now > run.heard + _STRAGGLER_S:
            # An interrupt between two cells costs the reply, a flood the sign of the end.
            self._finish(run)
            return
        action = run.patience.due(now)
        if run.interrupt_at is not None and now >= run.interrupt_at:
            run.interrupt_at = None
            action = action or "interrupt"
        if action == "interrupt" and self._kernel is not None:
            self._kernel.interrupt()
        elif action == "kill" and self._kernel is not None:
            self._kernel.kill()

    # -- the client --------------------------------------------------------------------------------

    def _read(self) -> None:
        for request in self._client.read():
            try:
                self._follow(request)
            except FlowError as error:
                self._client.say(protocol.error(error))
        if self._client.has_ended:
            self._boxes.end_input(self._kernel)

    def _follow(self, request: GiveInput | Decide | Refused) -> None:
        if isinstance(request, GiveInput):
            self._boxes.give(request.text, self._kernel)
        elif isinstance(request, Decide):
            self._client.say(self._boxes.decide(request, self._kernel))
        else:
            self._client.say(protocol.error(request.error, request.id))

    # -- cells -------------------------------------------------------------------------------------

    def _begin(self, request: RunCell) -> None:
        is_interrupted, self._is_interrupt_early = self._is_interrupt_early, False
        kernel = self._kernel or self._start()
        if request.is_isolated and not kernel.is_ours:
            cell = RunningCell(request, "")
            self._client.say(cell.answer(0.0, failure_of("IsolationUnavailable", _NO_ISOLATION)))
            return
        timeout_s = self._set.timeout_s if request.timeout_s is None else request.timeout_s
        msg_id = kernel.execute(
            request.code,
            allow_stdin=not self._client.has_ended,
            is_isolated=request.is_isolated,
        )
        now = time.monotonic()
        self._run = Run(
            cell=RunningCell(request, msg_id),
            patience=Patience(timeout_s, now),
            began=now,
            heard=now,
            is_interrupt_wanted=is_interrupted,
        )
        if request.is_streamed:
            self._streamers[msg_id] = request.id
            if len(self._streamers) > _STREAMERS:
                del self._streamers[next(iter(self._streamers))]

    def _on_message(self, channel: str, message: Message) -> None:
        parent = str(message["parent_header"].get("msg_id"))
        run = self._run if self._run is not None and parent == self._run.cell.msg_id else None
        if channel == "iopub" and message["msg_type"] == "stream":
            self._on_stream(run, parent, message["content"])
        elif run is not None:
            self._on_progress(run, channel, message)
        if run is not None:
            run.heard = time.monotonic()
            if run.cell.reply is not None and run.cell.is_idle:
                self._finish(run)

    def _on_progress(self, run: Run, channel: str, message: Message) -> None:
        if channel == "stdin":
            told = self._boxes.show(message)
            if self._client.has_ended:
                self._boxes.end_input(self._kernel)
            else:
                self._client.say(told)
        elif channel == "shell":
            self._tell(run.cell.end(message))
        elif channel == "iopub":
            self._tell(run.cell.show(message["msg_type"], message["content"]))
            if run.cell.has_begun and run.is_interrupt_wanted:
                run.is_interrupt_wanted = False
                run.interrupt_at = time.monotonic() + _ENTRY_S

    def _on_stream(self, run: Run | None, parent: str, content: Mapping[str, Any]) -> None:
        name, text = str(content.get("name")), content.get("text")
        if not isinstance(text, str):
            return
        pieces: list[str | Told] = [text]
        if name == "stdout" and self._kernel is not None:
            pieces = self._kernel.events.split(text)
        for piece in pieces:
            if not isinstance(piece, str):
                if not self._boxes.was_told(piece.name, piece.fields):
                    self._client.say(protocol.event(piece.name, piece.fields))
            elif run is not None:
                self._tell(run.cell.print(name, piece))
            elif parent in self._streamers:  # a thread of a cell that has ended
                ended = self._streamers[parent]
                self._tell(protocol.chunk(ended, name, p) for p in protocol.chunks(piece))

    def _tell(self, all_said: Iterable[Said]) -> None:
        for said in all_said:
            self._client.say(said)

    def _finish(self, run: Run) -> None:
        failure = None
        if run.patience.is_over:
            failure = failure_of(
                "CellTimeout",
                f"the cell took longer than {run.patience.timeout_s:g} s and was interrupted;"
                " its variables are kept",
            )
        elif run.cell.reply is None:
            failure = failure_of("NoReply", _NO_REPLY)
        self._answer(run, failure)

    def _answer(self, run: Run, failure: Mapping[str, object] | None) -> None:
        self._run = None
        self._boxes.close()
        self._client.say(run.cell.answer((time.monotonic() - run.began) * 1000, failure))

    # -- the kernel --------------------------------------------------------------------------------

    def _start(self, *, is_first: bool = False) -> ReplKernel:
        kernel = self._set.start()
        try:
            kernel.wait_until_ready(self._signals, is_first=is_first)
        except BaseException:
            kernel.close()
            raise
        self._kernel = kernel
        return kernel

    def _on_interrupt(self) -> None:
        run = self._run
        if run is None and self._client.has_cells:
            self._is_interrupt_early = True
        elif run is None or self._kernel is None:
            self._set.remark("no cell runs; to end the session, close its input")
        elif run.cell.has_begun:
            self._kernel.interrupt()
        else:
            run.is_interrupt_wanted = True

    def _on_death(self, kernel: ReplKernel) -> None:
        # What it has said before it died is still on its way.
        while left := kernel.wait(_QUIET_MS):
            for channel, message in kernel.receive(left):
                self._on_message(channel, message)
        ending = ending_of(kernel.exit_code(), before=kernel.oom_before, after=oom_kills())
        run = self._run
        if run is not None and run.cell.reply is None:
            self._answer(run, _failure(ending, run.patience))
        elif run is not None:
            self._finish(run)
        self._kernel = None
        kernel.close()
        if run is None:
            # A kernel that cannot live while nothing runs is not started over and over.
            self._set.remark(f"the kernel ended: {ending.words}; the next cell starts a new one")
            return
        self._set.remark(f"the kernel ended: {ending.words}; a new one starts")
        if self._client.has_cells or not self._client.has_ended:
            self._start()


def _failure(ending: Ending, patience: Patience) -> dict[str, object]:
    gone = "its variables are gone, and a new kernel goes on"
    if patience.is_over:
        return failure_of(
            "CellTimeout",
            f"the cell took longer than {patience.timeout_s:g} s and ignored the interrupt, so the"
            f" kernel was killed: {gone}",
        )
    return failure_of("KernelDied", f"{ending.words}: {gone}")
