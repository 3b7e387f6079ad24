"""Which results of an earlier run a new one takes (pure).

Called by `service` for `--from STEP`, `--only STEP` and for a rerun of what failed.

    --from A,B    everything but A, B and what needs them, as far as it ended well
    --only A,B    everything but A and B; what is not there is not needed by them, or their error
    failed        everything that ended well
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from flow_kernel.errors import UsageError
from flow_kernel.store.run_rows import RunStepRow, RunVariable
from flow_kernel.workflow.ledger import skipped
from flow_kernel.workflow.model import Workflow
from flow_kernel.workflow.states import StepState


@dataclass(frozen=True, slots=True)
class Reused:
    """What is taken.

    Attributes:
        steps: Rows of steps that are over.
        variables: That these have set.
    """

    steps: Sequence[RunStepRow]
    variables: Sequence[RunVariable]


def downstream(workflow: Workflow, names: Collection[str]) -> set[str]:
    """`names` and all steps that need them, over any number of others.

    Raises:
        UsageError: There is no such step.
    """
    known = {step.id for step in workflow.steps}
    for name in names:
        if name not in known:
            raise UsageError(f'there is no step "{name[:60]}" in {workflow.name[:60]}')
    below: dict[str, list[str]] = {}
    for step in workflow.steps:
        for name in step.needs:
            below.setdefault(name, []).append(step.id)
        if step.handler:
            below.setdefault(step.id, []).append(step.handler)
    found = set(names)
    left = [*found]
    while left:
        more = [name for name in below.get(left.pop(), ()) if name not in found]
        found.update(more)
        left += more
    return found


def reusable(rows: Iterable[RunStepRow], *, run_id: str, but: Collection[str]) -> list[RunStepRow]:
    """Which steps of an earlier run are taken.

    Args:
        rows: Of the steps of that run.
        run_id: Its id.
        but: Steps that are run anew.
    """
    return [
        replace(row, reused_from=row.reused_from or run_id)
        for row in rows
        if row.state == StepState.OK and row.step_id not in but
    ]


def only(workflow: Workflow, wanted: Collection[str], known: Reused) -> Reused:
    """What a run of `wanted` alone takes: the rest is there from before, or left out."""
    there = {row.step_id for row in known.steps}
    left_out = [
        skipped(
            RunStepRow(run_id="", step_id=step.id, number=at, state="skipped", attempt=0),
            "it was not asked for",
            is_failure=False,
        )
        for at, step in enumerate(workflow.steps, 1)
        if step.id not in wanted and step.id not in there
    ]
    return Reused([*known.steps, *left_out], known.variables)
