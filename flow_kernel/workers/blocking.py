"""Whether a worker still goes on: a fold over what is seen of it (pure).

Called by `session.isolation.watchdog`, with a sample two to ten times a second.

    reason            detail          what is seen                                     confidence
    infinite_loop     repeats         proved to repeat itself, nobody else awake       certain
                      spins           looks at what somebody may change, for 30 s      suspected
    unknown           deadlock        waits for a lock, as all its threads do          certain
                                      the same, but a handler or widget may end it     suspected
                      gil_held        its sampler waits for the GIL while it computes  likely
                      stopped         the system has stopped it (SIGSTOP)              certain
                                      the same, but a process of its own may go on     likely
                      lost            neither answers nor runs, for a minute           likely
    cpu_exhausted     processes       more than 64 in its tree (4 a processor)         likely
                                      more than 256 (16 a processor)                   certain
    memory_exhausted  near_limit      will be at its limit in half a second            likely
                      over_limit      is there                                         certain

A processor in full use is no block: honest work is busy. Nor is a long sleep, a silent socket or a
child that takes its time: they are told as what the worker does. Where the worker has processes of
its own one of them may send the signal that ends a loop or a wait: then neither is certain.
"""

from dataclasses import dataclass, field
from typing import Final, Literal

from flow_kernel.workers.glimpses import Glimpse
from flow_kernel.workers.loop_proof import Verdict
from flow_kernel.workers.thread_looks import Doing, ThreadLook

Reason = Literal["timeout", "infinite_loop", "memory_exhausted", "cpu_exhausted", "unknown"]
Confidence = Literal["certain", "likely", "suspected"]

