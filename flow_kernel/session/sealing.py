"""From an open cell to the fields of its records.

Called by `session.recorder`; redacts everything that came from the user before it is written.
"""

from dataclasses import dataclass

from flow_kernel.records.cell_changes import no_changes
from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.journal import Journal
from flow_kernel.records.kept_outputs import OutputKeeper
from flow_kernel.records.output import Kept, StreamBuffer, clip
from flow_kernel.records.process import ResidentMemory
from flow_kernel.records.tail import OutputTail
from flow_kernel.session.cell import Failure, OpenCell
from flow_kernel.session.deferred_redactor import SecretFilter
from flow_kernel.session.memory_watch import MemoryWatch
from flow_kernel.session.place import Place, Whereabouts
from flow_kernel.settings import Settings

globals()["__builtins__"] = FROZEN_BUILTINS

_EMPTY: dict[str, object] = {}
# Their summaries are numbers or names of code: nothing to take out, and most variables are these.
_SAFE_TYPES = frozenset({"int", "float", "bool", "complex", "NoneType", "range", "module"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RecorderParts:
    """What the recorder works with; put together by `session.assembly`."""

    where: Whereabouts
    settings: Settings
    journal: Journal
    redactor: SecretFilter
    tail: OutputTail
    memory: ResidentMemory
    memory_watch: MemoryWatch
    keeper: OutputKeeper | None = None
    """Writes what cells display; None where it is only counted."""

    def redact(self, text: str, budget: int) -> Kept:
        """`text` without secrets and within `budget` characters."""
        return clip(text, budget, self.redactor.text)


def started_fields(cell: OpenCell, actor: str) -> dict[str, object]:
    """The fields of `cell_started`."""
    request = cell.request
    return {
        "cell_id": request.cell_id,
        "execution_count": request.execution_count,
        "msg_id": request.msg_id,
        "span_id": cell.span_id,
        "parent_span_id": cell.parent_span_id,
        "trace_id": cell.place.trace_id,
        "actor": request.actor or actor,
        "code": cell.code,
        "code_sha256": cell.code_sha256,
        "redacted": cell.redacted,
    }


def cell_fields(cell: OpenCell, failure: Failure | None, parts: RecorderParts) -> dict[str, object]:
    """The fields of `cell`, in the order of the log format; `recorder_us` is the caller's."""
    request = cell.request
    limits = parts.settings.recorder
    stdout = stderr = ""
    if cell.output.stdout is not None:
        stdout = _stream(cell, "stdout", cell.output.stdout, parts)
    if cell.output.stderr is not None:
        stderr = _stream(cell, "stderr", cell.output.stderr, parts)
    result = None
    if cell.output.result is not None:
        result = _text(cell, "result", cell.output.result, (parts, limits.result_chars))
    error = _error(cell, failure, parts) if failure is not None else None
    if parts.keeper is not None and cell.output.held:
        cell.redacted += parts.keeper.keep(cell.output.held)
    changes = cell.changes or no_changes()
    if changes.summaries_left_out:
        cell.truncated["vars"] = changes.summaries_left_out
    for name, summary in changes.summaries.items():
        _redact_summary(cell, name, summary, parts.redactor)
    fields: dict[str, object] = {
        "success": error is None,
        "status": failure.status if failure else "ok",
        "elapsed_ms": cell.elapsed_ms,
        "step": _step(cell, parts.where.now),
        "cell_id": request.cell_id,
        "execution_count": request.execution_count,
        "msg_id": request.msg_id,
        "span_id": cell.span_id,
        "parent_span_id": cell.parent_span_id,
        "trace_id": cell.place.trace_id,
        "actor": request.actor or parts.settings.actor,
        "worker": cell.worker,
        "code": cell.code,
        "code_sha256": cell.code_sha256,
        "stdout": stdout,
        "stderr": stderr,
        "result": result,
        "outputs": cell.output.outputs,
        "error": error,
        "added_vars": changes.added,
        "changed_vars": changes.changed,
        "removed_vars": changes.removed,
        "mutated_vars": changes.mutated,
        "vars": changes.summaries,
        "added_imports": changes.imports,
        "imports": cell.imports(),
        "loads": changes.loads,
        "stores": changes.stores,
        "cpu_ms": cell.cpu_ms,
        "rss_bytes": parts.memory(),
        "truncated": cell.truncated,
        "redacted": cell.redacted,
    }
    if cell.recorder_error:
        fields["recorder_error"] = cell.recorder_error
    return fields


def _step(cell: OpenCell, now: Place) -> str | None:
    """The step that the cell ended in: one that it began itself counts."""
    if now.step is not None and (now.plan_id, now.task_id) == cell.place[:2]:
        return now.step
    return cell.place.step


def _redact_summary(
    cell: OpenCell, name: str, summary: dict[str, object], redactor: SecretFilter
) -> None:
    text = summary.get("summary")
    if type(text) is not str or summary.get("type") in _SAFE_TYPES:
        return
    if redactor.name_is_secret(name) and summary.get("type") in ("str", "bytes"):
        summary["summary"] = "[REDACTED:name]"
        cell.redacted += 1
        return
    clean, count = redactor.text(text)
    if count:
        summary["summary"] = clean
        cell.redacted += count


def _stream(cell: OpenCell, field: str, buffer: StreamBuffer, parts: RecorderParts) -> str:
    return _noted(cell, field, buffer.kept(parts.redactor.text))


def _text(cell: OpenCell, field: str, text: str, how: tuple[RecorderParts, int]) -> str:
    parts, budget = how
    return _noted(cell, field, parts.redact(text, budget))


def _noted(cell: OpenCell, field: str, kept: Kept) -> str:
    cell.redacted += kept.redacted
    if kept.full_bytes is not None:
        cell.truncated[field] = kept.full_bytes
    return kept.text


def _error(cell: OpenCell, failure: Failure, parts: RecorderParts) -> dict[str, object]:
    budget = parts.settings.recorder.result_chars
    shown = cell.output.error or _EMPTY
    evalue = failure.evalue or str(shown.get("evalue", ""))
    lines = failure.traceback or shown.get("traceback") or ()
    text = "\n".join(line for line in lines if type(line) is str)  # type: ignore[attr-defined]  # a list or tuple
    traceback = _text(cell, "traceback", text, (parts, budget))
    return {
        "ename": failure.ename,
        "evalue": _text(cell, "evalue", evalue, (parts, budget)),
        "traceback": traceback.split("\n") if traceback else [],
        "line": cell.error_line,
    }
