"""The magic `%workflow`: workflows from inside a notebook, with a picture that lives.

Called by IPython; each answer prints as text, shows as HTML and is a Python value. They are made in
`shell.workflows.answers`, which is loaded when a workflow is first asked for.
"""

from typing import Any

from IPython.core.error import UsageError as IPythonUsageError
from IPython.core.magic import Magics, line_magic, magics_class

from flow_kernel.errors import ApprovalPending, FlowError, StepFailed
from flow_kernel.session.ambient import current_session


@magics_class
class WorkflowMagics(Magics):  # type: ignore[misc]  # IPython's base has no types here
    """Magics for workflows."""

    @line_magic  # type: ignore[untyped-decorator]  # IPython's decorators have no types
    def workflow(self, line: str) -> object:
        """Run workflows: steps that are isolated, kept, and gone on with after a kill.

        ::

          %workflow run FILE [--var K=V]… [--vars FILE] [--on EXECUTOR] [--workers N]
                        [--task ID] [--from STEP | --only STEP] [--of-run RUN]
                        [--keep-files DIR] [--no-cache] [--durable] [--store] [--wait]
          %workflow list [--limit N]   the runs of this project, the newest first
          %workflow show [RUN]         one run with its picture, by default the last one
          %workflow resume [RUN] [--failed] [--wait]
                                       go on with a run that was killed, waits or was stopped;
                                       --failed runs again what has failed

        FILE is a workflow in JSON or TOML, or the name of one that was kept with --store. A value
        of --var is JSON, or else text; ``$name`` and ``{expression}`` stand for values of the
        notebook. STEP is one step, or several with commas between them. The run belongs to the open
        task. The picture is drawn again as the run goes on; an interrupt stops the run, which can
        be gone on with. A step that fails ends the cell with StepFailed. A question of the run ends
        it with ApprovalPending, unless --wait waits for the answer; the run is gone on with after
        ``jupyter flow approve ID``.

        Each answer is also a Python value: ``run = %workflow run etl.toml`` then
        ``run.output_data``, ``run.step("fetch").elapsed_ms``.
        """
        try:
            session = current_session()
            with session.recorder.own_imports():
                from flow_kernel.shell.workflows.answers import (
                    answer,  # few sessions have workflows
                )

                return answer(session, line)
        except (StepFailed, ApprovalPending):
            raise  # what the run came to
        except FlowError as error:
            raise IPythonUsageError(f"%workflow: {error}") from None


def complete(_: Any, event: Any) -> list[str]:
    """What may follow on the line of `event`."""
    from flow_kernel.shell.workflows.answers import completions  # as above

    try:
        return completions(current_session, event.line)
    except FlowError:
        return []
