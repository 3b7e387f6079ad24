"""How isolated cells end that do not end well, as errors that say why.

Called by `service` with what is known of the end, and by `idle_deaths`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from flow_kernel.errors import (
    CellTimeout,
    FlowError,
    MemoryLimitExceeded,
    UsageError,
    WorkerBlocked,
    WorkerDied,
)
from flow_kernel.records.plain import human_bytes, one_line
from flow_kernel.records.process import memory_total, oom_kills
from flow_kernel.session.isolation.cell import IsolatedCell
from flow_kernel.session.isolation.run import Outcome
from flow_kernel.workers import death
from flow_kernel.workers.death import Death
from flow_kernel.workers.job import Died, Done
from flow_kernel.workers.limits import Limits

_REASON_CHARS: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerEnd:
    """The end of a worker in the middle of a cell.

    Attributes:
        death: Why.
        detail: What its record tells besides; what it said last is as it was said, secrets too.
        error: What the cell raises.
    """

    death: Death
    detail: dict[str, object]
    error: WorkerDied


def worker_end(
    cell: IsolatedCell, worker_id: str, outcome: Outcome, died: Died, before: Mapping[str, int]
) -> WorkerEnd:
    """What a worker died of.

    Args:
        cell: That it ran.
        worker_id: Whose end it is.
        outcome: What was done to it.
        died: What it left behind.
        before: The system's counters of kills for memory, before the cell.
    """
    code = died.ended.returncode
    peaks = [peak for peak in (outcome.peak_rss_bytes, died.ended.peak_rss_bytes) if peak]
    peak = max(peaks, default=None)
    killer: Any = outcome.cause if outcome.was_killed else None
    found = death.decide(
        death.Evidence(
            exit_code=code if code is not None and code >= 0 else None,
            signal=-code if code is not None and code < 0 else None,
            limits=cell.limits,
            peak_rss_bytes=peak,
            was_killed_by=killer,
            oom_kills_before=before,
            oom_kills_after=oom_kills(),
            last_line=""
            if cell.is_script
            else _shown_line(cell.code, death.last_line_of(died.fault)),
            last_output=died.last_output,
            fault=died.fault,
            machine_bytes=memory_total(),
        )
    )
    kind = MemoryLimitExceeded if found.reason == "memory_limit" else WorkerDied
    lost = "" if cell.is_fresh else "the variables of the worker are gone; "
    error = kind(
        f"{found.sentence}; {lost}the variables of this session are as they were",
        worker_id=worker_id,
        reason=found.reason,
        exit_status=found.exit_code,
        signal=found.signal_name,
        hint=found.hint,
    )
    return WorkerEnd(death=found, detail=_detail(found, died, peak), error=error)


def idle_end(worker_id: str, died: Died) -> WorkerEnd:
    """What a worker died of that had no cell to run."""
    code = died.ended.returncode
    found = death.decide(
        death.Evidence(
            exit_code=code if code is not None and code >= 0 else None,
            signal=-code if code is not None and code < 0 else None,
            limits=Limits(),
            last_output=died.last_output,
            fault=died.fault,
        )
    )
    error = WorkerDied(
        f"{found.sentence}; no cell ran there; the variables of the worker are gone",
        worker_id=worker_id,
        reason=found.reason,
        exit_status=found.exit_code,
        signal=found.signal_name,
        hint=found.hint,
    )
    detail = _detail(found, died, died.ended.peak_rss_bytes)
    return WorkerEnd(death=found, detail=detail, error=error)


def limit_news(cell: IsolatedCell, worker_id: str, reply: Mapping[str, Any]) -> str | None:
    """A sentence on what a `MemoryError` does not say; None where nothing is missing."""
    most = cell.limits.memory_bytes
    if most is None or reply.get("ename") not in ("MemoryError", "_ArrayMemoryError"):
        return None
    return f"{worker_id} may have {human_bytes(most)} of memory (--memory), and wanted more"


def torn_news(worker_id: str, done: Done) -> str | None:
    """A sentence on a connection that broke while a cell ran; None where its error says it."""
    if not done.was_torn or done.was_lost:
        return None
    return f"the connection to {worker_id} broke: something of what its cell said may be missing"


def limit_error(cell: IsolatedCell, worker_id: str, outcome: Outcome) -> FlowError | None:
    """What a cell that was interrupted for a limit is told to have failed of."""
    limits = cell.limits
    kept = "its worker and the variables there live on"
    if cell.is_fork:
        kept = "the variables of this session are as they were"
    match outcome.cause:
        case "timeout":
            seconds = limits.timeout_s or 0.0
            return CellTimeout(
                f"the cell was interrupted after the {seconds:g} s that it may run; {kept}",
                timeout_s=seconds,
            )
        case "memory":
            return MemoryLimitExceeded(
                "the cell was interrupted because it came near the"
                f" {(limits.memory_bytes or 0) / 1e6:,.0f} MB that it may have; {kept}",
                worker_id=worker_id,
                reason="memory_limit",
            )
        case "cpu" | "processes" | "output" as cause:
            what = {
                "cpu": f"it used more than {limits.cpu_s:g} s of CPU time" if limits.cpu_s else "",
                "processes": f"it started more than {limits.most_processes} processes",
                "output": f"it said more than {(limits.output_bytes or 0) / 1e6:,.1f} MB",
            }[cause]
            return CellTimeout(f"the cell was interrupted: {what}; {kept}", timeout_s=0.0)
        case "blocked":
            return WorkerBlocked(
                f"the cell was interrupted because it did not go on; {kept}",
                worker_id=worker_id,
                hint="the stack above tells where it stood",
            )
    return None


def no_directory(reply: Mapping[str, Any]) -> UsageError | None:
    """What a cell is told that its worker has refused because its directory is gone.

    Args:
        reply: To a cell that was refused.

    Returns:
        None where that had another reason.
    """
    if reply.get("ename") != UsageError.__name__:
        return None
    return UsageError(
        f"{one_line(str(reply.get('evalue')), _REASON_CHARS)}; nothing was run",
        hint="make it with a command, or leave it out",
    )


def _detail(found: Death, died: Died, peak_rss_bytes: int | None) -> dict[str, object]:
    return {
        "signal": found.signal_name,
        "exit_code": found.exit_code,
        "peak_rss_bytes": peak_rss_bytes,
        "last_output": died.last_output,
    }


def _shown_line(code: str, line: Any) -> str:
    if line is None:
        return ""
    lines = code.split("\n")
    text = lines[line.line - 1].strip() if 0 < line.line <= len(lines) else ""
    return f"line {line.line} of the cell: {text}" if text else f"line {line.line} of the cell"
