"""Workflows for any program: in the home of this directory, or of this session.

Called by users as `flow_kernel.workflow.run(…)` and `flow_kernel.workflow.resume(…)`.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from flow_kernel.api import open_flow
from flow_kernel.errors import NotFound
from flow_kernel.session.ambient import current_session
from flow_kernel.session.flow import Flow
from flow_kernel.workflow import load
from flow_kernel.workflow.model import Workflow
from flow_kernel.workflow.options import RunOptions
from flow_kernel.workflow.service import Service
from flow_kernel.workflow.views import Run


def run(
    workflow: str | os.PathLike[str] | Mapping[str, Any] | Workflow,
    *,
    variables: Mapping[str, object] | None = None,
    options: RunOptions | None = None,
    task_id: str = "",
    home: str | os.PathLike[str] | None = None,
) -> Run:
    """Run a workflow to its end, or until it waits for an answer.

    Args:
        workflow: A file of JSON or TOML, the name of a stored workflow, its definition as a
            mapping, or what `workflow.load` gave.
        variables: In place of what the workflow says, or beside it; JSON values.
        options: How it is run.
        task_id: The task that the run belongs to; by default that of the session, or `T-0000`.
        home: The directory of the records; by default that of the session or of this directory.

    Returns:
        The run as it is stored: `status` says how it ended, `output_data` what came out.

    Raises:
        WorkflowInvalid: It cannot be run as it is; nothing was.
        UsageError: A variable is no JSON value.
    """
    service = Service(_flow(home))
    found = _definition(workflow, service)
    row = service.begin(found, variables, options=options, task_id=task_id)
    return service.run(row)


def resume(run_id: str, *, failed: bool = False, home: str | os.PathLike[str] | None = None) -> Run:
    """Go on with a run that was killed, or that waits for an answer.

    Args:
        run_id: `R-0001`.
        failed: True to run the steps again that have failed.
        home: See `run`.

    Raises:
        NotFound: There is no such run.
        IllegalTransition: It is over, or another process works on it.
    """
    service = Service(_flow(home))
    return service.run(service.book.claim(run_id, again=failed))


def _definition(
    workflow: str | os.PathLike[str] | Mapping[str, Any] | Workflow, service: Service
) -> Workflow:
    if isinstance(workflow, str) and not Path(workflow).exists():
        stored = service.book.stored(workflow)
        if stored is not None:
            return stored
    return load.from_object(workflow, Path.cwd())


def _flow(home: str | os.PathLike[str] | None) -> Flow:
    if home is None:
        with suppress(NotFound):  # this is no notebook
            return open_flow(current_session().home.root)
    return open_flow(home)
