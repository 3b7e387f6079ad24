"""The magic `%workers`: the processes that isolated cells run in, from inside a notebook.

Called by IPython; each answer prints as text, shows as HTML and is a Python value. They are made in
`shell.isolated.workers_answers`, which is loaded when a worker is first asked for.
"""

from typing import Any, Final

from IPython.core.error import UsageError as IPythonUsageError
from IPython.core.magic import Magics, line_magic, magics_class

from flow_kernel.errors import CellTimeout, FlowError, WorkerDied
from flow_kernel.session.ambient import current_session

VERBS: Final = {
    "list": "the workers of this session, and what they use",
    "show": "one of them",
    "stop": "end one at once",
    "restart": "end one, and begin a new one of its name",
    "jobs": "the cells in the background",
    "wait": "wait for one of them, and bring back what it names with --out",
    "cancel": "end one of them",
}


@magics_class
class WorkersMagics(Magics):  # type: ignore[misc]  # IPython's base has no types here
    """Magics for those who look after workers."""

    @line_magic  # type: ignore[untyped-decorator]  # IPython's decorators have no types
    def workers(self, line: str) -> object:
        """Show the workers of this session, which isolated cells run in, and steer them.

        ::

          %workers [list]              what they do, and what they use
          %workers show ID             one of them
          %workers stop ID             end it at once, with all that it has started
          %workers restart ID          the same, and begin a new one of its name
          %workers jobs                the cells in the background (%%isolated --bg)
          %workers wait [JOB]          wait for one, and bring back what it names with --out;
                                       or wait for all of them
          %workers cancel JOB          interrupt one

        ID is an id (w1) or a name. The variables of a worker that is ended are gone; those of this
        session are not touched. A spare is a worker that is ready for whoever wants one next. Each
        answer is also a Python value: ``all = %workers`` then ``all[0].line.pid``.
        """
        verb, _, rest = line.strip().partition(" ")
        verb = verb or "list"
        if verb not in VERBS:
            raise IPythonUsageError(f'%workers: there is no verb "{verb[:40]}"; try: %workers?')
        session = current_session()
        try:
            with session.recorder.own_imports():
                from flow_kernel.shell.isolated.workers_answers import (
                    ANSWERS,  # few sessions have workers
                )
            return ANSWERS[verb](session, rest.strip())
        except (WorkerDied, CellTimeout):
            raise  # what a cell in the background has raised
        except FlowError as error:
            raise IPythonUsageError(f"%workers: {error}") from None


def complete(_: Any, event: Any) -> list[str]:
    """What may follow on the line of `event`."""
    words = event.line.split()
    if len(words) < 2 or (len(words) == 2 and not event.line.endswith(" ")):
        return list(VERBS)
    if words[1] not in VERBS or words[1] == "list":
        return []
    from flow_kernel.shell.isolated.workers_answers import names  # as above

    try:
        return names(current_session())
    except FlowError:
        return []