QUIET_S: Final = 1.0
"""So long no cell is sampled: most end before, and pay nothing."""
EARLIEST_S: Final = 2.0
"""A cell that has run for less is called neither a loop nor a deadlock: a person has not even
looked up, and a lock that is let go is let go within that."""
ENOUGH: Final = 12
"""Looks with one result: a second or more, in which any other thread has had many turns."""
FIRM_S: Final = 0.8
"""So long all other threads have to have been seen waiting: eight samples."""
SUSPICIOUS_S: Final = 30.0
"""Spinning until a process, a device or a person answers is bad style and seldom takes longer."""
BUSY: Final = 0.7
"""Of a processor: what a loop takes beside its own sampler on a machine that has other work."""
IDLE_S: Final = 0.01
"""The least that the system counts: who has computed less has not run."""
GIL_NOTE_S: Final = 2.0
"""Twenty looks that did not come: only who holds the GIL keeps the sampler from it for so long."""
SILENT_S: Final = 1.0
WANTED: Final = 3
"""So often somebody has to be seen waiting for the GIL: a sampler that a cell has broken is silent
as well, and waits for nothing."""
GIL_S: Final = 3.5
"""A sort or a regular expression of honest size is through by then."""
GIL_BUSY: Final = 0.5
"""Of that time it has to have computed, not only wanted to: on a machine with much to do a call
takes longer by the clock, and is no longer for that."""
STOPPED_S: Final = 0.8
"""A shell or a debugger that stops a process to look at it lets go sooner."""
LOST_S: Final = 60.0
"""Of silence, as its session has seen it: that is asleep as well where a computer is."""
_LONGEST_LOOK_S: Final = 1.0
MANY_PROCESSES: Final = 64
MANY_A_CORE: Final = 4
"""No pool of processes is larger; `make -j` has three processes for each processor."""
FLOOD: Final = 4
"""So many times as many are no pool in any case."""
NEAR_SHARE: Final = 0.85
"""Of the limit: at half of it one large matrix is on its way to be done well."""
NEAR_S: Final = 0.5
"""Two looks of the watchdog and the time that an interrupt takes."""
STALE_S: Final = 1.5
"""The sampler looks at least twice in this time, unless it is kept from it."""
FAST_S: Final = 0.1
SLOW_S: Final = 0.5
UNCLEAR_S: Final = 2.6
"""A cell that has shown nothing odd by then is looked at less often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What is seen of a worker at one time.

    Attributes:
        at_s: Since its cell began; never goes back.
        main: Its main thread; None where nobody says.
        burnt_s: That all threads of its process have computed; None where it has no sampler.
        number: Of the last look of its sampler; rises with each.
        glimpse: That look; None where there was none in this cell.
        is_gil_wanted: True where a thread waits for another one as who wants the GIL does; only
            looked for where `Detector.is_silent`.
        are_others_waiting: True where all threads that the cell has begun wait for another thread
            without an end; None where nobody says.
        others_wanted_s: What these threads have computed, or wanted to.
        processes: In its tree, itself among them.
        rss_bytes: Of its tree.
        beats: How often it has answered on its heartbeat channel; None where nobody asks.
    """

    at_s: float
    main: ThreadLook | None = None
    burnt_s: float | None = None
    number: int = 0
    glimpse: Glimpse | None = None
    is_gil_wanted: bool = False
    are_others_waiting: bool | None = None
    others_wanted_s: float = 0.0
    processes: int = 1
    rss_bytes: int | None = None
    beats: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Why a worker does not go on.

    Attributes:
        reason: A word of blocks.
        detail: Another one.
        confidence: How sure that is.
        since_s: Since when, in the time of the cell.
        is_recoverable: True where an interrupt, or whoever stopped it, may have it go on.
    """

    reason: Reason
    detail: str
    confidence: Confidence
    since_s: float
    is_recoverable: bool = True


@dataclass(slots=True)
class _Run:
    """Samples in a row that say the same."""

    what: object = None
    since_s: float = 0.0
    wanted_s: float = 0.0
    count: int = 0

    def add(self, what: object, at_s: float, wanted_s: float) -> None:
        if self.count == 0 or what != self.what:
            self.what, self.since_s, self.wanted_s, self.count = what, at_s, wanted_s, 0
        self.count += 1

    def end(self) -> None:
        self.count = 0


@dataclass(slots=True)
class _Silence:
    """Of the sampler, since `at_s`."""

    at_s: float = 0.0
    number: int = -1
    wanted: int = 0
    burnt_s: float = 0.0


@dataclass(slots=True)
class _Lifeless:
    """Looks in a row at which nothing had happened."""

    signs: object = None
    burnt_s: float = 0.0
    at_s: float = 0.0
    since_s: float = 0.0
    silent_s: float = 0.0

    def add(self, sample: Sample) -> float:
        """How long it has shown no sign of life."""
        signs, burnt_s = (sample.beats, sample.number), sample.burnt_s or 0.0
        if signs != self.signs or burnt_s - self.burnt_s > IDLE_S:
            self.signs, self.burnt_s = signs, burnt_s
            self.since_s, self.silent_s = sample.at_s, 0.0
        else:
            self.silent_s += min(sample.at_s - self.at_s, _LONGEST_LOOK_S)
        self.at_s = sample.at_s
        return self.silent_s


@dataclass(slots=True)
class Detector:
    """Of one cell.

    Args:
        memory_bytes: What it may have; None for no limit.
        cores: Processors of the machine.
    """

    memory_bytes: int | None = None
    cores: int = 1
    doing: str = ""
    """What the worker does, as far as that is seen; a word of `Doing`, or `gil_held`."""
    interval_s: float = FAST_S
    """When the next sample is wanted."""
    is_silent: bool = False
    """True while the sampler has said nothing for a while."""
    is_gil_held: bool = False
    """True where the stacks have to be asked of the system: no Python code of its runs."""
    _place: _Run = field(default_factory=_Run)
    _lock: _Run = field(default_factory=_Run)
    _stop: _Run = field(default_factory=_Run)
    _silence: _Silence = field(default_factory=_Silence)
    _life: _Lifeless = field(default_factory=_Lifeless)
    _before: tuple[float, int] | None = None
    _looked: int = -1
    _looping: Finding | None = None

    def see(self, sample: Sample) -> Finding | None:
        """Why it does not go on, as of this sample; None where it does, or nobody can say."""
        found = (
            self._processes(sample)
            or self._memory(sample)
            or self._stopped(sample)
            or self._gil(sample)
            or self._loop(sample)
            or self._deadlock(sample)
            or self._lost(sample)
        )
        if sample.main is not None:
            self.doing = "gil_held" if self.is_gil_held else str(sample.main.doing)
        is_odd = self.is_silent or any(run.count for run in (self._place, self._lock, self._stop))
        is_settled = found is not None and found.confidence == "certain"
        is_unclear = is_odd or sample.at_s < UNCLEAR_S
        self.interval_s = FAST_S if is_unclear and not is_settled else SLOW_S
        return found

    # -- one for each rule -------------------------------------------------------------------------

    def _processes(self, sample: Sample) -> Finding | None:
        many = max(MANY_PROCESSES, MANY_A_CORE * self.cores)
        if sample.processes <= many:
            return None
        is_flood = sample.processes > FLOOD * many
        return Finding(
            reason="cpu_exhausted",
            detail="processes",
            confidence="certain" if is_flood else "likely",
            since_s=sample.at_s,
        )

    def _memory(self, sample: Sample) -> Finding | None:
        before, rss = self._before, sample.rss_bytes
        if rss is None or self.memory_bytes is None:
            return None
        if before is None or sample.at_s > before[0]:
            self._before = (sample.at_s, rss)
        if rss > self.memory_bytes:
            return Finding(
                reason="memory_exhausted",
                detail="over_limit",
                confidence="certain",
                since_s=sample.at_s,
            )
        if before is None or rss <= NEAR_SHARE * self.memory_bytes or sample.at_s <= before[0]:
            return None
        growth = (rss - before[1]) / (sample.at_s - before[0])
        if rss + growth * NEAR_S < self.memory_bytes:
            return None
        return Finding(
            reason="memory_exhausted",
            detail="near_limit",
            confidence="likely",
            since_s=sample.at_s,
        )

    def _stopped(self, sample: Sample) -> Finding | None:
        main = sample.main
        if main is None or main.doing is not Doing.STOPPED or main.is_traced:
            self._stop.end()
            return None
        is_alone = sample.processes == 1
        self._stop.add(is_alone, sample.at_s, 0.0)
        if sample.at_s - self._stop.since_s < (STOPPED_S if is_alone else SUSPICIOUS_S):
            return None
        return Finding(
            reason="unknown",
            detail="stopped",
            confidence="certain" if is_alone else "likely",
            since_s=self._stop.since_s,
        )

    def _gil(self, sample: Sample) -> Finding | None:
        main, silence = sample.main, self._silence
        if main is None or sample.burnt_s is None or main.doing is Doing.STOPPED:
            self._silence = _Silence(at_s=sample.at_s, number=sample.number)
            self.is_gil_held = self.is_silent = False
            return None
        if sample.number != silence.number:
            is_first = silence.number < 0  # the clock has begun with the cell
            self._silence = _Silence(
                at_s=0.0 if is_first else sample.at_s,
                number=sample.number,
                burnt_s=sample.burnt_s,
            )
            self.is_gil_held = self.is_silent = False
            return None
        silent_s, burnt_s = sample.at_s - silence.at_s, sample.burnt_s - silence.burnt_s
        self.is_silent = silent_s > SILENT_S
        silence.wanted += sample.is_gil_wanted
        is_held = silence.wanted >= WANTED
        self.is_gil_held = is_held and silent_s > GIL_NOTE_S and burnt_s > GIL_BUSY * GIL_NOTE_S
        if not is_held or silent_s < GIL_S or burnt_s < GIL_BUSY * GIL_S:
            return None
        return Finding(
            reason="unknown",
            detail="gil_held",
            confidence="likely",
            since_s=silence.at_s,
            is_recoverable=False,
        )

    def _lost(self, sample: Sample) -> Finding | None:
        """Never certain: a cell that has closed what it found is not heard of either."""
        if sample.beats is None or self._life.add(sample) < LOST_S:
            return None
        return Finding(
            reason="unknown",
            detail="lost",
            confidence="likely",
            since_s=self._life.since_s,
            is_recoverable=False,
        )

    def _loop(self, sample: Sample) -> Finding | None:
        """One look of the sampler counts once; where it is silent, nothing is known any more."""
        if sample.number != self._looked:
            self._looked, self._looping = sample.number, self._seen_to_loop(sample)
        elif sample.at_s - self._silence.at_s > STALE_S:
            self._looping = None
            self._place.end()
        return self._looping

    def _seen_to_loop(self, sample: Sample) -> Finding | None:
        glimpse, main = sample.glimpse, sample.main
        if glimpse is None or main is None or glimpse.loop is Verdict.OPEN:
            self._place.end()
            return None
        is_closed = _is_alone(sample) and not glimpse.is_open
        is_proved = glimpse.loop is Verdict.ENDLESS and is_closed
        self._place.add((glimpse.place, is_proved), sample.at_s, main.wanted_s)
        run = self._place
        lasted_s = sample.at_s - run.since_s
        is_busy = main.wanted_s - run.wanted_s > BUSY * lasted_s
        if glimpse.alike < ENOUGH or lasted_s < FIRM_S or not is_busy:
            return None
        if is_proved and sample.at_s >= EARLIEST_S:
            return Finding(
                reason="infinite_loop",
                detail="repeats",
                confidence="certain",
                since_s=run.since_s,
            )
        if is_proved or lasted_s < SUSPICIOUS_S:
            return None
        return Finding(
            reason="infinite_loop",
            detail="spins",
            confidence="suspected",
            since_s=run.since_s,
        )

    def _deadlock(self, sample: Sample) -> Finding | None:
        glimpse, main = sample.glimpse, sample.main
        is_stuck = main is not None and main.is_for_ever and _is_alone(sample)
        if not is_stuck or glimpse is None or main is None:
            self._lock.end()
            return None
        wanted_s = main.wanted_s + sample.others_wanted_s
        self._lock.add((glimpse.place, glimpse.is_open), sample.at_s, wanted_s)
        run = self._lock
        if wanted_s - run.wanted_s > IDLE_S:
            run.end()
            return None
        lasted_s = sample.at_s - run.since_s
        if run.count < ENOUGH or sample.at_s < EARLIEST_S:
            return None
        if glimpse.is_open and lasted_s < SUSPICIOUS_S:
            return None
        return Finding(
            reason="unknown",
            detail="deadlock",
            confidence="suspected" if glimpse.is_open else "certain",
            since_s=run.since_s,
        )


def _is_alone(sample: Sample) -> bool:
    """True where no thread and no process of the cell may wake it."""
    return sample.are_others_waiting is True and sample.processes == 1
