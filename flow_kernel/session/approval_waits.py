"""The cells of a process that wait for an answer, and the answers that are handed to them.

Built by `session.assembly`; used by `session.approvals`, in the thread of the cell that waits and
in those that answer.

    waits ──an answer is under way──▶ promised ──it is in the store──▶ has its answer
      ▲                                  │
      └────────another one was first─────┘

An answer for a cell that waits here is used as it is given: one transaction, one sync, and the cell
need not ask the store for what was just written. So whoever answers promises it to the cell first.
While it is promised the cell looks nowhere else and does not leave: in the store it would find an
answer that somebody has used, and not know that it was meant. Each answer is promised to one cell;
all other ways to answer, those of other processes among them, are seen by looks at the store.

A cell that is stopped on its way out finds by `meant` which answer was used for it, whether or not
that was handed over: an interrupt can come right behind the commit.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from flow_kernel.records.forgetful import forget_in_children

if TYPE_CHECKING:
    from flow_kernel.store.contract import ApprovalRow

_SETTLED_S: Final = 5.0
"""How long an interrupt waits for a promise; the store is given up after a second there."""


class Wait:
    """One cell that waits; `Waits.waiting` makes it.

    Args:
        approval_id: Of its question.
        wake: Ends a pause of the cell.
    """

    __slots__ = ("_wake", "answer", "approval_id", "bell", "is_promised", "looks", "meant")

    def __init__(self, approval_id: str, wake: Callable[[], None]) -> None:
        self._wake = wake
        self.approval_id: str = approval_id
        self.bell: threading.Event = threading.Event()
        """Set where there is something new."""
        self.looks: int = 0
        """How often somebody has asked it to look into the store."""
        self.is_promised: bool = False
        self.answer: ApprovalRow | None = None
        """The question, answered and used, once it is handed over."""
        self.meant: ApprovalRow | None = None
        """The same before it is committed; it may never be."""

    def expect(self, row: "ApprovalRow") -> None:
        """This answer is about to be written, and used for the cell."""
        self.meant = row

    def ring(self) -> None:
        """End its pause."""
        self.bell.set()
        self._wake()


class Waits:
    """All of one session; safe with several threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._waits: dict[str, list[Wait]] = {}
        forget_in_children(self)

    @contextmanager
    def waiting(self, approval_id: str, wake: Callable[[], None]) -> Iterator[Wait]:
        """A cell waits in the block, or until it has left.

        Args:
            approval_id: Its question.
            wake: Ends a pause of the cell, beside the bell of the wait.
        """
        wait = Wait(approval_id, wake)
        try:
            with self._lock:
                self._waits.setdefault(approval_id, []).append(wait)
            yield wait
        finally:
            self._end(wait)

    def leave(self, wait: Wait) -> bool:
        """Wait no longer, unless an answer is on its way.

        Returns:
            False where one is promised or there: the cell has to take it.
        """
        with self._lock:
            if wait.is_promised or wait.answer is not None:
                return False
            self._end(wait)
            return True

    def settle(self, wait: Wait) -> "ApprovalRow | None":
        """Wait no longer in any case; returns the answer that was on its way, if there was one."""
        self._end(wait)
        while wait.is_promised:
            wait.bell.clear()
            if wait.is_promised and not wait.bell.wait(_SETTLED_S):
                break
        return wait.answer

    def forget(self) -> None:
        """In a forked child: the cells that wait are not in it, and no answer is used for them."""
        self._lock = threading.RLock()
        self._waits = {}

    def _end(self, wait: Wait) -> None:
        with self._lock:
            others = [each for each in self._waits.get(wait.approval_id, ()) if each is not wait]
            if others:
                self._waits[wait.approval_id] = others
            else:
                self._waits.pop(wait.approval_id, None)

    def look_again(self) -> None:
        """Something was written to the store in this process: whoever waits looks at once."""
        with self._lock:
            waits = [wait for each in self._waits.values() for wait in each if not wait.answer]
        for wait in waits:
            wait.looks += 1
            wait.ring()

    @contextmanager
    def promised(self, approval_id: str) -> Iterator[Wait | None]:
        """The cell that the answer in the block is for, which takes no other meanwhile.

        The block puts the answer into `answer` once it is in the store; where it does not, the cell
        looks by itself.

        Returns:
            None where no cell waits, or another answer to it is under way.
        """
        wait: Wait | None = None
        try:
            with self._lock:
                waits = self._waits.get(approval_id, ())
                wait = next((each for each in waits if not (each.is_promised or each.answer)), None)
                if wait is not None:
                    wait.is_promised = True
            yield wait
        finally:
            if wait is not None:
                wait.is_promised = False  # first: an interrupt must not keep the cell for ever
                wait.looks += 1
                wait.ring()
