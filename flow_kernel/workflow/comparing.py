"""How two runs differ (pure).

Called by `jupyter flow runs diff`.
"""

from typing import Any

from flow_kernel.workflow.views import Run


def difference(before: Run, after: Run) -> dict[str, Any]:
    """What is different: states of steps, and what came out. Times are not compared.

    Returns:
        `{"before", "after", "status", "steps": [{"id", "before", "after", "elapsed_ms"}],
        "output_data": {"added", "changed", "removed"}}`; a step that is not there has None.
    """
    ids = [step.id for step in before.steps]
    ids += [step.id for step in after.steps if step.id not in set(ids)]
    steps = []
    sides = [{step.id: step for step in each.steps} for each in (before, after)]
    for name in ids:
        old, new = (side.get(name) for side in sides)
        states = [None if each is None else str(each.state) for each in (old, new)]
        if states[0] != states[1]:
            times = [None if each is None else each.elapsed_ms for each in (old, new)]
            steps.append({"id": name, "before": states[0], "after": states[1], "elapsed_ms": times})
    return {
        "before": before.run_id,
        "after": after.run_id,
        "status": [str(before.status), str(after.status)],
        "steps": steps,
        "output_data": _changes(before.output_data or {}, after.output_data or {}),
    }


def _changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, list[str]]:
    return {
        "added": sorted(after.keys() - before.keys()),
        "changed": sorted(
            name for name in before.keys() & after.keys() if before[name] != after[name]
        ),
        "removed": sorted(before.keys() - after.keys()),
    }
