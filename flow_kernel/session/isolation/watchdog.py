"""Looks at the worker of a cell while it runs, and tells when it does not go on.

Made by `run` for each cell; called in the thread of the cell ten times a second. It looks at
nothing but the number of processes in the first second, so that most cells pay nothing; then it
asks for the sampler of the worker, and looks as often as `workers.blocking` wants it to.
"""

import os
import signal
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from flow_kernel.session.isolation.blocks import (
    Block,
    Frame,
    ResourceUsage,
    frames_of,
    limit_finding,
    stack_lines,
)
from flow_kernel.workers import sweep, thread_looks, tree
from flow_kernel.workers.blocking import QUIET_S, Detector, Finding, Sample
from flow_kernel.workers.glimpses import Glimpse
from flow_kernel.workers.job import Job
from flow_kernel.workers.limits import Limits
from flow_kernel.workers.live_fork import ForkWorker
from flow_kernel.workers.worker import Worker

INPUT: Final = "waiting_input"
_DUMP: Final = getattr(signal, "SIGUSR2", None)
_COUNTING_S: Final = 0.1
_SEARCHING_S: Final = 0.4
_TOLD: Final = ("suspected", "likely", "certain")
_CORES: Final = os.cpu_count() or 1
_SLACK_S: Final = 0.02
"""A wait of the cell's thread ends a little before or after its time."""


class Witness(Protocol):
    """Who is told."""

    def blocked(self, block: Block) -> None:
        """A worker does not go on, and somebody has to decide."""

    def limited(self, block: Block) -> None:
        """It has passed a limit, for which it is interrupted."""


