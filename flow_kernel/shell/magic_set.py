"""All magics of flow_kernel, put into a shell and taken out again.

Called by `shell.kernel` when its shell is made and by `shell.extension`.
"""

from collections.abc import Callable
from typing import Any, Final

from flow_kernel.shell.isolated import magics as isolated_magics
from flow_kernel.shell.isolated import workers_magics
from flow_kernel.shell.magics import (
    approve_magics,
    checkpoint_magics,
    flow_magics,
    task_magics,
)
from flow_kernel.shell.overrides.question_mark import TRANSFORMERS
from flow_kernel.shell.workflows import magics as workflow_magics

_CLASSES: Final = (
    flow_magics.FlowMagics,
    task_magics.TaskMagics,
    approve_magics.ApproveMagics,
    checkpoint_magics.CheckpointMagics,
    isolated_magics.IsolatedMagics,
    workers_magics.WorkersMagics,
    workflow_magics.WorkflowMagics,
)
_NAMES: Final = {
    "line": ("flow", "task", "approve", "checkpoint", "rollback", "workers", "workflow"),
    "cell": ("step", "approve", "isolated"),
}
_COMPLETIONS: Final[dict[str, Callable[[Any, Any], list[str]]]] = {
    "%flow": flow_magics.complete,
    "%task": task_magics.complete,
    "%approve": approve_magics.complete,
    "%%approve": approve_magics.complete,
    "%checkpoint": checkpoint_magics.complete,
    "%%isolated": isolated_magics.complete,
    "%rollback": checkpoint_magics.complete,
    "%workers": workers_magics.complete,
    "%workflow": workflow_magics.complete,
}


def register(shell: Any) -> None:
    """Make the magics known to `shell`."""
    for magics_class in _CLASSES:
        shell.register_magics(magics_class)
    shell.input_transformer_manager.token_transformers.extend(TRANSFORMERS)


def unregister(shell: Any) -> None:
    """Undo `register`."""
    for kind, names in _NAMES.items():
        for name in names:
            shell.magics_manager.magics[kind].pop(name, None)
    for magics_class in _CLASSES:
        shell.magics_manager.registry.pop(magics_class.__name__, None)
    transformers = shell.input_transformer_manager.token_transformers
    for transformer in TRANSFORMERS:
        if transformer in transformers:
            transformers.remove(transformer)


def give_panels(shell: Any, panels: Any) -> None:
    """Let `%flow panel` show what `panels` shows."""
    if (flow := shell.magics_manager.registry.get(flow_magics.FlowMagics.__name__)) is not None:
        flow.panels = panels


def add_completion(shell: Any) -> None:
    """Complete verbs, options, names and values after each line magic."""
    for magic, complete in _COMPLETIONS.items():
        shell.set_hook("complete_command", complete, str_key=magic)


def remove_completion(shell: Any) -> None:
    """Undo `add_completion`."""
    for magic in _COMPLETIONS:
        shell.strdispatchers["complete_command"].strs.pop(magic, None)
