"""One isolated cell while it runs: waits for it, holds it to its limits, interrupts it.

Called by `service` in the thread of the cell, which is the one that Ctrl-C interrupts.
"""

import signal
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from queue import Empty
from types import FrameType
from typing import Final

from flow_kernel.records.interrupts import NotedInterrupts
from flow_kernel.session.isolation.patience import Patience, Seen, Step
from flow_kernel.session.isolation.watchdog import Watchdog
from flow_kernel.workers import script, sweep, tree
from flow_kernel.workers.calls import Called
from flow_kernel.workers.job import Died, Done, InputWanted, Job
from flow_kernel.workers.limits import Limits
from flow_kernel.workers.live_fork import ForkWorker
from flow_kernel.workers.storm import Storm
from flow_kernel.workers.worker import Worker

_monotonic: Final = time.monotonic
# A wait without an end can sleep through an interrupt that comes just before it.
_SLICE_S: Final = 0.1
# A worker whose script was killed says so in this time, or is killed as well.
_SPARED_S: Final = 1.0
_WATCHED_SLICE_S: Final = 0.05
_END_OF_FILE: Final = "\x04"
"""Has `input()` of ipykernel raise `EOFError`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job ended.

    Attributes:
        end: Its reply, or the end of its worker.
        cause: Why it was interrupted, if it was.
        was_killed: True where its worker was killed for that.
        peak_rss_bytes: The most that its tree was seen to hold.
        failure: Why the person could not be asked for input, for which it was interrupted.
    """

    end: Done | Died
    cause: str | None
    was_killed: bool
    peak_rss_bytes: int | None
    failure: Exception | None


def wait(  # noqa: PLR0913 - callers name them
    worker: Worker | ForkWorker, job: Job, limits: Limits, *,
    answer: Callable[[InputWanted], str], call: Callable[[Called], float],
    counted: "Counted | None" = None, dog: Watchdog | None = None,
) -> Outcome:  # fmt: skip
    """Have a worker do `job`, and wait until it has ended.

    Args:
        worker: That does it.
        job: Which.
        limits: Of the cell.
        answer: Asks the person for a line of input; may raise `KeyboardInterrupt`.
        call: Does what code of the cell wants of the session, answers, and tells how long it has
            waited for a person; likewise.
        counted: Counts its interrupts; None for those of this thread alone.
        dog: Tells when the worker does not go on; None where nobody looks.
    """
    with counted or Counted() as held:
        held.attend(job)
        worker.run(job)
        watch = _Watch(worker, job, limits, dog=dog)
        while True:
            happened = _next(worker, job, watch.slice_s)
            if isinstance(happened, InputWanted | Called):
                held.let_through(partial(_ask, watch, happened, answer=answer, call=call))
                if not watch.is_due:  # however often it calls, its limits hold
                    continue
            elif happened is not None:
                watch.measure()
                return Outcome(
                    end=happened,
                    cause=watch.patience.cause,
                    was_killed=watch.was_killed,
                    peak_rss_bytes=watch.peak_rss_bytes,
                    failure=held.failure,
                )
            worker.mind_reply(job)
            watch.interrupts = held.count
            watch.act()


def _next(
    worker: Worker | ForkWorker, job: Job, timeout_s: float
) -> InputWanted | Called | Done | Died | None:
    """What happens next; None for nothing within that time, or for an interrupt."""
    with suppress(Empty):
        return job.happened.get(timeout=timeout_s)
    if worker.died is None:
        return None
    with suppress(Empty):
        return job.happened.get_nowait()
    return worker.died


class Counted(NotedInterrupts):
    """Counts interrupts, which are the cell's, and ends the wait for what happens at each.

    Attributes:
        count: How many there were.
        failure: Why a person could not be asked, or what else the cell is told to have failed of.
    """

    def __init__(self) -> None:
        self._job: Job | None = None
        self.count: int = 0
        self.failure: Exception | None = None

    def attend(self, job: Job) -> None:
        """It is this one that is interrupted."""
        self._job = job

    def interrupt(self) -> None:
        """As Ctrl-C does; callable in any thread."""
        self.count += 1
        if self._job is not None:
            self._job.happened.put(None)

    def let_through(self, ask: Callable[[], None]) -> None:
        """Have `ask` end by an interrupt, as a person at a prompt expects.

        Where nobody can be asked, the cell waits for nothing: it is interrupted as well.
        """
        try:
            self.__exit__()
            ask()
        except KeyboardInterrupt:
            self.count += 1
        except Exception as error:  # noqa: BLE001 - the cell raises it, once its worker has stopped
            self.count += 1
            self.failure = error
        finally:
            self.__enter__()

    def _note(self, number: int, frame: FrameType | None) -> None:
        super()._note(number, frame)
        self.interrupt()


def _ask(
    watch: "_Watch", happened: InputWanted | Called, *,
    answer: Callable[[InputWanted], str], call: Callable[[Called], float],
) -> None:  # fmt: skip
    if isinstance(happened, Called):
        watch.forgive(call(happened))
        return
    began_s = _monotonic()
    watch.asks(is_open=True)
    try:
        text = answer(happened)
    except EOFError:
        text = _END_OF_FILE
    finally:
        watch.asks(is_open=False)
    watch.forgive(_monotonic() - began_s)
    watch.answer(text)


