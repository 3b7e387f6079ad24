"""A worker that is a copy of the session: forked for one cell, gone with it.

Made by `session.isolation.forking`. It has the verbs of `worker.Worker` that a running cell needs.

    session  fork ─▶ copy runs the cell ── frames ─▶ thread of the session ─▶ outlet, job
             ◀── pidfd ── its end; what it left behind is swept by its tag

What the copy does is up to who forks it; here is what the session sees of it. One thread reads all
that it says, for as long as it lives. Its sockets of ZeroMQ are the session's, and never touched.
"""

import json
import mmap
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, NoReturn

from flow_kernel.errors import IsolationUnavailable
from flow_kernel.workers import fork_frames, sweep
from flow_kernel.workers.calls import KIND, Calls
from flow_kernel.workers.fork_ends import ForkEnds, OurEnds, pipes
from flow_kernel.workers.fork_hang import HangWatch
from flow_kernel.workers.fork_hearing import Hearing
from flow_kernel.workers.glimpses import NBYTES, Glimpses
from flow_kernel.workers.heart import NoHeart
from flow_kernel.workers.job import JOB, Died, Done, InputWanted, Job, Outlet
from flow_kernel.workers.last_words import STREAMS
from flow_kernel.workers.lifecycle import Event, State
from flow_kernel.workers.messages import PASSED_ON, Message, read
from flow_kernel.workers.processes import Ended
from flow_kernel.workers.said import Said
from flow_kernel.workers.turning import Turning

_EACH_S: Final = 0.005
"""Who prints line by line is passed on in pieces of so long: a message for each takes longer."""
_MOST_UNSAID: Final = 1 << 18
_exit: Final = os._exit  # whatever a cell has put in its place
_KILL: Final = getattr(signal, "SIGKILL", signal.SIGTERM)
ENDED: Final = "ended"
KIND_OF_WORKER: Final = "fork"


