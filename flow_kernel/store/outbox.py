"""Carries changes of state from the store into the logs of their tasks, each exactly once.

Called by `session.carrier`, after a change and whenever a home is opened.

    read the rows that wait ──▶ append each to its log ──▶ mark them as carried

All of it under the store's write lock, so two processes never carry the same row. A process that
dies between the second and the third leaves rows that are in a log already: whoever carries them
looks there first. A row that is not in the file yet stays, and so do those behind it.
"""

from collections.abc import Callable, Collection
from typing import Final, Protocol

from flow_kernel.store.contract import Change, Store

_BATCH: Final = 1000

Append = Callable[[str, str, str, dict[str, object]], int | None]
"""Appends a record of a kind to the log of a plan's task; None when it is not in the file yet."""


class Logs(Protocol):
    """What is in the logs already."""

    def numbers(self, plan_id: str, task_id: str, store_id: str) -> Collection[int]:
        """The numbers of the changes of a store that the log of a task holds."""


def carry(store: Store, append: Append, logs: Logs) -> bool:
    """Append all waiting changes to their logs.

    Args:
        store: Whose outbox.
        append: The journal.
        logs: Asked, once for each task, which changes its log holds already.

    Returns:
        False when some still wait, because the journal could not write them.
    """
    known: dict[tuple[str, str], Collection[int]] = {}
    while True:
        waiting, written = _carry_some(store, append, logs, known)
        if written < waiting:
            return False
        if waiting < _BATCH:
            return True


def _carry_some(
    store: Store,
    append: Append,
    logs: Logs,
    known: dict[tuple[str, str], Collection[int]],
) -> tuple[int, int]:
    """One batch, so that other writers get their turn: how many rows it held and were written."""
    with store.write() as change:
        waiting = change.waiting(limit=_BATCH)
        written = 0
        for row in waiting:
            place = (row.plan_id, row.task_id)
            if place not in known:
                known[place] = logs.numbers(*place, row.store_id)
            if row.number not in known[place] and append(row.kind, *place, _fields(row)) is None:
                break
            written += 1
        if written:
            change.carried(waiting[written - 1].number)
        return len(waiting), written


def _fields(row: Change) -> dict[str, object]:
    # An earlier store of the home may have given the same number.
    said = {"store": row.store_id} if row.store_id else {}
    return {"change": row.number, **said, "at": row.at, **row.fields}