class _Watch:
    """What is seen of a worker, and what is done to it."""

    def __init__(
        self, worker: Worker | ForkWorker, job: Job, limits: Limits, *, dog: Watchdog | None
    ) -> None:
        self._dog = dog
        self._worker = worker
        self._job = job
        self._limits = limits
        self._began_s = self._looked_s = _monotonic()
        said = limits.memory_bytes or limits.cpu_s or limits.processes
        self._looks_at_tree = bool(said or (limits.storm and dog is None))
        self._storm: Storm | None = None
        if limits.most_processes and worker.pid is not None and not worker.is_far:
            self._storm = Storm(worker.pid, worker.env.get(sweep.TAG_NAME))
        usage = self._look() if limits.cpu_s else None
        self._cpu_before_s = 0.0 if usage is None else usage.cpu_s
        self.patience = Patience(limits)
        self.interrupts = 0
        self._pids: tuple[int, ...] = ()
        self.was_killed = False
        self._spared_s: float | None = None
        self.peak_rss_bytes: int | None = None
        is_free = replace(limits, storm=None) == Limits()
        self.slice_s = _SLICE_S if is_free else _WATCHED_SLICE_S

    @property
    def is_due(self) -> bool:
        """True when nobody has looked for a while."""
        return _monotonic() - self._looked_s >= self.slice_s

    def forgive(self, seconds: float) -> None:
        """So long a person has thought: it is not the cell's time."""
        self._began_s += seconds

    def act(self) -> None:
        """Do what is due."""
        self._looked_s = _monotonic()
        with self._storm.watched() if self._storm else nullcontext() as stormed:
            self._act(stormed)

    def _act(self, stormed: tree.Usage | None) -> None:
        usage = stormed and stormed.beyond(self._worker.rss_before_bytes)
        usage = usage or (self._look() if self._looks_at_tree else None)
        if usage is not None:
            self.peak_rss_bytes = max(self.peak_rss_bytes or 0, usage.rss_bytes)
            self._pids = usage.pids
        elapsed_s = _monotonic() - self._began_s
        is_held = stormed is not None
        is_blocked = self._dog is not None and self._dog.look(elapsed_s, usage, stands=is_held)
        seen = Seen(
            elapsed_s=elapsed_s,
            rss_bytes=None if usage is None else usage.rss_bytes,
            cpu_s=None if usage is None else usage.cpu_s - self._cpu_before_s,
            processes=self._dog_counts() if usage is None else usage.processes,
            output_bytes=self._job.output_bytes,
            interrupts=self.interrupts,
            is_blocked=is_blocked,
            is_flooding=is_blocked and self._dog is not None and self._dog.is_flood,
            is_storming=is_held,
        )
        cause = self.patience.cause
        for step in self.patience.next(seen):
            self._do(step)
        if self._spared_s is not None and _monotonic() - self._spared_s > _SPARED_S:
            self._spared_s = None
            self._kill()
        if self._dog is not None and self.patience.cause not in (None, cause):
            self._dog.passed(self.patience.cause, elapsed_s, usage)

    def _dog_counts(self) -> int | None:
        return None if self._dog is None else self._dog.processes

    def asks(self, *, is_open: bool) -> None:
        """The cell asks a person, or has got its answer."""
        if self._dog is not None:
            self._dog.waits_for_input(is_open=is_open)

    def answer(self, text: str) -> None:
        """What a person has typed."""
        self._worker.answer(text)

    def measure(self) -> None:
        """What it holds at its end; nothing where it is gone."""
        usage = self._look() if self._looks_at_tree else None
        if usage is not None:
            self.peak_rss_bytes = max(self.peak_rss_bytes or 0, usage.rss_bytes)

    def _look(self) -> tree.Usage | None:
        """What its tree uses; None on another machine, where its pid is none of ours."""
        worker = self._worker
        if worker.is_far or worker.pid is None:
            return None
        usage = tree.look(worker.pid, worker.env.get(sweep.TAG_NAME))
        return None if usage is None else usage.beyond(worker.rss_before_bytes)

    def _do(self, step: Step) -> None:
        match step:
            case Step.INTERRUPT | Step.INTERRUPT_AGAIN:
                self._worker.interrupt(self._job)
            case Step.TERMINATE:
                self.was_killed = True
                if hasattr(signal, "SIGUSR2"):  # its stacks go to where a fatal signal's go
                    self._worker.signal(signal.SIGUSR2)
                self._worker.signal(signal.SIGTERM)
            case Step.KILL:
                usage = None if self._pids else self._look()
                if script.kill_those_of(self._pids if usage is None else usage.pids):
                    self._spared_s = _monotonic()  # it is not the worker that does not end
                else:
                    self._kill()

    def _kill(self) -> None:
        self.was_killed = True
        self._worker.signal(getattr(signal, "SIGKILL", signal.SIGTERM))
