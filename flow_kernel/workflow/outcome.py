"""What the end of a process says of a step (pure).

Called by `executors.local` with the end of the process, and by executors of other packages.

    the end                                  state      error type
    its time was over                        timeout    CellTimeout
    it was found to be blocked for certain   blocked    WorkerBlocked
    a limit, a signal, the system's memory   error      MemoryLimitExceeded, WorkerDied
    exit code other than 0                   error      what its traceback says, else ScriptFailed
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from flow_kernel.records.plain import one_line, strip_controls
from flow_kernel.workers.steps.contract import StepEnd
from flow_kernel.workflow.executors.contract import Outcome
from flow_kernel.workflow.states import StepState

_TRACEBACK: Final = "Traceback (most recent call last):"
_LAST_LINE: Final = re.compile(r"^(?P<name>[A-Za-z_][\w.]*)(?:: (?P<text>.*))?$", re.MULTILINE)
_KEPT_CHARS: Final = 8000


def outcome_of(end: StepEnd, stderr_tail: str, *, job_id: str) -> Outcome:
    """The outcome of a process that has ended.

    Args:
        end: How.
        stderr_tail: The end of what it wrote to stderr.
        job_id: What it is called in the document of a block: run, step and attempt.
    """
    state, error = _judged(end, stderr_tail)
    if error is not None and "block" in error:
        error = {**error, "block": {**error["block"], "job_id": job_id}}
    return Outcome(
        state=state,
        stdout=end.stdout,
        error=error,
        how=end.how,
        how_reason=end.how_reason,
        peak_rss_bytes=end.peak_rss_bytes,
        cpu_s=end.cpu_s,
    )


def _judged(end: StepEnd, stderr_tail: str) -> tuple[StepState, Mapping[str, Any] | None]:
    if end.block is not None:
        said = _block_words(end.block)
        error = {"type": "WorkerBlocked", "message": said, "block": dict(end.block)}
        return StepState.BLOCKED, error
    if end.death is not None:
        reason = end.death.reason
        name = {"timeout": "CellTimeout", "memory_limit": "MemoryLimitExceeded"}.get(
            reason, "WorkerDied"
        )
        error = {"type": name, "message": end.death.sentence, "reason": reason}
        if tail := _told(stderr_tail):
            error["stderr"] = tail
        return StepState.TIMEOUT if reason == "timeout" else StepState.ERROR, error
    if end.returncode != 0:
        return StepState.ERROR, error_of(end.returncode, stderr_tail)
    return StepState.OK, None


def _block_words(block: Mapping[str, Any]) -> str:
    """Why a step was ended, and where it was."""
    reason = str(block.get("reason", "unknown")).replace("_", " ")
    detail = str(block.get("detail") or "").replace("_", " ")
    where = [str(frame) for frame in block.get("stack") or ()][:1]
    parts = [reason, *([detail] if detail and detail != reason else []), *where]
    return f"it made no progress: {'; '.join(part for part in parts if part != 'unknown')}"


def error_of(returncode: int, stderr_tail: str) -> dict[str, Any]:
    """What an exit code other than 0 and the end of stderr say."""
    text = strip_controls(stderr_tail, keep="\n\t")
    at = text.rfind(_TRACEBACK)
    error: dict[str, Any] = {
        "type": "ScriptFailed",
        "message": f"it ended with exit code {returncode}",
        "exit_code": returncode,
    }
    if at >= 0:
        last = list(_LAST_LINE.finditer(text, at + len(_TRACEBACK)))
        if last:
            error["type"] = last[-1]["name"].rpartition(".")[2]
            error["message"] = one_line(last[-1]["text"] or last[-1]["name"], 500)
        error["traceback"] = text[at:][-_KEPT_CHARS:]
    elif tail := _told(stderr_tail):
        error["message"] += f": {one_line(tail.splitlines()[-1], 300)}"
        error["stderr"] = tail
    return error


def _told(stderr_tail: str) -> str:
    return strip_controls(stderr_tail, keep="\n\t").strip()[-_KEPT_CHARS:]
