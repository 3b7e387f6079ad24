"""What a cell of `jupyter flow repl` waits for: input, or the answer to a question.

Called by `repl_session`.

A question has a box like `input()` has, but it can be answered from elsewhere, too: by
`{"approve": …}`, the command line or a button. So an answer for its box is looked at first, and the
end of stdin does not end it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from flow_kernel.apps import repl_answers as answers
from flow_kernel.apps import repl_protocol as protocol
from flow_kernel.apps.repl_kernel import Message, ReplKernel
from flow_kernel.apps.repl_protocol import Decide
from flow_kernel.errors import UsageError

_END_OF_INPUT: Final = "\x04"  # what ipykernel takes for the end of a file
_QUESTION: Final = re.compile(r"(A-[0-9]{4,9}): ")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Box:
    """A request for input.

    Attributes:
        header: Of the message that asks.
        is_question: It asks for the answer to an approval, not for `input()`.
        approval_id: Which; empty when it cannot be told.
    """

    header: Mapping[str, Any]
    is_question: bool
    approval_id: str


class Boxes:
    """The box of the running cell, and the questions that were answered here.

    Args:
        home: Where questions lie, unless the kernel says otherwise.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._box: _Box | None = None
        self._answered: set[str] = set()

    @property
    def is_open(self) -> bool:
        """True while a cell waits for something."""
        return self._box is not None

    def close(self) -> None:
        """The cell has ended."""
        self._box = None

    def show(self, message: Message) -> dict[str, object]:
        """A cell asks; gives what the client is told."""
        content, flow = message["content"], message["metadata"].get("flow")
        prompt = str(content.get("prompt", ""))
        is_question = isinstance(flow, dict) and flow.get("question") is True
        found = _QUESTION.match(prompt) if is_question else None
        self._box = _Box(
            header=message["header"],
            is_question=is_question,
            approval_id=found[1] if found else "",
        )
        return protocol.input_request(prompt, is_password=content.get("password") is True)

    def give(self, text: str, kernel: ReplKernel | None) -> None:
        """Hand `text` to the cell that waits for it.

        Raises:
            UsageError: None does.
            AlreadyDecided: It asks a question that somebody else has answered.
        """
        box, self._box = self._box, None
        if box is None or kernel is None:
            raise UsageError("no cell waits for input", hint="send it after an input_request")
        if box.approval_id:
            closed = answers.why_closed(self._home_of(kernel), box.approval_id)
            if closed is not None:
                raise closed
        kernel.send("stdin", "input_reply", {"value": text}, parent=box.header)

    def end_input(self, kernel: ReplKernel | None) -> None:
        """Nobody types any more: `input()` ends, a question still has other ways to an answer."""
        if self._box is not None and not self._box.is_question:
            self.give(_END_OF_INPUT, kernel)

    def decide(self, asked: Decide, kernel: ReplKernel | None) -> dict[str, object]:
        """Answer a question; gives what the client is told.

        Raises:
            FlowError: It cannot be answered, or somebody was first.
        """
        row = answers.decide(self._home_of(kernel), asked)
        if self._box is not None and self._box.approval_id == row.approval_id:
            self._box = None
        self._answered.add(row.approval_id)
        return protocol.event(
            "approval_decided",
            {
                "id": row.approval_id,
                "status": row.status,
                "by": row.decided_by,
                "channel": row.channel,
            },
        )

    def _home_of(self, kernel: ReplKernel | None) -> Path:
        # It stays known while there is no kernel.
        if kernel is not None and kernel.home is not None:
            self._home = kernel.home
        return self._home

    def was_told(self, name: str, fields: Mapping[str, object]) -> bool:
        """True for the kernel's own event of an answer that the client was told of; once."""
        approval_id = str(fields.get("id"))
        if name != "approval_decided" or approval_id not in self._answered:
            return False
        self._answered.discard(approval_id)
        return True
