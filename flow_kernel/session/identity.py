"""Which plan and task a session begins in, from its environment (pure).

Called by `session.assembly` when a session starts.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from flow_kernel.records.names import ADHOC_TASK, DEFAULT_PLAN, is_plan_id, is_task_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a session is, and where its records go at first.

    Attributes:
        session: 32 hex, one for each start of a kernel.
        plan_id: The body of work.
        task_id: The unit of work; `T-0000` takes cells outside any task.
        complaint: Why the environment's ids were not used; empty when they were.
    """

    session: str
    plan_id: str
    task_id: str
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
    return Identity(session=session, plan_id=plan_id, task_id=task_id, complaint=complaint)
