"""One attempt of a step: its files, its process, and what its output means.

Called by `runner`, which decides what follows from it.
"""

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from flow_kernel.errors import FlowError
from flow_kernel.records.plain import one_line, strip_controls
from flow_kernel.workflow.executors.contract import (
    Executor,
    Log,
    Order,
    Outcome,
)
from flow_kernel.workflow.logs import Logs
from flow_kernel.workflow.mapping import mapped
from flow_kernel.workflow.model import Step
from flow_kernel.workflow.output import OutputInvalid, missing, parsed
from flow_kernel.workflow.states import StepState

_MESSAGE_CHARS: Final = 500
_TRACEBACK_CHARS: Final = 8000


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempted:
    """What came of an attempt.

    Attributes:
        state: ok, error, timeout or blocked.
        output: As JSON; None where there is none. One of a step that has failed is kept as well.
        sets: Variables that it sets, as JSON.
        error: None where there is none.
        logs: What it wrote to stderr.
        warnings: What is no error.
        elapsed_ms: From before its process to after it.
        how: What it ran in.
    """

    state: StepState
    output: bytes | None = None
    sets: Mapping[str, bytes] = field(default_factory=dict)
    error: Mapping[str, Any] | None = None
    logs: str = ""
    warnings: tuple[str, ...] = ()
    elapsed_ms: float = 0.0
    how: str = ""

    def plain(self) -> Any:
        """The output taken apart."""
        return None if self.output is None else orjson.loads(self.output)


async def attempt(
    executor: Executor,
    order: Order,
    step: Step,
    *,
    is_strict: bool,
    on_text: Callable[[str], None],
) -> Attempted:
    """Run `order`.

    Args:
        executor: Runs it.
        order: The attempt.
        step: Its step.
        is_strict: True when an output that lacks a mapped key is an error.
        on_text: Takes what it writes to stderr.
    """
    logs = Logs(on_text)
    began = time.perf_counter()
    try:
        outcome = await executor.run(order, logs)
    except FlowError as failure:
        return not_run(failure, logs.text())
    except Exception as failure:  # noqa: BLE001 - see `_broken`
        return _broken(failure, logs.text())
    return _judged(outcome, logs, step, is_strict=is_strict, began=began)


def attempt_now(
    run_now: Callable[[Order, Log], Outcome],
    order: Order,
    step: Step,
    *,
    is_strict: bool,
    on_text: Callable[[str], None],
) -> Attempted:
    """`attempt` with an executor that runs steps in the thread that calls: its `run_now`."""
    logs = Logs(on_text)
    began = time.perf_counter()
    try:
        outcome = run_now(order, logs)
    except FlowError as failure:
        return not_run(failure, logs.text())
    except Exception as failure:  # noqa: BLE001 - see `_broken`
        return _broken(failure, logs.text())
    return _judged(outcome, logs, step, is_strict=is_strict, began=began)


def not_run(failure: FlowError, logs: str = "") -> Attempted:
    """An attempt that could not be made."""
    said = {"type": type(failure).__name__, "message": failure.message, "hint": failure.hint}
    return Attempted(state=StepState.ERROR, error=said, logs=logs)


def _broken(failure: Exception, logs: str) -> Attempted:
    """An attempt whose executor failed, which may be anybody's: the step fails, not the run."""
    told = "".join(traceback.format_exception(failure)).encode("utf-8", "backslashreplace")
    text = strip_controls(told.decode(), keep="\n\t")
    last = one_line(text.strip().rpartition("\n")[2], _MESSAGE_CHARS)
    said = {
        "type": type(failure).__name__,
        "message": f"its executor failed: {last}",
        "traceback": text[-_TRACEBACK_CHARS:],
    }
    return Attempted(state=StepState.ERROR, error=said, logs=logs)


def _judged(
    outcome: Outcome, logs: Logs, step: Step, *, is_strict: bool, began: float
) -> Attempted:
    elapsed_ms = (time.perf_counter() - began) * 1000
    state, error, output = outcome.state, outcome.error, None
    sets: dict[str, bytes] = {}
    warnings: tuple[str, ...] = (outcome.how_reason,) if outcome.how_reason else ()
    try:
        found = parsed(outcome.stdout)
        output = orjson.dumps(found)
    except (OutputInvalid, orjson.JSONEncodeError) as wrong:
        if state == StepState.OK:
            state, error = StepState.ERROR, {"type": "OutputInvalid", "message": str(wrong)}
        found = {}
    if state == StepState.OK:
        lacks = _lacking(found, step)
        if lacks and is_strict:
            state, error = StepState.ERROR, {"type": "OutputInvalid", "message": lacks}
        elif lacks:
            warnings += (lacks,)
        if state == StepState.OK:
            sets = mapped(found, step.output_mapping)
    return Attempted(
        state=state,
        output=output if state == StepState.OK or outcome.stdout else None,
        sets=sets,
        error=error,
        logs=logs.text(),
        warnings=warnings,
        elapsed_ms=elapsed_ms,
        how=outcome.how,
    )


def _lacking(output: Mapping[str, object], step: Step) -> str:
    """What the output lacks, in a sentence; empty where nothing."""
    gone = missing(output, step.output_mapping)
    if not gone:
        return ""
    keys = ", ".join(f'"{key}" (for {variable})' for variable, key in gone)
    has = ", ".join(f'"{key}"' for key in [*output][:10]) or "nothing"
    return f"its output lacks {keys}; it has {has}"
