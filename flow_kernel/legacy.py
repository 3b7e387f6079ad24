"""The context functions of the first design, on top of the store.

Called by programs that were written for it: `from flow_kernel import legacy`.
"""

from flow_kernel.api import open_flow


def update_task_context(task_id: str, key: str, value: object) -> dict[str, object]:
    """Set one key of a task's context. Returns the context.

    Raises:
        NotFound: There is no such task.
        UsageError: The value is not JSON; nothing was written.
    """
    return open_flow().update_task_context(task_id, {key: value})


def add_to_context(task_id: str, **values: object) -> dict[str, object]:
    """Set several keys of a task's context; see `update_task_context`."""
    return open_flow().update_task_context(task_id, values)
