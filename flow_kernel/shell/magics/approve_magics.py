"""The magics `%approve` and `%%approve`: ask a person before going on.

Called by IPython; the answer of `%approve` prints as text, shows as HTML and is a Python truth. It
is made in `shell.magics.approve_answers`, which is loaded with the first question.
"""

from typing import Any

from IPython.core.error import UsageError as IPythonUsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class

from flow_kernel.errors import FlowError
from flow_kernel.session.ambient import current_session
from flow_kernel.shell.magics.body import APPROVED_FAILED, run_body


@magics_class
class ApproveMagics(Magics):  # type: ignore[misc]  # IPython's base has no types here
    """Magics for questions."""

    @line_cell_magic  # type: ignore[untyped-decorator]  # IPython's decorators have no types
    def approve(self, line: str, cell: str | None = None) -> object:
        """Ask a person, and go on only with their answer.

        ::

          %approve MESSAGE [--timeout 10m] [--on-timeout reject|skip|approve] [--remind 2m]
                           [--park|--wait]             the cell ends here unless the answer is yes

          ok = %approve MESSAGE …      the answer is a value, and the cell goes on

          %%approve MESSAGE …          the cell below runs only if it is approved
          …

        A line of %approve by itself ends its cell with ApprovalRejected on every answer but yes:
        no, skip, or none in time. Bound to a name the answer is true when it is yes, and ends
        nothing (``--stop`` makes it). %%approve raises ApprovalRejected on a no, and passes over
        the cell when it is skipped. Type yes, no or skip into the box of the cell, press a button
        below it (pip install "flow_kernel[ui]"), or answer from elsewhere: ``jupyter flow approve
        ID``. The first answer counts.

        --wait waits for the answer. --park ends the cell with ApprovalPending, and a rerun goes on
        with the answer; so it does by itself where nobody can type (nbclient, papermill).

        An answer is bound to the message and to the source of the cell (of %%approve: of its body)
        and is used once: after a change, and for the next run, it is asked again. Code in the same
        process can get around it.
        """
        try:
            own_imports = current_session().recorder.own_imports
        except FlowError as error:
            raise IPythonUsageError(f"{'%' if cell is None else '%%'}approve: {error}") from None
        with own_imports():  # what it loads is no import of the cell
            from flow_kernel.shell.magics.approve_answers import ask  # with the store: 12 ms
        card = ask(line, cell)
        if cell is None or not card:
            return card
        print(card)  # noqa: T201 - what was approved stands above what it does
        run_body(self.shell, cell, failure=APPROVED_FAILED)
        return None


def complete(_: Any, event: Any) -> list[str]:
    """What may follow on the line of `event`."""
    from flow_kernel.shell.magics.approve_answers import complete  # as above

    return complete(event.line)
