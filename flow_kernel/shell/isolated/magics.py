"""The magic `%%isolated`.

Called by IPython, and for cells that are marked otherwise by `shell.isolated.marks`.
"""

from typing import Any

from IPython.core.error import UsageError as IPythonUsageError
from IPython.core.magic import Magics, cell_magic, magics_class

from flow_kernel.errors import IsolationUnavailable, UsageError
from flow_kernel.session.ambient import current_session
from flow_kernel.shell.isolated import routing
from flow_kernel.shell.magics.body import run_body


@magics_class
class IsolatedMagics(Magics):  # type: ignore[misc]  # IPython's base has no types here
    """Magics for workers."""

    @cell_magic  # type: ignore[untyped-decorator]  # IPython's decorators have no types
    def isolated(self, line: str, cell: str) -> object:
        """Run the cell in a worker: a process that may crash, hang or run out of memory."""
        try:
            session = current_session()
            if session.ground is None:
                raise IsolationUnavailable("no cell can be isolated in this shell")
            order = session.ground.marks.order_of(cell, routing.of_magic(line))
        except UsageError as error:
            raise IPythonUsageError(f"%%isolated: {error}") from None
        if order is None:
            run_body(self.shell, cell, failure="the cell failed")
            return None
        with session.recorder.own_imports():
            from flow_kernel.shell.isolated.cell import run_isolated  # jupyter_client: 60 ms
        return run_isolated(self.shell, session, order, cell)


IsolatedMagics.isolated.__doc__ = f"{IsolatedMagics.isolated.__doc__}\n\n{routing.help_text()}"


def complete(_: Any, event: Any) -> list[str]:
    """What may follow on the line of `event`."""
    return routing.complete(event.line.partition(" ")[2])