class ForkWorker(Turning):
    """See the module.

    Args:
        worker_id: `f1`, `f2`, …
        tag: That all that it starts carries.
        outlet: Takes what it says.
        on_change: Told each state with the reason.
        on_end: Told once it is gone.
        in_thread: Calls in a thread of its own.
    """

    def __init__(
        self,
        worker_id: str,
        tag: str,
        *,
        outlet: Outlet,
        on_change: "Callable[[ForkWorker, str], None]",
        on_end: "Callable[[ForkWorker], None]",
        in_thread: Callable[[Callable[[], None]], None],
    ) -> None:
        super().__init__(on_change)
        self.worker_id: str = worker_id
        self.name: str | None = None
        self.kind: str = KIND_OF_WORKER
        self.reason: str = "the cell asked for a copy of the session"
        self.is_makeshift: bool = False
        self.is_far: bool = False
        self.started_s: float = time.monotonic()
        self.heartbeat_s: float = time.time()
        self.restarts: int = 0
        self.env: Mapping[str, str] = {sweep.TAG_NAME: tag}
        self.tag: str = tag
        self.died: Died | None = None
        self.pid: int | None = None
        self.rss_before_bytes: int = 0
        """What it has of the session's memory: none of it is its own."""
        self.hang: HangWatch | None = None
        self.heart: NoHeart = NoHeart()
        self.said: Said = Said(None)
        self._outlet = outlet
        self._on_end = on_end
        self._in_thread = in_thread
        self._reaping = threading.Lock()
        self._calls = Calls(self)
        self._unsaid = bytearray()
        self._unsaid_on = 0
        self._parent: Mapping[str, Any] = {}
        self._ends: OurEnds | None = None
        self._pidfd = -1
        self._is_done = False
        self.is_left: bool = False
        self._hearing: Hearing | None = None
        self._is_heard = False
        self._is_reaped = False
        self._said_s = 0.0

    # -- its life ----------------------------------------------------------------------------------

    def start(self, live: Callable[[ForkEnds], NoReturn], fork: Callable[[], int]) -> None:
        """Copy this process; the copy calls `live`, which never returns.

        Args:
            live: The life of the copy.
            fork: `os.fork`, without what is told to nobody.

        Raises:
            IsolationUnavailable: There can be no more processes or descriptors.
        """
        self.rss_before_bytes = _resident_bytes()
        try:
            glimpses = Glimpses(mmap.mmap(-1, NBYTES), 0)
            ours, theirs = pipes()
        except OSError as error:
            raise IsolationUnavailable(f"the session cannot be copied: {error}") from None
        session = os.getpid()
        pid = -1
        try:
            pid = fork()
            if pid == 0:
                ours.close()
                live(ForkEnds(session=session, tag=self.tag, ends=theirs, glimpses=glimpses))
        except OSError as error:
            ours.close()
            raise IsolationUnavailable(f"the session cannot be copied: {error}") from None
        finally:
            if pid == 0:
                _exit(1)  # a second session must not go on
            theirs.close()
        self.pid, self._ends = pid, ours
        with suppress(OSError, AttributeError):
            self._pidfd = os.pidfd_open(pid)
        self.said = Said(None, glimpses)
        self.hang = HangWatch(pid, glimpses)

    def run(self, job: Job) -> None:
        """Listen to it and tell of it; what happens is put into the queue of `job`."""
        with self._turning:
            self.job, self._parent = job, job.header
            # Nobody sees it idle: it was forked for this cell, and may run already.
            self.pass_over(Event.READY)
            self.change(Event.BEGIN)
        self._hear()

    def leave(self) -> None:
        """Nothing more is wanted of it: it ends, now that all that it gave was taken."""
        self.is_left = True
        if self._ends is not None:
            with suppress(OSError):
                self._ends.answers.shutdown(socket.SHUT_RDWR)

    def kill(self) -> None:
        """End it at once; for one that nobody listens to."""
        self.is_left = True
        self._hear()  # first: from here on it is ended and reaped, whatever is interrupted here
        self.leave()
        self.signal(_KILL)

    @property
    def lives(self) -> bool:
        """True until its end was heard of."""
        return self.state != State.DEAD

    # -- what a running cell does to it ------------------------------------------------------------

    def mind_reply(self, _job: Job) -> None:
        """See whether it hangs as it begins: then it is killed, after it has told its stacks."""
        hang = self.hang
        if hang is None or self.died is not None or self._is_done:
            return
        match hang.look():
            case "tell":
                self.signal_itself(signal.SIGUSR2)
            case "kill":
                self.signal(_KILL)

    def ask_for_glimpses(self, job: Job) -> None:
        """It shows what it does without being asked."""

    def interrupt(self, job: Job | None) -> bool:
        """Interrupt `job`, if that is what it is doing."""
        if self.job is not job or self._is_done:
            return False
        self.signal(signal.SIGINT)
        return True

    def signal(self, number: int) -> None:
        """Signal its process group; itself where it has none yet."""
        with self._reaping:  # as long as it is not reaped, the number is its own
            if self.pid is None or self._is_reaped:
                return
            try:
                os.killpg(self.pid, number)
            except (ProcessLookupError, PermissionError):
                with suppress(OSError):
                    os.kill(self.pid, number)

    def signal_itself(self, number: int) -> None:
        """Signal it, and nothing that it has started."""
        with self._reaping:
            if self.pid is not None and not self._is_reaped:
                with suppress(OSError):
                    os.kill(self.pid, number)

    def answer(self, value: str) -> None:
        """Answer its question for input."""
        self.say("stdin", "input_reply", {"value": value})

    def say(self, channel: str, kind: str, content: Mapping[str, Any]) -> None:
        """Send it the content of an answer; the rest is as `Caller` has it."""
        if self._ends is None:
            return
        data = json.dumps(dict(content)).encode()
        with suppress(OSError, ValueError):  # it is gone, or has stopped to read
            self._ends.answers.sendall(fork_frames.framed(fork_frames.ANSWER, data))

    # -- what its thread tells ---------------------------------------------------------------------

    @property
    def has_unsaid(self) -> bool:
        """Text waits for the end of its line."""
        return bool(self._unsaid)

    def on_text(self, number: int, data: bytes) -> None:
        """Text on a stream."""
        self.heartbeat_s = time.time()
        self.said.add(data)
        if self.job is not None:
            self.job.output_bytes += len(data)
            if number != self._unsaid_on:
                self.say_text()
            self._unsaid_on = number
            self._unsaid += data
            is_soon = time.monotonic() - self._said_s < _EACH_S
            if len(self._unsaid) > _MOST_UNSAID or (data.endswith(b"\n") and not is_soon):
                self.say_text()

    def say_text(self) -> None:
        """Pass on what waits for the end of its line."""
        data, self._unsaid = bytes(self._unsaid), bytearray()
        if data:
            self._said_s = time.monotonic()
            self._outlet.text(self.worker_id, self._parent, STREAMS[self._unsaid_on], data)

    def on_fault(self, data: bytes) -> None:
        """Stacks at a fatal signal."""
        self.said.add_fault(data)

    def on_frame(self, frame: fork_frames.Frame) -> None:
        """Anything else."""
        job = self.job
        if frame.kind in (fork_frames.OUT, fork_frames.ERR):
            self.on_text(frame.kind, frame.data)
            return
        self.say_text()
        if job is None or self._is_done:
            return
        if frame.kind == fork_frames.MESSAGE:
            message = read(fork_frames.parted(frame.data))
            if message is not None:
                self._on_message(message, job)
        elif frame.kind == fork_frames.QUESTION:
            content = _object(frame.data)
            job.happened.put(
                InputWanted(
                    prompt=str(content.get("prompt", "")),
                    is_password=content.get("password") is True,
                    is_wanted=lambda: self.died is None and not self._is_done,
                )
            )
        elif frame.kind == fork_frames.REPLY:
            self._on_reply(_object(frame.data), job)

    def _on_message(self, message: Message, job: Job) -> None:
        if message.kind == KIND:
            self._calls.take(message.content, job.happened.put)
        elif message.kind in PASSED_ON:
            self._outlet.publish(self.worker_id, message)

    def _on_reply(self, said: dict[str, Any], job: Job) -> None:
        # What it wrote before its reply is in the pipes by now.
        if self._hearing is not None:
            self._hearing.drain_pipes()
        self.say_text()
        reply, found = said.get("reply"), said.get("job")
        self._is_done = True
        self.change(Event.END)
        job.happened.put(
            Done(
                reply=reply if isinstance(reply, dict) else {},
                metadata={JOB: found if isinstance(found, dict) else {}},
                buffers=(),
            )
        )

    def reaped(self) -> Ended | None:
        """How it ended; None while it runs."""
        if self.pid is None:
            return Ended(returncode=None)
        with self._reaping:
            try:
                pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            except ChildProcessError:  # a cell has waited for any child, and got this one
                self._is_reaped = True
                return Ended(returncode=None)
            if pid == 0:
                return None
            peak = usage.ru_maxrss * 1024 - self.rss_before_bytes
            ended = Ended(
                returncode=os.waitstatus_to_exitcode(status),
                peak_rss_bytes=max(0, peak),
                cpu_s=usage.ru_utime + usage.ru_stime,
            )
            self._is_reaped = True
            return ended

    def force(self) -> None:
        """It does not end by itself."""
        self.signal(_KILL)

    # -- inside ------------------------------------------------------------------------------------

    def _hear(self) -> None:
        with self._turning:
            was_heard, self._is_heard = self._is_heard, True
        if not was_heard:
            self._in_thread(self._listen)

    def _listen(self) -> None:
        ends = self._ends
        if ends is None:
            return
        ended = Ended(returncode=None)
        try:
            self._hearing = Hearing(ends, self._pidfd, self, self._outlet.backlog)
            ended = self._hearing.run()
        finally:  # whatever has failed: nobody may wait for it for ever
            self.signal(_KILL)
            self._bury(ended)

    def _bury(self, ended: Ended) -> None:
        self.say_text()
        is_done = self._is_done or self.job is None
        with self._turning:
            self.died = Died(
                ended=ended,
                fault=self.said.fault,
                last_output=self.said.last_output,
            )
            job, self.job = self.job, None
            self.change(Event.DIED, ENDED if is_done else "")
        if self._ends is not None:
            self._ends.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)
        if self.said.glimpses is not None:
            self.said.glimpses.close()  # what it belongs to is freed by a collection alone
        self._outlet.died(self.worker_id)
        if job is not None and not is_done:
            job.happened.put(self.died)
        self._on_end(self)


def _resident_bytes() -> int:
    """What is resident of this process; psutil takes ten times as long."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - Path.open takes twice as long
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
