"""Which plan and task a session records to, from its environment (pure).

Called by `session.assembly` when a session starts.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from flow_kernel.records.names import ADHOC_TASK, DEFAULT_PLAN, is_plan_id, is_task_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Where records go.

    Attributes:
        session: 32 hex, one for each start of a kernel.
        plan_id: The body of work.
        task_id: The unit of work; `T-0000` takes cells outside any task.
        trace_id: 32 hex; equal for all sessions of one task, own for each session without a task.
        complaint: Why the environment's ids were not used; empty when they were.
    """

    session: str
    plan_id: str
    task_id: str
    trace_id: str
    complaint: str


def identify(env: Mapping[str, str], *, session: str) -> Identity:
    """The identity of `session` in the environment `env`.

    An ill-formed `FLOW_PLAN_ID` or `FLOW_TASK_ID` means `local/T-0000`, and the reason is kept.
    """
    plan_id = env.get("FLOW_PLAN_ID") or DEFAULT_PLAN
    task_id = env.get("FLOW_TASK_ID") or ADHOC_TASK
    complaint = ""
    if not is_plan_id(plan_id):
        complaint = f"FLOW_PLAN_ID={plan_id[:60]!r} is no plan id (no blanks, no slashes)"
    elif not is_task_id(task_id):
        complaint = f"FLOW_TASK_ID={task_id[:60]!r} is no task id (it looks like T-0001)"
    if complaint:
        complaint += f"; cells are recorded under {DEFAULT_PLAN}/{ADHOC_TASK}"
        plan_id, task_id = DEFAULT_PLAN, ADHOC_TASK
    if task_id == ADHOC_TASK:
        trace_id = session
    else:
        name = f"{plan_id}/{task_id}".encode("utf-8", "backslashreplace")
        trace_id = hashlib.sha256(name).hexdigest()[:32]
    return Identity(
        session=session, plan_id=plan_id, task_id=task_id, trace_id=trace_id, complaint=complaint
    )
