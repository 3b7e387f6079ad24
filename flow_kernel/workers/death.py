"""Why a worker died, in words for a person (pure).

Called by the pool with what it knows of the end: the status, its own kills, the system's counters.

The first row that fits decides:

    evidence                                                     reason
    SIGSEGV, SIGBUS, SIGILL, SIGFPE                              segfault
    we killed it: memory / timeout, cpu / processes, output,     memory_limit / timeout / killed
        user / lost                                                  / killed / lost
    SIGXCPU under a limit of CPU time                            timeout
    exit or SIGABRT, the last words are about memory, a limit    memory_limit
    SIGKILL, and the kernel killed for memory meanwhile          oom_kernel
    any other signal; an abort is named as one                   killed
    an exit code                                                 exit
    no status, faulthandler's report names a fault / an abort    segfault / killed
    no status, and the kernel killed for memory meanwhile        oom_kernel
    nothing                                                      lost

The words are those of a session's death, where SIGILL and SIGFPE are faults and SIGABRT is not. A
fault comes before our own kill: we send none of these signals, so it was first. A kill for memory
elsewhere on the machine is evidence only against a process that used an eighth of it.
"""

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from flow_kernel.records.plain import human_bytes, one_line, strip_controls
from flow_kernel.records.process import signal_name
from flow_kernel.workers.limits import Limits

Reason = Literal["segfault", "oom_kernel", "memory_limit", "killed", "exit", "timeout", "lost"]
Killer = Literal["memory", "timeout", "cpu", "processes", "output", "user", "lost", "blocked"]

# By name: not every system has them all.
_FAULTS: Final = {
    "SIGSEGV": "segmentation fault",
    "SIGBUS": "bus error",
    "SIGILL": "illegal instruction",
    "SIGFPE": "floating-point exception",
}
_FAULT_TEXTS: Final = {
    "Segmentation fault": "SIGSEGV",
    "Bus error": "SIGBUS",
    "Illegal instruction": "SIGILL",
    "Floating-point exception": "SIGFPE",
    "Floating point exception": "SIGFPE",
}
_FATAL: Final = "Fatal Python error: "
_MEMORY_ERROR: Final = re.compile(r"(?:\w+\.)*(?:_?Array|Arrow)?MemoryError\b")
# C++ and Rust abort when they get no memory.
_NO_MEMORY: Final = re.compile(r"\bstd::bad_alloc\b|memory allocation of \d+ bytes failed")
# A number is whole only when the word after it is there.
_FRAME: Final = re.compile(r'  File "(?P<file>.*)", line (?P<line>\d{1,9}) in\b(?P<function>.*)')
_CELL_FILE: Final = re.compile(r"<ipython-input-.*|(?:.*[/\\])?ipykernel_\d+[/\\][^/\\]+\.py")
_LAST_WORDS_CHARS: Final = 4000
_LINE_CHARS: Final = 120

