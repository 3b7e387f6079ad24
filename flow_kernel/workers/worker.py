"""One worker: its state, its job, and what happens to both.

Made by `pool`. Everything here runs in the relay's thread but for `run`, `interrupt`, `signal` and
what is said to it, which `speech` sends.
"""

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from flow_kernel.records.process import start_time
from flow_kernel.workers import lifecycle
from flow_kernel.workers.backlog import MARK
from flow_kernel.workers.calls import KIND, Calls
from flow_kernel.workers.channels import Channels
from flow_kernel.workers.glimpses import REQUEST
from flow_kernel.workers.heart import Heart
from flow_kernel.workers.job import Died, Done, InputWanted, Job, Outlet, end_of, lost, torn
from flow_kernel.workers.last_words import STREAMS
from flow_kernel.workers.lifecycle import Event, State
from flow_kernel.workers.line_words import Hearer
from flow_kernel.workers.messages import PASSED_ON, TARGET, Message
from flow_kernel.workers.processes import Ended
from flow_kernel.workers.relay import Relay
from flow_kernel.workers.said import Said
from flow_kernel.workers.speech import Speech
from flow_kernel.workers.starter import Started
from flow_kernel.workers.tears import Tears
from flow_kernel.workers.turning import Turning

if TYPE_CHECKING:
    from concurrent.futures import Future

_LAST_WORDS_MS: Final = 5
_FAR_WORDS_MS: Final = 200
_FAULTS: Final = 2
_ASK_AGAIN_S: Final = 5.0
"""After a connection broke: so long a question may take to arrive over the next one, at first."""