class Watchdog:
    """Of one cell.

    Args:
        worker: That runs it, or the copy of the session that does.
        job: The cell.
        limits: Of it.
        code: Its source.
        witness: Who is told.
        acts_alone: True where a worker that certainly does not go on is to be interrupted and
            killed, as for a limit. Where a person has begun the cell they are told, and decide.
    """

    def __init__(
        self, worker: Worker | ForkWorker, job: Job, limits: Limits, *,
        code: str, witness: Witness, acts_alone: bool = False,
    ) -> None:  # fmt: skip
        self._worker = worker
        self._job = job
        self._code = code
        self._witness = witness
        self._acts_alone = acts_alone
        self._detector = Detector(memory_bytes=limits.memory_bytes, cores=_CORES)
        self._looked_s = self._searched_s = 0.0
        self._has_asked = False
        self._has_dump = False
        self._cpu_s: float | None = None
        self.processes: int | None = None
        """In the tree of the worker, when it was last looked at."""
        self._told: Finding | None = None
        self._doing: str | None = None
        self._can_look = not worker.is_far and worker.pid is not None

    def look(self, at_s: float, usage: tree.Usage | None, *, stands: bool = False) -> bool:
        """See whether it goes on, if it is time to.

        Args:
            at_s: Since the cell began, without what it has waited for people.
            usage: Of its tree, where somebody has looked already.
            stands: It stands still while it is counted: what its threads do is not seen.

        Returns:
            True where it certainly does not, and something is to be done about it.
        """
        if not (self._is_due(at_s) or self._counts_memory(usage)):
            return self._has_to_end
        self._looked_s = at_s
        if at_s > QUIET_S:
            self._worker.heart.ask()
        if not self._can_look:
            self._look_from_afar(at_s)
            return self._has_to_end
        pid = self._worker.pid or 0
        usage = usage or self._usage(pid, at_s)
        if usage is None:
            return False
        self.processes = usage.processes
        if self._cpu_s is None:
            self._cpu_s = usage.cpu_s
        if at_s > QUIET_S and not self._has_asked:
            self._has_asked = True
            self._worker.ask_for_glimpses(self._job)
        sample = self._sample(at_s, pid, usage, stands=stands)
        found = self._detector.see(sample)
        if self._detector.is_gil_held and not self._has_dump:
            self._has_dump = True
            self._ask_for_stacks(pid)
        self._tell(found, sample, usage)
        return self._has_to_end

    @property
    def is_flood(self) -> bool:
        """True where what was told last is that its processes are too many."""
        return self._told is not None and self._told.detail == "processes"

    def _look_from_afar(self, at_s: float) -> None:
        """At a worker that can be asked, and not be seen."""
        sample = Sample(at_s=at_s, beats=self._worker.heart.beats)
        self._tell(self._detector.see(sample), sample, None)

    def waits_for_input(self, *, is_open: bool) -> None:
        """The cell asks a person, or has got its answer."""
        self._doing = INPUT if is_open else None
        self._worker.tell(self._job, self._doing, is_blocked=False)

    def passed(self, cause: str, at_s: float, usage: tree.Usage | None) -> None:
        """A limit was passed, for which the cell is interrupted now."""
        found = limit_finding(cause, at_s)
        if found is not None and (self._told is None or self._told.detail != found.detail):
            self._witness.limited(self._block(found, at_s, usage, self._frames(None)))

    # -- inside ------------------------------------------------------------------------------------

    def _usage(self, pid: int, at_s: float) -> tree.Usage | None:
        usage = tree.look(pid, self._tag(at_s))
        return None if usage is None else usage.beyond(self._worker.rss_before_bytes)

    @property
    def _has_to_end(self) -> bool:
        is_certain = self._told is not None and self._told.confidence == "certain"
        return is_certain and self._acts_alone

    def _tag(self, at_s: float) -> str | None:
        """Processes that have left the tree are looked for now and then: it takes 0.2 ms."""
        if at_s - self._searched_s < _SEARCHING_S:
            return None
        self._searched_s = at_s
        return self._worker.env.get(sweep.TAG_NAME)

    def _counts_memory(self, usage: tree.Usage | None) -> bool:
        """Memory can be gone in less time than anything else, and somebody has looked already."""
        return usage is not None and self._detector.memory_bytes is not None

    def _is_due(self, at_s: float) -> bool:
        interval_s = _COUNTING_S if at_s <= QUIET_S else self._detector.interval_s
        return at_s - self._looked_s >= interval_s - _SLACK_S

    def _sample(self, at_s: float, pid: int, usage: tree.Usage, *, stands: bool) -> Sample:
        glimpses = self._worker.said.glimpses
        glimpse = None if glimpses is None else glimpses.read()
        if glimpse is not None and glimpse.msg_id != self._job.msg_id:
            glimpse = None  # of a cell before
        # First: whom it waits for is looked at while it does.
        main = None if stands else thread_looks.look(pid, pid)
        others = _Others.of(pid, glimpse)
        return Sample(
            at_s=at_s,
            main=main,
            burnt_s=None if glimpses is None else thread_looks.computed_s(pid),
            number=0 if glimpses is None else glimpses.number(),
            glimpse=glimpse,
            is_gil_wanted=self._detector.is_silent and _is_gil_wanted(pid),
            are_others_waiting=others.are_waiting,
            others_wanted_s=others.wanted_s,
            processes=usage.processes,
            rss_bytes=usage.rss_bytes,
            beats=self._worker.heart.beats,
        )

    def _tell(self, found: Finding | None, sample: Sample, usage: tree.Usage | None) -> None:
        if found is None:
            self._told = None
            # What is told of a short cell nobody reads.
            doing = self._detector.doing or None if sample.at_s > QUIET_S else None
            if doing != self._doing:
                self._doing = doing
                self._worker.tell(self._job, doing, is_blocked=False)
            return
        before, self._told = self._told, found
        if before is not None and not _is_news(before, found):
            return
        self._doing = found.detail
        self._worker.tell(self._job, found.detail, is_blocked=True)
        block = self._block(found, sample.at_s, usage, self._frames(sample.glimpse))
        if self._acts_alone:  # what is said now, another cell would say
            self._witness.limited(block)
        else:
            self._witness.blocked(block)

    def _block(
        self, found: Finding, at_s: float, usage: tree.Usage | None, frames: list[Frame]
    ) -> Block:
        cpu_s = None if usage is None or self._cpu_s is None else usage.cpu_s - self._cpu_s
        return Block(
            job_id=self._job.msg_id,
            worker_id=self._worker.worker_id,
            reason=found.reason,
            detail=found.detail,
            confidence=found.confidence,
            duration_s=round(max(at_s - found.since_s, 0.0), 2),
            resource_usage=ResourceUsage(
                cpu=None if cpu_s is None or at_s <= 0 else round(100 * max(cpu_s, 0) / at_s, 1),
                memory=None if usage is None else usage.rss_bytes,
                disk=_disk_bytes(self._worker.pid) if self._can_look else None,
            ),
            recoverable=found.is_recoverable,
            stack=stack_lines(frames, self._code),
            is_copy=isinstance(self._worker, ForkWorker),
        )

    def _frames(self, glimpse: Glimpse | None) -> list[Frame]:
        """Where the code stands: as the system tells where Python cannot look, else as it does."""
        if self._has_dump and self._detector.is_gil_held:
            return frames_of(self._worker.said.take_stacks())
        if glimpse is None and (glimpses := self._worker.said.glimpses) is not None:
            glimpse = glimpses.read()
        if glimpse is None or glimpse.msg_id != self._job.msg_id:
            return []
        return list(glimpse.stack)

    def _ask_for_stacks(self, pid: int) -> None:
        """Have the worker alone write its stacks; nobody waits for them."""
        glimpses = self._worker.said.glimpses
        glimpse = None if glimpses is None else glimpses.read()
        is_ours = glimpse is None or glimpse.takes_dump
        if (
            _DUMP is not None
            and is_ours
            and self._worker.lives
            and thread_looks.catches(pid, _DUMP)
        ):
            self._worker.said.take_stacks()
            try:
                os.kill(pid, _DUMP)
            except OSError:
                return


class _Others(NamedTuple):
    """What the threads do that the user's code has begun."""

    are_waiting: bool | None
    wanted_s: float

    @classmethod
    def of(cls, pid: int, glimpse: Glimpse | None) -> "_Others":
        """Those of a process; the first that does not wait is enough to know."""
        wanted_s = 0.0
        if glimpse is None or not glimpse.ours:
            return cls(None, wanted_s)
        for tid in thread_looks.threads(pid).difference(glimpse.ours):
            seen = thread_looks.look(pid, tid)
            if seen is None:  # it has ended, or nobody says
                return cls(None, wanted_s)
            if not seen.is_for_ever:
                return cls(False, wanted_s)
            wanted_s += seen.wanted_s
        return cls(True, wanted_s)


def _is_gil_wanted(pid: int) -> bool:
    seen = [thread_looks.look(pid, tid) for tid in thread_looks.threads(pid) if tid != pid]
    return any(each is not None and each.is_timed for each in seen)


def _is_news(before: Finding, found: Finding) -> bool:
    if (before.reason, before.detail) != (found.reason, found.detail):
        return True
    return _TOLD.index(found.confidence) > _TOLD.index(before.confidence)


def _disk_bytes(pid: int | None) -> int | None:
    try:
        lines = Path(f"/proc/{pid}/io").read_text(encoding="ascii").split("\n")
        said = dict(line.split(": ") for line in lines if ": " in line)
        return int(said["read_bytes"]) + int(said["write_bytes"])
    except (OSError, ValueError, KeyError):
        return None
