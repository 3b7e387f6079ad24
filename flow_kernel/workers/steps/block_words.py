"""What is told of a step that does not go on (pure).

Made by `looks`; programs, records and events get the document.
"""

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any, Final

from flow_kernel.records.plain import one_line
from flow_kernel.workers.blocking import Finding
from flow_kernel.workers.steps.contract import StepJob
from flow_kernel.workers.tree import Usage

Frame = tuple[str, int, str]
"""File, line, function."""
_SHOWN: Final = 8
_LINE_CHARS: Final = 100
_OURS: Final = ("workers/steps/", "shell/worker/sampler.py")


def document(found: Finding, at_s: float, usage: Usage, stack: Sequence[str]) -> dict[str, Any]:
    """A block, as programs get it; who ran the step adds its own ids.

    Args:
        found: Why it does not go on.
        at_s: Since it began.
        usage: What its processes take.
        stack: Where it stands, in words.
    """
    cpu = round(100 * usage.cpu_s / at_s, 1) if at_s > 0 else None
    return {
        "job_id": "",
        "worker_id": "",
        "reason": found.reason,
        "detail": found.detail,
        "confidence": found.confidence,
        "duration_s": round(max(at_s - found.since_s, 0.0), 2),
        "resource_usage": {"cpu": cpu, "memory": usage.rss_bytes, "disk": None},
        "recoverable": found.is_recoverable,
        "stack": list(stack),
    }


def stack_lines(stack: Sequence[Frame], job: StepJob) -> tuple[str, ...]:
    """Frames in words, the innermost first; a line of the script itself with its text."""
    lines = (job.source or "").split("\n")
    told = []
    for file, line, name in _theirs(stack)[:_SHOWN]:
        function = "" if name == "<module>" else f", in {one_line(name, 60)}"
        if _is_script(file, job):
            text = lines[line - 1].strip() if 0 < line <= len(lines) else ""
            told.append(f"line {line} of the script{function}: {one_line(text, _LINE_CHARS)}")
        else:
            told.append(f'File "{one_line(file, 120)}", line {line}{function}')
    return tuple(told)


def last_line(stack: Sequence[Frame], job: StepJob) -> str:
    """The innermost line of the script; empty where that is not known."""
    own = [frame for frame in _theirs(stack) if _is_script(frame[0], job)]
    return "" if not own else stack_lines(own[:1], job)[0]


def _theirs(stack: Sequence[Frame]) -> list[Frame]:
    """Without the frames that the script was started from."""
    kept: list[Frame] = []
    for frame in stack:
        if "flow_kernel" in PurePath(frame[0]).parts and any(each in frame[0] for each in _OURS):
            break
        kept.append(frame)
    return kept


def _is_script(file: str, job: StepJob) -> bool:
    return bool(job.filename) and job.filename.endswith(file)
