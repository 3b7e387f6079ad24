"""The magics `%task` and `%%step`: work with a shape, from inside a notebook.

Called by IPython; each answer prints as text, shows as HTML and is a Python value. They are made in
`shell.magics.task_answers`, which is loaded when a task is first asked for.
"""

from typing import Any, Final

from IPython.core.error import UsageError as IPythonUsageError
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class

from flow_kernel.errors import FlowError
from flow_kernel.session.ambient import current_session
from flow_kernel.shell.magics.body import run_body, unquoted

VERBS: Final = {
    "start": "begin a task; its planned steps are shown",
    "step": "begin a step; the one before it is done",
    "log": "add a line to the log of the task",
    "set": "set keys of its context: KEY=VALUE",
    "finish": "the task is done",
    "fail": "the task failed, and why",
    "cancel": "give the task up",
    "reopen": "go on with a task that has ended, or was begun elsewhere",
    "status": "the open task: planned against done",
    "list": "all tasks of this project",
    "show": "one task, the open one by default",
}


@magics_class
class TaskMagics(Magics):  # type: ignore[misc]  # IPython's base has no types here
    """Magics for tasks and steps."""

    @line_magic  # type: ignore[untyped-decorator]  # IPython's decorators have no types
    def task(self, line: str) -> object:
        """Give the work of this session a name, a plan and an end.

        ::

          %task start NAME [--describe TEXT] [--steps A,B,C] [--type T] [--plan P]
          %task step NAME              begin a step; the one before it is done
          %task log TEXT               add a line to the log of the task
          %task set KEY=VALUE …        set keys of its context; values are JSON, or else text
          %task finish                 the task is done
          %task fail REASON            the task failed
          %task cancel                 give it up
          %task reopen [ID]            go on with a task that has ended, or was begun elsewhere
          %task status                 the open task: planned against done
          %task list                   all tasks of this project
          %task show [ID]              one task with its steps and context

        Cells that run while a task is open are recorded in its own log. A task that is started
        while another one is open is a part of it. Each answer is also a Python value.
        """
        verb, _, rest = line.strip().partition(" ")
        return _answered("%task", verb or "status", rest.strip())

    @cell_magic  # type: ignore[untyped-decorator]  # IPython's decorators have no types
    def step(self, line: str, cell: str) -> None:
        """Run this cell as a step of the open task; an error fails the step.

        The step that `%task step` has begun is done.

        ::

          %%step NAME
          …
        """
        has_begun = False
        try:
            with current_session().tasks.alone(unquoted(line.strip())):
                has_begun = True
                run_body(self.shell, cell, failure="the step failed")
        except FlowError as error:
            if has_begun:  # of the body, among them a question that waits for its answer
                raise
            raise IPythonUsageError(f"%%step: {error}") from None


def _answered(magic: str, verb: str, rest: str) -> object:
    if verb not in VERBS:
        raise IPythonUsageError(f'{magic}: there is no verb "{verb[:40]}"; try: {magic}?')
    session = current_session()
    try:
        with session.recorder.own_imports():
            # 15 ms that a starting kernel need not pay
            from flow_kernel.shell.magics.task_answers import ANSWERS

            return ANSWERS[verb](session, rest)
    except FlowError as error:
        raise IPythonUsageError(f"{magic}: {error}") from None


def complete(_: Any, event: Any) -> list[str]:
    """What may follow on the line of `event`."""
    words = event.line.split()
    if len(words) < 2 or (len(words) == 2 and not event.line.endswith(" ")):
        return list(VERBS)
    from flow_kernel.shell.magics.task_answers import completions  # as above

    try:
        return completions(current_session().tasks, words, event.line)
    except FlowError:
        return []
