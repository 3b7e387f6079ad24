"""The buttons below a cell that waits for an answer.

Built by `shell.opening` for the questions of a session; loads what it shows with the first one.

They stand beside the box and the command line, and whichever answers first counts. Front ends that
show widgets say which cell they run; where a request does not, or anywidget is missing, there are
none, and all is as it was.
"""

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from flow_kernel.session.approval_terms import source_hash
from flow_kernel.shell.channels.own_comms import OwnComms

if TYPE_CHECKING:
    from collections.abc import Callable

    from flow_kernel.session.approval_buttons import Answer
    from flow_kernel.shell.panel.wire import Widget
    from flow_kernel.store.contract import ApprovalRow

_KEPT: Final = 8


class ApproveButtons:
    """The buttons of one kernel.

    Args:
        kernel: Of ipykernel.
        comms: That hear what is pressed.
    """

    def __init__(self, kernel: Any, comms: OwnComms) -> None:
        self._kernel = kernel
        self._comms = comms
        self._ended: deque[Widget] = deque()

    def show(self, row: "ApprovalRow", answer: "Answer") -> "Callable[[ApprovalRow], None] | None":
        """Show buttons below the cell that runs, if its front end has such.

        Args:
            row: The question.
            answer: Called with a decision and a comment when one is pressed.

        Returns:
            What to call with the answer, whoever gave it; None where nothing is shown.
        """
        if "cellId" not in (self._kernel.get_parent("shell").get("metadata") or {}):
            return None
        from flow_kernel.shell.panel import wire  # only where there is a question

        if not wire.is_there():
            return None
        from flow_kernel.shell.panel.output import WidgetOutput  # as above
        from flow_kernel.shell.panel.questions import QuestionWidget  # as above
        from flow_kernel.shell.views.approve_display import ApprovalCard  # as above

        question = QuestionWidget(row, shows_code=not self._is_cell(row))
        widget = wire.Widget(
            self._kernel,
            self._comms,
            state=question.state,
            on_said=lambda said: question.heard(said, widget.say, answer),
        )
        output = WidgetOutput(self._kernel, widget)
        output.show(ApprovalCard(row))

        def end(ended: "ApprovalRow") -> None:
            output.end(question.end(ended))
            widget.say(question.outcome)
            # A page that was loaded again meanwhile shows the widget still: it tells the outcome.
            self._ended.append(widget)
            if len(self._ended) > _KEPT:
                self._ended.popleft().close()

        return end

    def _is_cell(self, row: "ApprovalRow") -> bool:
        """True where the code that is asked about is the cell above the buttons, or its body."""
        code = (self._kernel.get_parent("shell").get("content") or {}).get("code")
        if not isinstance(code, str):
            return False
        body = code.partition("\n")[2]
        # IPython hands the body to a magic with a line end of its own.
        return row.code_sha256 in (None, *map(source_hash, (code, body, f"{body}\n")))
