"""One line about any value, in constant time and without running its code (pure).

Called by `session` at the end of a cell, for the names that it added, changed or mutated.

The exact type of a value chooses the function that describes it; a value of a user's class, also
of a subclass of a builtin one, shows its type and nothing else. A library's classes are learnt when
the user has imported it.
"""

import time
from collections.abc import Iterable
from typing import Final

from flow_kernel.records.deadline import Deadline
from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.introspection import is_class, type_name
from flow_kernel.records.libraries import TypeTable
from flow_kernel.records.summaries_builtins import BUILTINS, Show, Summary, class_line
from flow_kernel.records.summaries_libraries import LIBRARIES
from flow_kernel.records.summaries_stdlib import STANDARD

globals()["__builtins__"] = FROZEN_BUILTINS

_perf_ns: Final = time.perf_counter_ns
_TABLE: Final[TypeTable[Show]] = TypeTable(dict(BUILTINS), {**LIBRARIES, **STANDARD})


def summarise(value: object) -> Summary:
    """What `value` is, in a few fields.

    Takes 0.3 to 3 us, up to 10 us for a table; never runs code of the value's class, reads at most
    three of its elements and keeps no reference.

    Args:
        value: Anything.

    Returns:
        `type` (`module.Class`, without `builtins.`), then as they make sense `shape` (list of int),
        `dtype`, `len`, `nbytes`, and `summary`: one printable line of at most 120 characters.
    """
    kind = type(value)
    try:
        show = _TABLE.known.get(id(kind)) or _TABLE.learn(kind)
        if show is not None:
            return show(value)
        if is_class(kind):
            return {"type": type_name(kind), "summary": class_line(value)}  # type: ignore[arg-type]  # a class
        return {"type": type_name(kind), "summary": "instance"}
    except Exception:  # noqa: BLE001  # changed by another thread, or no stack is left
        try:
            return {"type": type_name(kind), "summary": "instance"}
        except Exception:  # noqa: BLE001  # no stack is left for the name either
            return {"type": "?", "summary": "?"}


def summarise_many(
    items: Iterable[tuple[str, object]], *, limit: int, budget_us: int
) -> tuple[dict[str, Summary], int]:
    """Summaries of the first `items` that fit into a number and a time.

    Args:
        items: Names and values; a name that is not exactly a string is left out.
        limit: Most summaries to make.
        budget_us: Microseconds of work after which no further one is begun.

    Returns:
        The summaries by name, and how many items were left out.
    """
    found: dict[str, Summary] = {}
    left_out = 0
    is_over = False
    deadline = Deadline(budget_us)
    for name, value in items:
        is_over = (
            is_over or len(found) >= limit or (_perf_ns() >= deadline.at_ns and deadline.is_over())
        )
        if is_over or type(name) is not str:
            left_out += 1
        else:
            found[name] = summarise(value)
    return found, left_out
