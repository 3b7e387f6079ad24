"""Pages of long lists, newest first: what is asked for, and where the next one begins (pure).

Built by `pages_sql`; called by `session`.

A page goes on from the last row of the page before, which need not be there any more. What is read
for one is bounded: where few rows match, it ends before it is full and says where to go on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

Row = TypeVar("Row")
Place = TypeVar("Place")


class TaskPlace(NamedTuple):
    """Where a task is among all, by age.

    Attributes:
        created_at: Of the task.
        plan_id: Of the task.
        task_id: Of the task.
    """

    created_at: str
    plan_id: str
    task_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskWanted:
    """Which tasks a page shows.

    Attributes:
        plan_id: Of this plan; None for any.
        statuses: With one of these; empty for any.
        tag: With this tag; None for any.
        words: Each in the id, name, description or type; folded as `str.casefold` does.
    """

    plan_id: str | None = None
    statuses: Sequence[str] = ()
    tag: str | None = None
    words: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Row, Place]):
    """Rows, newest first.

    Attributes:
        rows: What was found.
        last: Where the next page goes on; None at the end.
    """

    rows: list[Row]
    last: Place | None
