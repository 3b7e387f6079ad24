"""Carries changes of state from the store into the logs of their tasks, each exactly once.

Called by `session.carrier`, after a change and whenever a home is opened.

    read the rows that wait ──▶ append each to its log ──▶ mark them as carried

All of it under the store's write lock, so two processes never carry the same row. A process that
dies between the second and the third leaves rows that are in a log already: whoever did not write
the rows itself looks there first.
"""

from collections.abc import Callable, Collection
from typing import Final, Protocol

from flow_kernel.store.contract import Change, Store

_BATCH: Final = 1000

Append = Callable[[str, str, str, dict[str, object]], int | None]
"""Appends a record of a kind to the log of a plan's task; None while it waits in memory."""


class Logs(Protocol):
    """What is in the logs already."""

    def numbers(self, plan_id: str, task_id: str) -> Collection[int]:
        """The numbers of the changes that the log of a task holds."""


def carry(store: Store, append: Append, logs: Logs, *, own: Collection[int] = ()) -> int:
    """Append all waiting changes to their logs.

    Args:
        store: Whose outbox.
        append: The journal.
        logs: Asked about changes that are not our own.
        own: Numbers of changes that this process made and has not carried yet.

    Returns:
        How many there were.
    """
    known: dict[tuple[str, str], Collection[int]] = {}
    count = 0
    while found := _carry_some(store, append, logs, own, known):
        count += found
    return count


def _carry_some(
    store: Store,
    append: Append,
    logs: Logs,
    own: Collection[int],
    known: dict[tuple[str, str], Collection[int]],
) -> int:
    """One batch, so that other writers get their turn. Returns how many rows it held."""
    with store.write() as change:
        waiting = change.waiting(limit=_BATCH)
        for row in waiting:
            place = (row.plan_id, row.task_id)
            if row.number not in own:
                if place not in known:
                    known[place] = logs.numbers(*place)
                if row.number in known[place]:
                    continue
            append(row.kind, *place, _fields(row))
        if waiting:
            change.carried(waiting[-1].number)
        return len(waiting)


def _fields(row: Change) -> dict[str, object]:
    return {"change": row.number, "at": row.at, **row.fields}
