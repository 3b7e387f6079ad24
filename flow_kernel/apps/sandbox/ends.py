"""How a task ends, in the words of its last message (pure).

Called by `task` with what came of its cell.

    task_complete   the code ran to its end: exitCode 0; its own exit code; 1 for an exception
    task_error      it was ended, or never ran: reason, message, hint
"""

from dataclasses import dataclass
from typing import Any, Final

from flow_kernel.errors import (
    CellTimeout,
    FlowError,
    IsolationUnavailable,
    MemoryLimitExceeded,
    ScriptFailed,
    UsageError,
    WorkerBlocked,
    WorkerDied,
)
from flow_kernel.session.cell import Failure
from flow_kernel.session.isolation.service import Finished

_SIGNALS: Final = 128
_MOST_CHARS: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """See the module.

    Attributes:
        reason: Of `task_error`; None for `task_complete`.
        exit_code: None where nobody knows one.
        message: One sentence; of an exception its text.
        hint: What to do.
        failure: As the log has it; None for success, or where reason and message say all.
        signal: That has ended the worker.
    """

    reason: str | None = None
    exit_code: int | None = None
    message: str = ""
    hint: str = ""
    failure: Failure | None = None
    signal: str | None = None

    def message_fields(self) -> tuple[str, dict[str, Any]]:
        """The type of the last message, and its own fields."""
        if self.reason is None:
            more: dict[str, Any] = {"exitCode": self.exit_code}
            if self.failure is not None:
                more["error"] = {"name": self.failure.ename, "message": self.message}
            return "task_complete", more
        fields = {"reason": self.reason, "message": self.message, "hint": self.hint}
        if self.exit_code is not None:
            fields["exitCode"] = self.exit_code  # type: ignore[assignment]  # the one number
        return "task_error", fields | ({"signal": self.signal} if self.signal else {})


def end_of(finished: Finished) -> End:
    """The end of a task whose worker has survived it."""
    if finished.reply.get("status") == "ok":
        return End(exit_code=0)
    if finished.error is not None:
        return error_end(finished.error)
    name = str(finished.reply.get("ename"))[:_MOST_CHARS]
    text = str(finished.reply.get("evalue"))
    lines = finished.reply.get("traceback")
    failure = Failure(name, text, tuple(map(str, lines)) if isinstance(lines, list) else ())
    code = 1
    if name == "SystemExit":
        code = int(text) & 0xFF if text.lstrip("-").isdigit() else int(text not in ("", "None"))
        if not code:
            return End(exit_code=0)
    return End(exit_code=code, message=text[:_MOST_CHARS], failure=failure)


def error_end(error: BaseException) -> End:
    """The end of a task that was ended, or never ran."""
    message = error.message if isinstance(error, FlowError) else str(error)
    # What a notebook is told of its variables says nothing here.
    message = "; ".join(part for part in message.split("; ") if "the variables" not in part)
    hint = error.hint if isinstance(error, FlowError) else ""
    name = type(error).__name__
    failure = Failure(name, message, ())
    said: dict[str, Any] = {"message": message[:_MOST_CHARS], "hint": hint, "failure": failure}
    if isinstance(error, ScriptFailed):
        code = error.returncode if error.returncode >= 0 else _SIGNALS - error.returncode
        return End(exit_code=code, message=message, failure=failure)
    if isinstance(error, WorkerDied):
        said |= {"exit_code": error.exit_status, "signal": error.signal}
    reason = _reason(error)
    if reason == "error":
        said["message"] = f"{name}: {message}"[:_MOST_CHARS]
    return End(reason=reason, **said)


def _reason(error: BaseException) -> str:
    match error:
        case MemoryLimitExceeded():
            return "memory_limit"
        case WorkerDied():
            return error.reason
        case CellTimeout():
            return "timeout" if error.timeout_s else "limit"
        case WorkerBlocked():
            return "blocked"
        case KeyboardInterrupt():
            return "terminated"
    return "refused" if isinstance(error, IsolationUnavailable | UsageError) else "error"
