"""Our magics in the shell of a worker: the session runs them, and shows what they say.

Registered by `shell.worker.app`. Their answers come as text, which is as true as what it stands
for. The body of `%%step` and `%%approve` runs here, in between.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from IPython.core.error import UsageError as IPythonUsageError
from IPython.core.magic import needs_local_scope, no_var_expand

from flow_kernel.errors import FlowError
from flow_kernel.shell.magics.body import APPROVED_FAILED, run_body, unquoted
from flow_kernel.shell.magics.typed_names import expanded
from flow_kernel.shell.overrides.question_mark import TRANSFORMERS
from flow_kernel.shell.worker.calls import WorkerCalls
from flow_kernel.shell.worker.checkpoints import MAGICS, WorkerCheckpoints
from flow_kernel.shell.worker.session import WorkerSession

LINE_MAGICS: Final = ("flow", "task", "approve", "checkpoint", "rollback", "workers", "workflow")
"""Those that the session runs for a worker."""


def register(
    shell: Any,
    session: WorkerSession,
    call: WorkerCalls,
    checkpoints: WorkerCheckpoints | None = None,
) -> None:
    """Make our magics known to the shell of a worker.

    Args:
        shell: IPython's.
        session: As it is seen from there.
        call: Has the session do something.
        checkpoints: Of the worker; None where the session has all variables.
    """
    for name in LINE_MAGICS:
        magic = _forwarding(call, name)
        if checkpoints is not None and name in MAGICS:
            magic = _here_or(magic, checkpoints, name, shell)
        shell.register_magic_function(magic, "line", name)
    cell_magics = _CellMagics(shell, session, call)
    for name in ("step", "approve", "isolated"):
        shell.register_magic_function(getattr(cell_magics, name), "cell", name)
    shell.input_transformer_manager.token_transformers.extend(TRANSFORMERS)


def _forwarding(call: WorkerCalls, name: str) -> Callable[[str], object]:
    def forward(line: str) -> object:
        return call("magic", name=name, line=line)

    forward.__doc__ = f"Run %{name} in the session of this worker; %{name}? there says more."
    return forward


def _here_or(
    forward: Callable[[str], object], checkpoints: WorkerCheckpoints, name: str, shell: Any
) -> Callable[..., object]:
    """The magic on the variables of this worker, where it holds those of the session."""

    def run(line: str, local_ns: Mapping[str, object] | None = None) -> object:
        if not checkpoints.is_on:
            return forward(expanded(name, line, local_ns, shell=shell, names=tuple))
        known = checkpoints.names
        return checkpoints.answer(name, expanded(name, line, local_ns, shell=shell, names=known))

    run.__doc__ = forward.__doc__
    decorated: Callable[..., object] = needs_local_scope(no_var_expand(run))
    return decorated


class _CellMagics:
    def __init__(self, shell: Any, session: WorkerSession, call: WorkerCalls) -> None:
        self._shell = shell
        self._session = session
        self._call = call

    def step(self, line: str, cell: str) -> None:
        """Run this cell as a step of the open task; an error fails the step."""
        has_begun = False
        try:
            with self._session.step(unquoted(line.strip()), is_alone=True):
                has_begun = True
                run_body(self._shell, cell, failure="the step failed")
        except FlowError as error:
            if has_begun:  # of the body
                raise
            raise IPythonUsageError(f"%%step: {error}") from None

    def approve(self, line: str, cell: str) -> object:
        """Ask a person, and run this cell only with their yes."""
        skipped = self._call("approve_cell", line=line, body=cell)
        if skipped is None:
            run_body(self._shell, cell, failure=APPROVED_FAILED)
        return skipped

    def isolated(self, line: str, cell: str) -> None:
        """A cell is isolated once."""
        raise IPythonUsageError("%%isolated: the cell is in a worker already")