class Worker(Turning):
    """See the module.

    Args:
        worker_id: `w1`, `w2`, …
        started: What runs.
        channels: Connected to it.
        relay: Listens to it.
        outlet: Takes what it says.
        on_change: Told each state with the reason.
    """

    def __init__(
        self,
        worker_id: str,
        started: Started,
        channels: Channels,
        *,
        relay: Relay,
        outlet: Outlet,
        on_change: "Callable[[Worker, str], None]",
    ) -> None:
        super().__init__(on_change)
        self.worker_id: str = worker_id
        self.name: str | None = None
        self.kind: str = started.kind
        self.reason: str = started.reason
        self.is_makeshift: bool = started.is_makeshift
        self.started_s: float = time.monotonic()
        self.heartbeat_s: float = time.time()
        self.restarts: int = 0
        self.env: Mapping[str, str] = {}
        self.rss_before_bytes: int = 0
        """What it has of the memory of another process."""
        self._started = started
        self._channels = channels
        self._relay = relay
        self._outlet = outlet
        self._parent: Mapping[str, Any] = {}
        self.said: Said = Said(started.last_words)
        self._speech = Speech(
            relay,
            channels,
            started.manager.session,
            line=started.line,
            is_busy=lambda: self.job is not None,
        )
        self._hearer = Hearer(started.line, self._hear)
        self._calls = Calls(self)
        self.heart: Heart = Heart(relay, channels.open_heart, self._beat)
        self.died: Died | None = None
        relay.post(self._listen)
        self._asked_s, self._ask_again_s = 0.0, _ASK_AGAIN_S / 2
        self._tears = Tears(relay, channels.iopub, self._tear) if self.is_far else None
        self.change(Event.READY)

    @property
    def pid(self) -> int | None:
        """Of its process; on another machine None where nobody says."""
        return self._started.process.pid

    @property
    def is_far(self) -> bool:
        """True on another machine: it has no file, no memory and no pid that is one here."""
        return self.kind == "remote"

    @property
    def lives(self) -> bool:
        """True unless its process has ended, told or not."""
        if self.state == State.DEAD:
            return False
        return self.is_far or self.pid is None or start_time(self.pid) is not None

    @property
    def is_ready(self) -> bool:
        """True where it can take a job now."""
        return lifecycle.can(self.state, Event.BEGIN)

    def ask_for_glimpses(self, job: Job) -> None:
        """Have its sampler look at what `job` does, from now on."""
        self.say("control", REQUEST, {"msg_id": job.msg_id})

    def run(self, job: Job) -> None:
        """Send `job`; what happens is put into its queue, its death too if it is dead by now.

        Raises:
            IllegalTransition: It has another one.
            UsageError: `job` cannot be sent, and was not.
        """
        frames = self._speech.frames(job)
        with self._turning:
            if self.died is not None:
                job.happened.put(self.died)
                return
            self.unseen()
            self.change(Event.BEGIN, do=lambda: self._begin(job, frames))

    def mind_reply(self, job: Job) -> None:
        """Ask after a reply that has not come with the end of `job`; called now and then.

        An interrupt that hits ipykernel and not the cell costs the reply. Replies come in the order
        of their requests: where that to a later one is here, this one was lost. So it may be where
        the connection broke, and the question with it: it is asked again, ever less often.
        """
        if job.is_torn and time.monotonic() - self._asked_s > self._ask_again_s:
            self._asked_s = time.monotonic()
            self._ask_again_s *= 2  # each is answered, once the cell has ended
            asked = self.ask("kernel_info_request", {})
            asked.add_done_callback(lambda _: self._end(job, torn(job.reply)))
        elif job.is_idle and job.reply is None and not job.is_missed:
            job.is_missed = True
            asked = self.ask("kernel_info_request", {})
            asked.add_done_callback(lambda _: self._end(job, lost()))

    def interrupt(self, job: Job | None) -> bool:
        """Interrupt `job`, if that is what it is doing; None is what it does besides.

        Returns:
            True where the signal was sent.
        """
        if self.job is not job:
            return False
        if self.is_far:
            self.say("control", "interrupt_request", {})
        else:
            self.signal(signal.SIGINT)
        return True

    def signal(self, number: int) -> None:
        """Signal its process group."""
        with suppress(OSError):
            self._started.process.send_signal(number)

    def answer(self, value: str) -> None:
        """Answer its question for input."""
        self.say("stdin", "input_reply", {"value": value})

    def say(self, channel: str, kind: str, content: Mapping[str, Any], **more: Any) -> None:
        """Send another message, on `shell`, `control` or `stdin`."""
        self._speech.say(channel, kind, content, **more)

    def ask(self, kind: str, content: Mapping[str, Any]) -> "Future[dict[str, Any]]":
        """Send a request that is no cell, such as one for completions.

        Returns:
            Gets the content of the reply; never done where there is none.
        """
        return self._speech.ask(kind, content)

    def pass_comm(self, kind: str, message: Mapping[str, Any]) -> None:
        """Pass on what a client says to a comm of it.

        While a cell is busy it is heard in a subshell, if it came over one; else after the cell.
        """
        self._speech.pass_comm(kind, message)

    def died_with(self, ended: Ended) -> None:
        """Its process has ended; called in any thread."""
        self._relay.post(lambda: self._bury(ended))

    # -- what the relay tells ----------------------------------------------------------------------

    def on_iopub(self, frames: Sequence[bytes]) -> None:
        """A message of its IOPub channel."""
        self._hearer.on_channel(frames)

    def _hear(self, frames: Sequence[bytes]) -> None:
        """What it has said, on that channel or on the line."""
        message = self._channels.read(self.said.whole(frames))
        if message is None:
            return
        job = self.job
        is_of_job = job is not None and message.parent_id == job.msg_id
        if message.kind == "execute_reply":  # instead of `idle`, see `shell.worker.replies`
            self._replied(message, is_idle=True)
        elif message.kind == "status":
            if message.content.get("execution_state") == "idle":
                self._rests(job if is_of_job else None, message.parent_id)
        elif message.kind == KIND:
            self._calls.take(message.content, job.happened.put if job and is_of_job else None)
        elif message.kind in PASSED_ON:
            self._pass_on(message)
        elif message.kind == MARK:
            self._relay.when_free(lambda: self._take(message.content.get("spent")))
        elif message.kind == TARGET:
            self._outlet.has_target(self.worker_id, str(message.content.get("target_name")))

    def _pass_on(self, message: Message) -> None:
        if message.kind == "stream" and not self._hears(message):
            return
        self._outlet.publish(self.worker_id, message)
        if message.long is not None:
            self._relay.when_free(partial(self._take, message.long.spent))

    def on_reply(self, frames: Sequence[bytes]) -> None:
        """A message of its shell channel."""
        message = self._channels.read(frames)
        if message is None:
            return
        self._speech.answered(message)
        if message.kind == "execute_reply":
            self._replied(message, is_idle=False)

    def on_control(self, frames: Sequence[bytes]) -> None:
        """A message of its control channel."""
        message = self._channels.read(frames)
        if message is not None:
            self._speech.on_control(message)

    def on_stdin(self, frames: Sequence[bytes]) -> None:
        """It asks for input."""
        self._hearer.on_line()  # what was said before it is there, and stands before it
        message, job = self._channels.read(frames), self.job
        if message is not None and job is not None and message.kind == "input_request":
            content = message.content
            job.happened.put(
                InputWanted(
                    prompt=str(content.get("prompt", "")),
                    is_password=content.get("password") is True,
                    is_wanted=lambda: self.job is job,
                )
            )

    def on_bytes(self, number: int, data: bytes) -> None:
        """Bytes of one of its pipes."""
        if number == _FAULTS:
            self.said.add_fault(data)
        elif data:
            self.said.add(data)
            if self.job is not None:
                self.job.output_bytes += len(data)
            if self._parent:  # else it has had no cell yet
                self._outlet.text(self.worker_id, self._parent, STREAMS[number], data)

    # -- inside ------------------------------------------------------------------------------------

    def _listen(self) -> None:
        self._relay.add(self._channels, self._started.pipes, self)
        if (line := self._started.line) is not None and self.died is None:
            self._relay.watch(line.fileno(), self._on_line)

    def _on_line(self, fd: int) -> None:
        self._hearer.on_line()
        if self._hearer.is_over:
            self._relay.forget(fd)

    def _begin(self, job: Job, frames: Sequence[Any]) -> None:
        self.job, self._parent = job, job.header
        if self._tears is not None and self._tears.is_cut:
            self._tear()
        self.said.take_stacks()  # that it has lived on after
        self._speech.send(frames)

    def _replied(self, message: Message, *, is_idle: bool) -> None:
        job = self.job
        if job is not None and message.parent_id == job.msg_id:
            job.reply, job.is_idle = message, job.is_idle or is_idle
            self._end_if_done()

    def _rests(self, job: Job | None, parent_id: str | None) -> None:
        if job is None:
            self._outlet.idle(self.worker_id, parent_id)
        else:
            job.is_idle = True
            self._end_if_done()

    def _end_if_done(self) -> None:
        job = self.job
        if job is not None and job.is_idle and (reply := job.reply) is not None:
            self._end(job, end_of(reply, was_torn=job.is_torn))

    def _end(self, job: Job, done: Done) -> None:
        # What it wrote before its reply is in the pipes by now, and what threads say, on the line.
        self._relay.drain(self._channels, self._started.pipes)
        self._hearer.on_line()
        if self.job is not job or (done.was_lost and job.reply is not None):  # died, or found
            return
        self.job = None
        self.unseen()
        self.said.catch_up()
        self.heartbeat_s = time.time()
        self._outlet.idle(self.worker_id, None)  # what came while the cell awaited has no end
        self.change(Event.END)
        job.happened.put(done)

    def _bury(self, ended: Ended) -> None:
        if self.died is not None:
            return
        wait_ms = _FAR_WORDS_MS if self.is_far else _LAST_WORDS_MS
        self._relay.drain(self._channels, self._started.pipes, wait_ms)
        self._relay.drop(self._channels, self._started.pipes)
        if (line := self._started.line) is not None:
            self._hearer.on_death()
            self._relay.forget(line.fileno())
        for name, data in self.said.last_words():
            self._outlet.text(self.worker_id, self._parent, name, data)
        with self._turning:
            self.died = Died(
                ended=ended,
                fault=self.said.fault,
                last_output=self.said.last_output,
            )
            self._speech.close()
            job, self.job = self.job, None
            self.change(Event.DIED)
        self._clean_up()
        self._outlet.died(self.worker_id)
        if job is not None:
            job.happened.put(self.died)

    def _tear(self) -> None:
        if self.job is not None:
            self.job.is_torn = True
            self._asked_s, self._ask_again_s = 0.0, _ASK_AGAIN_S / 2

    def _beat(self) -> None:
        with self._turning:
            self.heartbeat_s = time.time()
            self._on_change(self, "")

    def _clean_up(self) -> None:
        self.heart.close()
        if self._tears is not None:
            self._tears.close()
        self._channels.close()
        for fd in self._started.pipes:
            os.close(fd)
        manager = self._started.manager
        with suppress(OSError):
            manager._close_control_socket()
            manager.cleanup_connection_file()
            manager.cleanup_ipc_files()

    def _hears(self, message: Message) -> bool:
        """Text of a stream; False for what it said while it started, which is no cell's."""
        job = self.job
        nbytes = self.said.heard(message, is_late=job is None or message.parent_id != job.msg_id)
        if job is not None:
            job.output_bytes += nbytes
        return bool(message.parent_id)

    def _take(self, spent: object) -> None:
        if self.died is None:
            self.said.take(spent)
