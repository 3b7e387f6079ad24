"""What is told of a worker that does not go on: a document, a line for agents, a text (pure).

Made by `watchdog`; the document is what programs, records and events get.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from flow_kernel.records.plain import human_bytes, one_line
from flow_kernel.session.announcer import Scalar
from flow_kernel.workers.blocking import Confidence, Finding, Reason
from flow_kernel.workers.death import is_of_cell

Frame = tuple[str, int, str]
"""File, line, function."""
_LINE_CHARS: Final = 100
_SHOWN: Final = 8
_SHELL: Final = "/IPython/core/interactiveshell.py"
_FRAME: Final = re.compile(r'  File "(?P<file>.*)", line (?P<line>\d{1,9}) in (?P<name>.*)')
_WORDS: Final = {
    "repeats": "its loop repeats itself: nothing in it changes, and nobody else can change it",
    "spins": "its loop has looked at the same values for a long time, and only looks",
    "deadlock": "it waits for a lock that nobody can let go: all its threads wait as well",
    "gil_held": "native code holds Python's lock (GIL): an interrupt waits until it returns",
    "stopped": "its process was stopped (SIGSTOP); SIGCONT would have it go on",
    "lost": "nothing was heard or seen of it for a minute: its process does not run, or the machine"
    " that it runs on is not reached",
    "processes": "it has started a great many processes",
    "near_limit": "its memory is about to reach its limit",
    "over_limit": "it has more memory than it may have",
    "timeout": "it has run for longer than it may",
    "cpu": "it has computed for longer than it may",
    "output": "it has said more than it may",
}
_LIMITS: Final[dict[str, tuple[Reason, str]]] = {
    "timeout": ("timeout", "timeout"),
    "memory": ("memory_exhausted", "near_limit"),
    "cpu": ("cpu_exhausted", "cpu"),
    "processes": ("cpu_exhausted", "processes"),
    "output": ("unknown", "output"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceUsage:
    """What the tree of a worker takes; None where unknown.

    Attributes:
        cpu: Of one processor, in percent, over the cell.
        memory: Bytes that are resident.
        disk: Bytes read and written by the worker itself, since its start.
    """

    cpu: float | None
    memory: int | None
    disk: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A worker that does not go on.

    Attributes:
        job_id: The request that it works on.
        worker_id: It.
        reason: timeout, infinite_loop, memory_exhausted, cpu_exhausted or unknown.
        detail: A word more: `deadlock`, `gil_held`, `stopped`, …
        confidence: certain, likely or suspected.
        duration_s: For how long.
        resource_usage: What it takes meanwhile.
        recoverable: True where an interrupt may have the worker go on with what it holds.
        stack: Lines of the user's code, the innermost first; empty where nobody could look.
        is_copy: True for a copy of the session, which is gone with its cell; not told to programs.
    """

    job_id: str
    worker_id: str
    reason: Reason
    detail: str
    confidence: Confidence
    duration_s: float
    resource_usage: ResourceUsage
    recoverable: bool
    stack: tuple[str, ...]
    is_copy: bool = False

    def document(self) -> dict[str, object]:
        """For programs."""
        told = asdict(self) | {"stack": list(self.stack)}
        del told["is_copy"]
        return told

    def event(self) -> dict[str, Scalar]:
        """For agents: what fits into a line."""
        return {
            "job_id": self.job_id,
            "worker_id": self.worker_id,
            "reason": self.reason,
            "detail": self.detail,
            "confidence": self.confidence,
            "duration_s": self.duration_s,
            "recoverable": self.recoverable,
        }


def limit_finding(cause: str, elapsed_s: float) -> Finding | None:
    """What a limit that was passed amounts to; None for what is no limit."""
    if cause not in _LIMITS:
        return None
    reason, detail = _LIMITS[cause]
    return Finding(reason=reason, detail=detail, confidence="certain", since_s=elapsed_s)


def stack_lines(frames: Sequence[Frame], code: str) -> tuple[str, ...]:
    """Frames in words; a line of the cell itself with its text.

    Args:
        frames: The innermost first.
        code: Of the cell.
    """
    lines = code.split("\n")
    while lines and not lines[0].strip():  # IPython compiles a cell without them
        del lines[0]
    files = [file for file, _, name in frames if name == "<module>" and is_of_cell(file)]
    own = files[-1] if files else None
    told = []
    for file, line, name in frames[:_SHOWN]:
        function = "" if name == "<module>" else f", in {one_line(name, 60)}"
        if file == own:
            text = lines[line - 1].strip() if 0 < line <= len(lines) else ""
            told.append(f"line {line} of the cell{function}: {one_line(text, _LINE_CHARS)}")
        elif is_of_cell(file):
            told.append(f"line {line} of a cell before{function}")
        else:
            told.append(f'File "{one_line(file, 120)}", line {line}{function}')
    return tuple(told)


def frames_of(report: str) -> list[Frame]:
    """The user's frames in what faulthandler wrote of the thread that holds the GIL.

    Args:
        report: Of all threads.
    """
    found: list[Frame] = []
    is_current = False
    for text in report.split("\n"):
        if text.endswith("(most recent call first):"):
            is_current = text.startswith("Current thread")
        frame = _FRAME.match(text)
        if not is_current or frame is None:
            continue
        if frame["file"].endswith(_SHELL):
            break
        found.append((frame["file"], int(frame["line"]), frame["name"].strip()))
    return found


def text_of(block: Block) -> str:
    """For the person whose cell it is."""
    sure = {"certain": "", "likely": " (likely)", "suspected": " (suspected)"}[block.confidence]
    what = _WORDS.get(block.detail, block.detail)
    kind = block.detail if block.reason == "unknown" else f"{block.reason}, {block.detail}"
    told = [f"{block.worker_id} does not go on{sure}: {kind} for {block.duration_s:.1f} s: {what}"]
    if block.resource_usage.memory:
        told[0] += f"; memory {human_bytes(block.resource_usage.memory)}"
    told += [f"  {line}" for line in block.stack]
    told.append(f"  {_way_out(block)}")
    return "\n".join(told)


def _way_out(block: Block) -> str:
    if block.detail == "stopped" or not block.recoverable:
        return (
            "to end it, interrupt the cell and wait ten seconds: the worker is killed then; the"
            " variables of the session are untouched"
        )
    if block.is_copy:
        return "to end it, interrupt the cell; the variables of the session are untouched"
    return "to end it, interrupt the cell; the worker keeps its variables if it can"