_CRASHED: Final = (
    "compiled code crashed: look at the call on that line, its arguments and the version of its"
    " library"
)
_HINTS: Final[Mapping[Reason, str]] = {
    "segfault": _CRASHED,
    "oom_kernel": "the machine had no memory left: work in smaller parts, free what is not needed",
    "memory_limit": "work in smaller parts, free what is not needed, or allow more memory",
    "killed": "run it again if that was not meant",
    "exit": "code that ends its own process ends the worker: raise an exception instead",
    "timeout": "work in smaller parts, or allow more time",
    "lost": "whether it had finished is not known: look at what it wrote before it is run again",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of the end of a worker.

    Attributes:
        exit_code: Its exit code; None when a signal ended it, or when nobody learned the status.
        signal: The signal that ended it.
        limits: What it was held to.
        peak_rss_bytes: The most memory that was seen.
        was_killed_by: Why we killed it; None when we did not.
        oom_kills_before: `records.process.oom_kills` when the work began.
        oom_kills_after: The same at the end.
        last_line: The line that ran, in words: `cell line 3: os.abort()`; empty when unknown.
        last_output: The end of what it printed.
        fault: What faulthandler wrote.
        machine_bytes: The memory of the machine.
    """

    exit_code: int | None = None
    signal: int | None = None
    limits: Limits
    peak_rss_bytes: int | None = None
    was_killed_by: Killer | None = None
    oom_kills_before: Mapping[str, int] = field(default_factory=dict)
    oom_kills_after: Mapping[str, int] = field(default_factory=dict)
    last_line: str = ""
    last_output: str = ""
    fault: str = ""
    machine_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """Why a worker died.

    Attributes:
        reason: A word of `death` records.
        signal: The signal's number where there was one, or where the report names it.
        signal_name: Its name.
        exit_code: Where it exited.
        sentence: What happened, the last line that ran, peak memory against the limit.
        hint: What to do.
    """

    reason: Reason
    signal: int | None
    signal_name: str | None
    exit_code: int | None
    sentence: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultLine:
    """The line of a cell in a report of faulthandler.

    Attributes:
        line: Its number in the cell.
        function: The function it is in, `<module>` for the cell itself; may be cut off.
        is_current: False when the thread that failed runs none of the cell, and this is another.
    """

    line: int
    function: str
    is_current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    reason: Reason
    what: str
    hint: str = ""


def decide(evidence: Evidence) -> Death:
    """The death that `evidence` amounts to; the table is on top of this file."""
    number = evidence.signal
    if number is None and evidence.exit_code is None:
        number = _signal_of_report(evidence.fault)
    name = None if number is None else signal_name(number)
    finding = _fault(evidence, name) or _our_kill(evidence) or _own_end(evidence, name)
    return Death(
        reason=finding.reason,
        signal=number,
        signal_name=name,
        exit_code=evidence.exit_code if number is None else None,
        sentence=_sentence(evidence, finding),
        hint=finding.hint or _HINTS[finding.reason],
    )


def last_line_of(fault_text: str, source_name: str = "") -> FaultLine | None:
    """The innermost line of a cell in a report of faulthandler.

    The thread that failed comes first; a library's thread runs no line of the cell, and then the
    line at which the cell waited is told. A report may be cut off at both ends.

    Args:
        fault_text: The report; text may stand around it.
        source_name: The file name that the cell was compiled with; empty for any cell of IPython.
    """
    wanted = _as_reported(source_name)
    last_report = fault_text[max(0, fault_text.rfind(_FATAL)) :]
    other: FaultLine | None = None
    is_current = False
    for text in last_report.split("\n"):
        if text.rstrip().endswith("(most recent call first):"):
            is_current = text.startswith(("Current thread", "Stack "))
        frame = _FRAME.match(text)
        if frame is None or not is_of_cell(frame["file"], wanted):
            continue
        line = FaultLine(
            line=int(frame["line"]), function=frame["function"].strip(), is_current=is_current
        )
        if is_current:
            return line
        other = other or line
    return other


def is_of_cell(file: str, wanted: str = "") -> bool:
    """True for the file name of the cell that is wanted, else of any cell of IPython."""
    return file == wanted if wanted else _CELL_FILE.fullmatch(file) is not None


def _as_reported(name: str) -> str:
    """`name` as faulthandler writes it: ASCII, and at most 500 characters."""
    escaped = "".join(
        c if " " <= c <= "~" else c.encode("ascii", "backslashreplace").decode() for c in name[:500]
    )
    return escaped + "..." if len(name) > 500 else escaped


def _fault(evidence: Evidence, name: str | None) -> _Finding | None:
    if name not in _FAULTS:
        return None
    hint = _CRASHED
    if _is_near_limit(evidence):
        hint += "; it was also near its memory limit, and code that gets no memory may crash"
    return _Finding(reason="segfault", what=f"{_FAULTS[name]} ({name})", hint=hint)


def _our_kill(evidence: Evidence) -> _Finding | None:
    limits = evidence.limits
    findings: dict[Killer | None, _Finding] = {
        "memory": _Finding(reason="memory_limit", what=_over_memory(limits)),
        "timeout": _Finding(reason="timeout", what=f"it ran longer than {_s(limits.timeout_s)}"),
        "cpu": _over_cpu(limits),
        "processes": _Finding(
            reason="killed",
            what=f"killed for more than {_count(limits.most_processes)}",
            hint="look at what starts processes, or allow more of them",
        ),
        "output": _Finding(
            reason="killed",
            what=f"killed for more than {_bytes(limits.output_bytes)} of output",
            hint="print less, write to a file, or allow more output",
        ),
        "user": _Finding(reason="killed", what="killed on request"),
        "blocked": _Finding(reason="killed", what="killed because it did not go on"),
        "lost": _Finding(reason="lost", what="it gave no sign of life any more"),
    }
    return findings.get(evidence.was_killed_by)


def _own_end(evidence: Evidence, name: str | None) -> _Finding:
    limits = evidence.limits
    if name == "SIGXCPU" and limits.cpu_s is not None:
        return _over_cpu(limits)
    if _died_of_its_memory_limit(evidence, name):
        return _Finding(reason="memory_limit", what=f"{_over_memory(limits)} and gave up")
    if name is not None:
        return _by_signal(evidence, name)
    if evidence.exit_code is not None:
        return _Finding(reason="exit", what=f"it exited with code {evidence.exit_code}")
    if _was_killed_for_memory(evidence):
        return _Finding(
            reason="oom_kernel", what="the operating system killed a process for memory meanwhile"
        )
    return _Finding(reason="lost", what="how it ended is not known")


def _by_signal(evidence: Evidence, name: str) -> _Finding:
    if name == "SIGKILL" and _was_killed_for_memory(evidence):
        what = "out of memory, killed by the operating system (SIGKILL)"
        return _Finding(reason="oom_kernel", what=what)
    if name == "SIGABRT":
        said = _python_error(evidence.fault)
        return _Finding(
            reason="killed", what=f"abort (SIGABRT){f', {said}' if said else ''}", hint=_CRASHED
        )
    return _Finding(reason="killed", what=f"killed by {name}")


def _over_cpu(limits: Limits) -> _Finding:
    what = f"it used more than {_s(limits.cpu_s)} of CPU time"
    return _Finding(
        reason="timeout", what=what, hint="work in smaller parts, or allow more CPU time"
    )


def _over_memory(limits: Limits) -> str:
    return f"it needed more memory than the {_bytes(limits.memory_bytes)} that it may have"


def _died_of_its_memory_limit(evidence: Evidence, name: str | None) -> bool:
    if evidence.limits.memory_bytes is None:
        return False
    said = strip_controls(evidence.last_output[-_LAST_WORDS_CHARS:], keep="\n").rstrip()
    if name == "SIGABRT":
        return _NO_MEMORY.search(said) is not None
    is_failure = name is None and evidence.exit_code not in (None, 0)
    return is_failure and _MEMORY_ERROR.match(said.rpartition("\n")[2]) is not None


def _was_killed_for_memory(evidence: Evidence) -> bool:
    before, after = evidence.oom_kills_before, evidence.oom_kills_after
    grown = {key for key, count in after.items() if count > before.get(key, count)}
    total, peak = evidence.machine_bytes or 0, evidence.peak_rss_bytes or 0
    return "cgroup" in grown or ("machine" in grown and 0 < total // 8 < peak)


def _is_near_limit(evidence: Evidence) -> bool:
    limit, peak = evidence.limits.memory_bytes, evidence.peak_rss_bytes
    return limit is not None and peak is not None and peak >= limit * 9 // 10


def _signal_of_report(fault: str) -> int | None:
    """The signal that a report names; an error of the interpreter ends in an abort."""
    start = fault.rfind(_FATAL)
    if start < 0:
        return None
    said = fault[start + len(_FATAL) :]
    for text, name in _FAULT_TEXTS.items():
        if said.startswith(text):
            return getattr(signal, name, None)
    return int(signal.SIGABRT)


def _python_error(fault: str) -> str:
    start = fault.rfind(_FATAL)
    said = "" if start < 0 else one_line(fault[start:], _LINE_CHARS)
    return "" if said == f"{_FATAL}Aborted" else said


def _sentence(evidence: Evidence, finding: _Finding) -> str:
    parts = [f"the worker died: {finding.what}"]
    last = one_line(evidence.last_line, _LINE_CHARS)
    if last:
        parts.append(f"the last line running was {last}")
    limit = evidence.limits.memory_bytes
    if evidence.peak_rss_bytes is not None:
        of = "" if limit is None else f" of the {_bytes(limit)} it may have"
        parts.append(f"peak memory {_bytes(evidence.peak_rss_bytes)}{of}")
    return "; ".join(parts)


def _s(seconds: float | None) -> str:
    return "its time" if seconds is None else f"{seconds:g} s"


def _bytes(count: int | None) -> str:
    return "its share" if count is None else human_bytes(count)


def _count(number: int | None) -> str:
    return "its processes" if number is None else f"{number} processes"
