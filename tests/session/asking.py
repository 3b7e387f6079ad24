"""A session that asks questions, without a kernel: a real store, a clock set by hand.

Called by the tests of approvals.
"""

import itertools
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from flow_kernel.errors import ApprovalPending
from flow_kernel.session.approval_parts import ApprovalParts, Wish
from flow_kernel.session.approvals import Approvals
from flow_kernel.session.cell import CellRequest, OpenCell
from flow_kernel.session.place import Place, Whereabouts
from flow_kernel.store.contract import ApprovalRow
from flow_kernel.store.sqlite import SqliteStore

SESSION = "5e" * 16
PERSON = "ann"
_SPANS = itertools.count(1)


class Clock:
    """A time of day that moves when it is told to; reality cannot jump by hours."""

    def __init__(self) -> None:
        self.seconds = 0

    def __call__(self) -> str:
        minutes, seconds = divmod(self.seconds, 60)
        hours, minutes = divmod(minutes, 60)
        return f"2026-11-21T{hours:02d}:{minutes:02d}:{seconds:02d}.000Z"


class Typist:
    """A person at the cell's own box, who types these lines; no kernel can be made to type."""

    can_ask = True

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = list(lines)
        self.prompts: list[str] = []

    def ask(self, prompt: str) -> None:
        self.prompts.append(prompt)

    def poll(self, timeout_s: float) -> str | None:
        return self.lines.pop(0) if self.lines else None

    def wake(self) -> None:
        """The next line is asked for at once."""

    def done(self) -> None:
        """Nothing is left open."""


class Asker:
    """One session on the store of a folder; `close` it."""

    def __init__(
        self,
        folder: Path,
        *,
        now: Callable[[], str] | None = None,
        typist: Typist | None = None,
        kind: type[SqliteStore] = SqliteStore,
    ) -> None:
        self.store = kind(folder / "flow.db")
        self.carried = 0
        self._has_event = threading.Condition()
        self.events: list[tuple[str, dict[str, object]]] = []
        self.where = Whereabouts(SESSION, "local", "T-0000", on_move=lambda _: None)
        self._cell: OpenCell | None = None
        self.approvals = Approvals(
            ApprovalParts(
                store=self.store,
                where=self.where,
                running=lambda: self._cell,
                prompter=typist,
                session=SESSION,
                actor="agent",
                person=lambda: PERSON,
                now=now or Clock(),
                carry=self._carry,
                redact=lambda text: text.replace("hunter2", "[REDACTED:test]"),
                emit=self._emit,
            )
        )

    def cell(self, code: str, *, task_id: str = "T-0000") -> None:
        """A cell with this source begins to run in a task."""
        self.where.move("local", task_id, None)
        request = CellRequest(code, {}, {}, None, None, 1)
        place = Place("local", task_id, SESSION)
        span = f"{next(_SPANS):016x}"
        self._cell = OpenCell(
            request, place=place, key=span, span_id=span, thread=0, stream_chars=0
        )

    def no_cell(self) -> None:
        """What runs now is not recorded."""
        self._cell = None

    def ask(self, message: str, **terms: object) -> ApprovalRow:
        """Ask from the running cell."""
        return self.approvals.request(Wish(message=message, **terms))  # type: ignore[arg-type]  # the fields of a wish

    def close(self) -> None:
        self.approvals.reminders.close()
        self.store.close()

    def wait_for_event(self, name: str, times: int = 1) -> None:
        """Until an event of that name was announced so many times."""
        with self._has_event:
            assert self._has_event.wait_for(
                lambda: sum(name == each for each, _ in self.events) >= times, timeout=30
            )

    def _emit(self, name: str, **fields: object) -> None:
        with self._has_event:
            self.events.append((name, fields))
            self._has_event.notify_all()

    def _carry(self) -> None:
        self.carried += 1


def parked(asker: Asker, message: str = "Go?", **terms: object) -> str:
    """Ask and park; the id of the question."""
    with pytest.raises(ApprovalPending) as pending:
        asker.ask(message, park=True, **terms)
    return pending.value.approval_id


def answer(asker: Asker, approval_id: str, decision: str = "approve") -> None:
    asker.approvals.decide(approval_id, decision, by="ann", channel="cli")
