"""One step by itself: no run, nothing stored.

Called by users as `workflow.execute_step(…)`.
"""

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from flow_kernel.errors import NotFound, UsageError
from flow_kernel.session.context_values import encoded
from flow_kernel.workers.limits import Limits
from flow_kernel.workflow import spec
from flow_kernel.workflow.attempt import Attempted, attempt
from flow_kernel.workflow.beside import run_beside
from flow_kernel.workflow.executors.contract import Context, Order
from flow_kernel.workflow.mapping import FLOW, Seen, idempotency_key
from flow_kernel.workflow.model import Step, StepType
from flow_kernel.workflow.options import DEFAULT_OUTPUT_BYTES
from flow_kernel.workflow.registry import Executors
from flow_kernel.workflow.service import environment
from flow_kernel.workflow.states import StepState

_RUN: str = "R-0000"


def execute_step(
    step_type: str,
    step_config: Mapping[str, Any],
    variables: Mapping[str, object],
    code: str = "",
) -> dict[str, Any]:
    """Run one step to its end.

    Args:
        step_type: PYTHON_SCRIPT, COMMAND or NOTEBOOK.
        step_config: What a step of a workflow may say: `timeout`, `input_mapping`,
            `output_mapping`, `resources`, `file`, … and `directory`, where it works.
        variables: What its variables file holds; JSON values.
        code: The script or the command line.

    Returns:
        `{"success", "output", "logs"}`: `output` is the object that the step printed, and the
        variables of its `output_mapping` under their names; `logs` is what it wrote to stderr. A
        failed step has `error` as well: `{"type", "message", …}`.

    Raises:
        WorkflowInvalid: The step cannot be run as it is.
        UsageError: A variable is no JSON value, an approval was asked for, or there is no such
            executor.
        KeyboardInterrupt: It was interrupted; the step was ended.
    """
    config = {**step_config}
    directory = Path(str(config.pop("directory", ".") or ".")).absolute()
    said = {"name": "step", **config, "step_type": step_type, **({"code": code} if code else {})}
    workflow = spec.parse({"name": "single", "steps": [said]}, directory=directory)
    step = workflow.steps[0]
    if step.step_type == StepType.APPROVAL:
        raise UsageError("an approval needs a run, which waits for the answer")
    seen = Seen(encoded(variables), {})
    # Beside: this may be called where a loop runs already.
    work = partial(_attempted, step, seen, directory)
    return _answer(run_beside(work, name="flow-step", stop=None), step)


async def _attempted(step: Step, seen: Seen, directory: Path) -> Attempted:
    flow = {
        "run_id": _RUN,
        "step_id": step.id,
        "attempt": 1,
        "idempotency_key": idempotency_key(_RUN, step.id, str(directory)),
    }
    try:
        inputs = seen.inputs(step.input_mapping)
    except NotFound as failure:
        error = {"type": "InputMissing", "message": failure.message}
        return Attempted(state=StepState.ERROR, error=error)
    with tempfile.TemporaryDirectory(prefix="flow-step-") as files:
        context = Context(run_id=_RUN, files=Path(files), workers=1, env=environment())
        executors = Executors(context)
        order = Order(
            run_id=_RUN,
            step_id=step.id,
            number=1,
            attempt=1,
            step_type=step.step_type,
            source=step.code,
            filename=step.file or f"{files}/1-1.py",
            beside=str(Path(step.file).parent) if step.file else str(directory),
            notebook=step.file if step.step_type == StepType.NOTEBOOK else None,
            variables=seen.document(inputs, {FLOW: flow}),
            directory=str(directory),
            limits=Limits(
                timeout_s=step.timeout_s,
                memory_bytes=step.resources.memory_bytes or None,
                output_bytes=DEFAULT_OUTPUT_BYTES,
            ),
        )
        try:
            # A process that forks takes longer to start than one step.
            executor = executors.get(step.resources.isolation or "subprocess")
            return await attempt(executor, order, step, is_strict=False, on_text=lambda _: None)
        finally:
            await executors.close()


def _answer(attempted: Attempted, step: Step) -> dict[str, Any]:
    output = attempted.plain()
    if isinstance(output, dict):
        output |= {
            variable: output[key] for variable, key in step.output_mapping.items() if key in output
        }
    answer: dict[str, Any] = {
        "success": attempted.state == StepState.OK,
        "output": output,
        "logs": "\n".join((attempted.logs, *attempted.warnings)).strip("\n"),
    }
    if attempted.error is not None:
        answer["error"] = dict(attempted.error)
    return answer
