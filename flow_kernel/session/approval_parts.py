"""What a question is asked with: the wish of a cell, the way to the person, the parts of a session.

Called by `session.approvals`; put together by `session.assembly` and by the magics.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from flow_kernel.records.quick_turns import QuickTurns
from flow_kernel.session.approval_buttons import Answering, Buttons
from flow_kernel.session.approval_waits import Waits
from flow_kernel.session.cell import OpenCell
from flow_kernel.session.person import Author
from flow_kernel.session.place import Whereabouts
from flow_kernel.store.contract import ApprovalRow, Store


def _always() -> bool:
    return True


class Prompter(Protocol):
    """The cell's own way to the person; given by the shell."""

    @property
    def can_ask(self) -> bool:
        """True when the client of the running cell answers requests for input."""

    def ask(self, prompt: str) -> None:
        """Show a box for an answer."""

    def poll(self, timeout_s: float) -> str | None:
        """What was typed into the box, after `timeout_s` at most; None while nothing was."""

    def wake(self) -> None:
        """End a `poll` that goes on; called in another thread."""

    def done(self) -> None:
        """The box is of no use any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a cell wants to be asked.

    Attributes:
        message: What the person reads.
        payload: JSON that the answer is bound to as well.
        timeout_s: How long it can be answered; None for ever.
        on_timeout: reject, skip or approve.
        park: True ends the cell with ApprovalPending, False waits, None waits where the client
            can be asked.
        source: What the answer is bound to in place of the running cell; the body of a %%approve.
        remind_s: How often to remind until it is answered; None for never.
        ordinal: Its place among the questions of the cell; None counts them.
        by: Who asks, as records name it; empty for the actor of the running cell.
        is_wanted: False once nobody waits for the answer any more, which takes the question back.
    """

    message: str
    payload: object = None
    timeout_s: float | None = None
    on_timeout: str = "reject"
    park: bool | None = None
    source: str | None = None
    remind_s: float | None = None
    ordinal: int | None = None
    by: str = ""
    is_wanted: Callable[[], bool] = _always


def _nobody_listens(*_: object, **__: object) -> None:
    """Events and reminders go nowhere by default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalParts:
    """What the questions of a session work with; put together by `session.assembly`.

    Attributes:
        store: The state of the home.
        where: The task and step that cells belong to.
        running: The cell that runs in this thread, if it is recorded.
        prompter: The cell's own way to the person; None where there is none.
        session: 32 hex.
        actor: Who asks, as records name it, where the wish does not say.
        person: Who answers in the cell's own box.
        now: UTC with milliseconds.
        carry: Brings changes into the log.
        redact: Takes secrets out of a text.
        emit: Announces an event by its name and its fields.
        remind: Run for each reminder that this session gives, in a thread of its own.
        on_approved: Told of a yes before what was approved runs.
        buttons: Shows buttons below the cell; None where nobody can.
        answer: Takes what is pressed there, in another thread; None for the way of all others.
        sync: Brings the log to the disk.
        turns: Held from an answer until the cell goes on.
        waits: The cells that wait, of all who answer in this process.
    """

    store: Store
    where: Whereabouts
    running: Callable[[], OpenCell | None]
    prompter: Prompter | None
    session: str
    actor: Author
    person: Callable[[], str]
    now: Callable[[], str]
    carry: Callable[[], object]
    redact: Callable[[str], str]
    emit: Callable[..., None] = _nobody_listens
    remind: Callable[[ApprovalRow], object] = _nobody_listens
    on_approved: Callable[[ApprovalRow], object] = _nobody_listens
    buttons: Buttons | None = None
    answer: Answering | None = None
    sync: Callable[[], object] = _nobody_listens
    turns: QuickTurns = field(default_factory=QuickTurns)
    waits: Waits = field(default_factory=Waits)
